"""How much of a fleet can be sold, and how firmly, against demand of the operator's own that isn't certain.

Headroom is what a pool has, less what is committed, less the operator's own demand. Own demand is given as
paths, each a way it may turn out. What is sold firm is gone for the whole window. What is sold recallable is
gone until a notice has run, so only the demand within the notice has to fit; for what comes later it is
recalled.

The two-fractile rule: with F sold firm and R recallable, a period earns
pf F + pr R - (pr + b) E(F + R - H)+ - (v - pr - b) E(F - H)+ for headroom H. F and F + R are then quantiles
of H, at (pf - pr) / (v - pr - b) and at pr / (pr + b). Where the second lies below the first, nothing is sold
recallable and F is the quantile at pf / v, as in any newsvendor problem.
Source: derived as a newsvendor problem in two layers; compare callable products, Gallego, Kou and Phillips,
Management Science 54(3), 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def at_confidence(samples: Counts, confidence: Fraction) -> int:
    """The most that at least such a share of samples reaches.

    Shapes: int64[S], S > 0.

    Raises:
        ValueError: without samples, or for a confidence that isn't above 0 and at most 1.
    """
    if not len(samples):
        raise ValueError("nothing is known of demand: there are no paths")
    if not 0 < confidence <= 1:
        raise ValueError(f"a confidence is above 0 and at most 1, not {confidence}")
    below = int((1 - confidence) * len(samples))
    return int(np.partition(samples, below)[below])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sellable:
    """What may be sold over a window at a confidence, in GPUs; none of them is below nothing.

    Attributes:
        firm: for the whole window.
        recallable: more, if it can be taken back by the notice; counted beside `firm`.
        interruptible: more again, if it can be taken back at once; counted beside both.
    """

    firm: int
    recallable: int
    interruptible: int


def sellable(headroom: Counts, *, notice_steps: int, confidence: Fraction) -> Sellable:
    """What may be sold over a window so that with this confidence own demand fits all along.

    Recallable GPUs are locked for the notice only: whoever watches each day and recalls in time has to cover
    no more than the demand of the notice ahead. So the answer holds from the window's start; later days are
    asked again as they come.

    Shapes: headroom int64[S, T], over the window in equal steps.

    Args:
        headroom: what commitments and own demand leave, in each path.
        notice_steps: steps that a notice takes; at least one.
        confidence: above 0, at most 1.

    Raises:
        ValueError: for shapes that don't fit, or those of `at_confidence`.
    """
    if headroom.ndim != 2 or not headroom.shape[1]:
        raise ValueError(f"headroom has shape {headroom.shape}: it takes paths and steps")
    steps = (headroom.shape[1], min(max(1, notice_steps), headroom.shape[1]), 1)
    whole, notice, now = (max(0, at_confidence(headroom[:, :last].min(axis=1), confidence)) for last in steps)
    return Sellable(firm=whole, recallable=notice - whole, interruptible=now - notice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalls:
    """How often and how much recallable GPUs are taken back, if exactly when own demand needs them.

    Attributes:
        share: of their hours, those in which they are taken back.
        needed: share of hours in which at least one of them is.
        months: share of months in which at least one of them is.
        month_steps: steps of a month; of the whole window where it is shorter.
    """

    share: Fraction
    needed: Fraction
    months: Fraction
    month_steps: int

    def least_price(self, rebate: Decimal) -> Fraction | None:
        """What the last of them must pay an hour to be worth selling; None where no price is enough."""
        return Fraction(rebate) * self.needed / (1 - self.needed) if self.needed < 1 else None

    def even_price(self, firm: Decimal, rebate: Decimal, own: Decimal) -> Fraction | None:
        """What they must pay an hour so that the operator earns as much as if they were sold firm.

        Firm, an hour earns the firm price, and own work that needs the GPU goes short. Where that earns less
        than nothing, it is what recallable must pay to earn nothing. None where they are recalled throughout.

        Args:
            firm: price of a firm GPU-hour.
            rebate: paid for a recalled GPU-hour on top of the price that falls away.
            own: worth of an hour of own work that goes short.
        """
        if self.share == 1:
            return None
        earned = max(Fraction(firm) - Fraction(own) * self.share, Fraction(0))
        return (earned + Fraction(rebate) * self.share) / (1 - self.share)


def recalls_of(headroom: Counts, *, firm: int, recallable: int, month_steps: int) -> Recalls:
    """What paths of headroom would call of so many recallable GPUs beside so many firm ones.

    Shapes: headroom int64[S, T]. A window longer than a month is looked at in whole months; what is left
    over at its end counts for `share` and `needed` only.
    """
    beyond = np.maximum(firm + recallable - headroom, 0)
    called = np.minimum(beyond, recallable)
    month = min(month_steps, headroom.shape[1])
    whole = headroom.shape[1] // month * month
    months = (called[:, :whole] > 0).reshape(len(headroom), -1, month).any(axis=2)
    return Recalls(
        share=Fraction(int(called.sum()), recallable * called.size) if recallable else Fraction(0),
        needed=Fraction(int((called > 0).sum()), called.size),
        months=Fraction(int(months.sum()), months.size),
        month_steps=month,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What may be out of order: nodes here and there, and much at once.

    Attributes:
        share: of the nodes, out of order at any time; each by itself.
        repair_steps: steps after which another set of nodes is out.
        loss_gpus: GPUs that one large event takes, such as a building, a feeder or a cooling loop.
        losses_per_step: how many such events begin in a step, on average.
        loss_steps: steps that one lasts.
    """

    share: float = 0.0
    repair_steps: int = 1
    loss_gpus: int = 0
    losses_per_step: float = 0.0
    loss_steps: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or self.losses_per_step < 0 or self.loss_gpus < 0:
            raise ValueError(f"a share is from 0 to below 1, losses aren't negative: {self}")
        if min(self.repair_steps, self.loss_steps) < 1:
            raise ValueError(f"repairs and losses last a step at least: {self}")


def failing(
    failures: Failures, nodes: int, gpus_per_node: int, shape: tuple[int, int], rng: np.random.Generator
) -> Counts:
    """GPUs out of order by path and step, drawn.

    Shapes: int64[S, T] for a shape of (S, T). The generator is drawn from for nodes, then for losses.
    """
    paths, steps = shape
    sets = -(-steps // failures.repair_steps)
    out = rng.binomial(nodes, failures.share, (paths, sets)).astype(np.int64) * gpus_per_node
    found = np.repeat(out, failures.repair_steps, axis=1)[:, :steps]
    if failures.loss_gpus and failures.losses_per_step:
        begun = rng.poisson(failures.losses_per_step, (paths, steps + failures.loss_steps - 1)).cumsum(axis=1)
        lasting = begun[:, failures.loss_steps - 1 :]
        ended = np.pad(begun, ((0, 0), (1, 0)))[:, :steps]
        found = found + (lasting - ended) * failures.loss_gpus
    return np.minimum(found, nodes * gpus_per_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Per GPU-hour, in major units of one currency.

    Attributes:
        firm: what a firm lease pays.
        recallable: what a recallable one pays.
        rebate: what is paid for a recalled GPU-hour on top of the price that falls away.
        own: what an hour of own work is worth that goes short.
    """

    firm: Decimal
    recallable: Decimal
    rebate: Decimal
    own: Decimal

    def __post_init__(self) -> None:
        if not 0 < self.recallable <= self.firm or self.rebate < 0:
            raise ValueError(
                f"0 < recallable ≤ firm and 0 ≤ rebate must hold; they are {self.recallable}, {self.firm} "
                f"and {self.rebate}"
            )
        if self.firm >= self.own - self.rebate:
            raise ValueError(
                f"own work worth {self.own} an hour yields to any firm lease at {self.firm}; the rule needs "
                "it to be worth more than the firm price and the rebate together"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How much to sell firm and how much recallable, and what that means.

    Attributes:
        firm: GPUs.
        recallable: GPUs.
        recall_probability: share of paths in which something is recalled.
        recalled: expected GPUs recalled.
        own_short: expected GPUs of own work that go short.
        profit: expected, per period of one hour, in major units.
    """

    firm: int
    recallable: int
    recall_probability: Fraction
    recalled: Fraction
    own_short: Fraction
    profit: Fraction


def split_of(headroom: Counts, prices: Prices) -> Split:
    """The two-fractile rule on samples of headroom, each as likely.

    Shapes: int64[S], S > 0.
    """
    if not len(headroom):
        raise ValueError("nothing is known of headroom: there are no paths")
    ordered = np.sort(headroom)
    rest = prices.own - prices.recallable - prices.rebate
    firm = _fractile(ordered, _share(prices.firm - prices.recallable, rest))
    both = _fractile(ordered, _share(prices.recallable, prices.recallable + prices.rebate))
    if both < firm:
        firm = both = _fractile(ordered, _share(prices.firm, prices.own))
    return split_at(headroom, prices, firm=firm, recallable=both - firm)


def split_at(headroom: Counts, prices: Prices, *, firm: int, recallable: int) -> Split:
    """What selling so much means."""
    n = len(headroom)
    beyond = np.maximum(firm + recallable - headroom, 0)
    recalled = Fraction(int(np.minimum(beyond, recallable).sum()), n)
    short = Fraction(int(np.maximum(firm - headroom, 0).sum()), n)
    pf, pr, b, v = (Fraction(x) for x in (prices.firm, prices.recallable, prices.rebate, prices.own))
    return Split(
        firm=firm,
        recallable=recallable,
        recall_probability=Fraction(int((beyond > 0).sum()), n) if recallable else Fraction(0),
        recalled=recalled,
        own_short=short,
        profit=pf * firm + pr * recallable - (pr + b) * recalled - v * short,
    )


def _share(part: Decimal, whole: Decimal) -> Fraction:
    return Fraction(part) / Fraction(whole)


def _fractile(ordered: Counts, share: Fraction) -> int:
    """The most x such that fewer than this share of the samples lie below it; not below nothing."""
    if share <= 0:
        return 0
    at = min(-int(-share * len(ordered) // 1), len(ordered)) - 1
    return max(0, int(ordered[at]))
