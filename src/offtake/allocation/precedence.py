"""The order of precedence when capacity is short: stated once, here.

(1) What safety and outages force: it is already out of the pools' available GPUs. (2) Firm claims, those
on which the operator would owe most per GPU first. (3) Internal reservations. (4) Recallable claims: the
caller ends a claim's curve when its notice has run, until then it keeps this place. (5) Interruptible
claims. (6) Internal elastic work. An operator may reorder (3) to (6), never (2).
"""

from __future__ import annotations

from collections.abc import Sequence

from offtake.claims.model import Claim, Firmness

DEFAULT_PRECEDENCE = (
    Firmness.FIRM,
    Firmness.INTERNAL,
    Firmness.RECALLABLE,
    Firmness.INTERRUPTIBLE,
    Firmness.ELASTIC,
)
"""First served first."""


def rank_claims(
    claims: Sequence[Claim], precedence: Sequence[Firmness] = DEFAULT_PRECEDENCE
) -> tuple[Claim, ...]:
    """Claims in the order in which they are served: a strict order, the same for any order of the input.

    Inside a firmness, the claim that owes more per GPU goes first; then the lower id, which stands for
    nothing and only makes the order strict.

    Raises:
        ValueError: if the precedence doesn't start with firm claims or doesn't name each firmness once.
    """
    check_precedence(precedence)
    place = {firmness: i for i, firmness in enumerate(precedence)}
    return tuple(
        sorted(claims, key=lambda claim: (place[claim.firmness], -claim.owed_per_gpu_month, claim.id))
    )


def check_precedence(precedence: Sequence[Firmness]) -> None:
    """Refuse an order that puts anything before firm claims.

    Raises:
        ValueError: if the precedence doesn't start with firm claims or doesn't name each firmness once.
    """
    names = ", ".join(precedence)
    if sorted(precedence) != sorted(Firmness):
        raise ValueError(f"the order of precedence names each of {', '.join(Firmness)} once, not: {names}")
    if precedence[0] is not Firmness.FIRM:
        raise ValueError(f"firm claims come first in any order of precedence, not: {names}")
