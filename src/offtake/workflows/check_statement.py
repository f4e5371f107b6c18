"""Check a statement without the operator: its signature, its chain, its proofs, its terms and its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from offtake.agreements.catalogue import BY_KIND
from offtake.agreements.clauses.acceptance import unaccepted_unpaid
from offtake.agreements.clauses.metering import Metering
from offtake.agreements.derive import entitlement
from offtake.agreements.model import Agreement, after_events
from offtake.base.curve import Curve, maximum
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money
from offtake.base.months import Month, parse_month
from offtake.base.time import Interval
from offtake.billing.statement import GENESIS, HolderTree, Run, blinded, holder_root, terms_hash
from offtake.formats.agreement import spliced
from offtake.formats.plain import from_plain
from offtake.metering.merkle import Sibling, climbed, leaf
from offtake.metering.usage import HOLDING
from offtake.rating.model import Charge, Lot, MonthFacts, Paid
from offtake.rating.rate import differences, rate_month
from offtake.store.keys import verifies
from offtake.workflows.statement import FORMAT, tranche_of_plain, within
from offtake.workflows.texts import compose

_NUMBERED = re.compile(r"^(.*?)(\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: such as ``signature``.
        holds: whether it does.
        detail: what was found, in plain English; each difference by itself.
    """

    name: str
    holds: bool
    detail: tuple[str, ...] = ()


def check_statement(
    bundle: Mapping[str, Any],
    where: str,
    *,
    key: str | None = None,
    runs: Sequence[Mapping[str, Any]] = (),
    own: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[Check, ...]:
    """Everything that can be checked with a bundle alone, and with what the offtaker has besides.

    Args:
        bundle: as the operator gave it.
        where: its file, for problems.
        key: the operator's public key, known from elsewhere.
        runs: runs as they were published, or shown to another offtaker.
        own: the offtaker's own readings.

    Raises:
        BadInput: if it is no bundle that can be read.
    """
    if bundle.get("format") != FORMAT:
        message = f"it is of format {bundle.get('format')!r}, and {FORMAT!r} is read"
        raise BadInput([Problem(where=where, code="unknown_format", message=message)])
    try:
        chain = [from_plain(Run, run) for run in bundle["runs"]]
        tree = from_plain(HolderTree, bundle["tree"])
        return tuple(_checks(bundle, chain, tree, key=key, runs=runs, own=own))
    except (KeyError, TypeError, ValueError, ValidationError, IndexError) as error:
        message = f"it can't be read: {type(error).__name__}: {error}"
        raise BadInput([Problem(where=where, code="no_statement", message=message)]) from error


def _checks(
    bundle: Mapping[str, Any],
    chain: list[Run],
    tree: HolderTree,
    *,
    key: str | None,
    runs: Sequence[Mapping[str, Any]],
    own: Sequence[Mapping[str, Any]] | None,
) -> Iterator[Check]:
    yield _signatures(chain, key)
    yield _chained(chain)
    if runs:
        yield _published(chain, [from_plain(Run, run) for run in runs])
    yield _belongs(bundle, chain[-1], tree)
    yield _readings(bundle, tree)
    yield _numbered(bundle["readings"])
    yield _terms(bundle, tree)
    yield _rated(bundle, tree)
    if own is not None:
        yield _compared(bundle["readings"], own)


def _signatures(chain: Sequence[Run], key: str | None) -> Check:
    wrong = [f"run {run.number} isn't signed by its key" for run in chain if not _signed(run)]
    keys = {run.key for run in chain}
    if len(keys) > 1:
        wrong.append(f"runs are signed by {len(keys)} keys: {', '.join(sorted(k[:16] for k in keys))}")
    if key is not None and keys != {key.lower()}:
        wrong.append(f"the key is {chain[-1].key[:16]}…, not the one you know")
    trust = f"by {chain[-1].key[:16]}…" + (
        "" if key else "; compare the key with one you have from elsewhere"
    )
    return Check(name="signature", holds=not wrong, detail=tuple(wrong) or (trust,))


def _signed(run: Run) -> bool:
    return verifies(run.key, run.signed_bytes, run.signature)


def _chained(chain: Sequence[Run]) -> Check:
    wrong, previous = [], GENESIS
    for number, run in enumerate(chain, start=1):
        if run.number != number:
            wrong.append(f"run {run.number} stands where run {number} should")
        if run.previous != previous:
            wrong.append(f"run {run.number} isn't chained to the one before it")
        previous = run.hash
    return Check(name="chain", holds=not wrong, detail=tuple(wrong) or (f"{len(chain)} runs",))


def _published(chain: Sequence[Run], published: Sequence[Run]) -> Check:
    """Two offtakers that were shown different histories find out by comparing."""
    known = {run.number: run.hash for run in published}
    wrong = [
        f"run {r.number} differs from the one published"
        for r in chain
        if known.get(r.number, r.hash) != r.hash
    ]
    compared = sum(run.number in known for run in chain)
    return Check(name="published", holds=not wrong, detail=tuple(wrong) or (f"{compared} runs are the same",))


def _belongs(bundle: Mapping[str, Any], run: Run, tree: HolderTree) -> Check:
    steps = [Sibling(hash=bytes.fromhex(s["hash"]), left=bool(s["left"])) for s in bundle["path"]]
    wrong = []
    if blinded(str(bundle["holder_salt"]), str(bundle["agreement"])) != tree.holder:
        wrong.append("the part shown isn't this agreement's")
    if climbed(leaf(tree.content), steps).hex() != run.root:
        wrong.append(f"the part shown doesn't belong to run {run.number}")
    return Check(name="proof", holds=not wrong, detail=tuple(wrong) or (f"it belongs to run {run.number}",))


def _readings(bundle: Mapping[str, Any], tree: HolderTree) -> Check:
    rows = bundle["readings"]
    wrong = []
    if rows != sorted(rows, key=lambda row: (row["source"], row["id"])):
        wrong.append("readings aren't in their order")
    if len(rows) != tree.count:
        wrong.append(f"{len(rows)} readings are shown, and {tree.count} were committed to")
    if holder_root((str(row["salt"]), row) for row in rows) != tree.root:
        wrong.append("the readings shown aren't those that were committed to")
    agreement = _agreement(bundle, None)
    total = sum(within(row, agreement.month(parse_month(name))) for row in rows for name in tree.months)
    if total != tree.total:
        wrong.append(f"they add up to {total} GPU-seconds, and {tree.total} were committed to")
    said = f"{tree.count} readings, {tree.total / 3600:,.2f} GPU-hours"
    return Check(name="readings", holds=not wrong, detail=tuple(wrong) or (said,))


def _numbered(rows: Iterable[Mapping[str, Any]]) -> Check:
    """Where a source numbers its readings, numbers that are missing."""
    seen: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        match = _NUMBERED.match(str(row["id"]))
        if match is None:
            return Check(name="numbers", holds=True, detail=("sources don't number their readings",))
        seen.setdefault((str(row["source"]), match[1]), []).append(int(match[2]))
    gaps = []
    for (source, prefix), numbers in sorted(seen.items()):
        missing = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
        if missing:
            shown = ", ".join(f"{prefix}{n}" for n in missing[:5]) + (" …" if len(missing) > 5 else "")
            gaps.append(f"{source} numbers its readings, and {len(missing)} are missing: {shown}")
    # another holder's readings of the same source may have those numbers: it is for the offtaker to ask
    return Check(name="numbers", holds=True, detail=tuple(gaps) or ("no number is missing",))


def _terms(bundle: Mapping[str, Any], tree: HolderTree) -> Check:
    found = terms_hash(bundle["texts"], bundle["events"])
    wrong = () if found == tree.terms else ("the agreement shown isn't the one that was committed to",)
    return Check(name="terms", holds=not wrong, detail=wrong or ("the agreement's texts and events",))


def _agreement(bundle: Mapping[str, Any], until: int | None) -> Agreement:
    """The agreement as it holds at an instant, from the texts and events of the bundle."""
    versions = compose(bundle["texts"])
    if until is not None:
        versions = tuple(v for v in versions if v[0] is None or v[1].midnight(v[0]) < until) or versions[:1]
    events = [from_plain(BY_KIND[event["kind"]], event["body"]) for event in bundle["events"]]
    return unaccepted_unpaid(after_events(spliced(versions), events))


def _rated(bundle: Mapping[str, Any], tree: HolderTree) -> Check:
    """Every month rated again from the agreement and the readings, against the lines that were billed."""
    wrong: list[str] = []
    summed = 0
    zone = _agreement(bundle, None).time_zone
    stated = {month["month"]: month for month in bundle["months"]}
    for name in tree.months:
        month = parse_month(name)
        agreement = _agreement(bundle, month.interval(zone).end)
        facts = _facts(agreement, month, stated[name]["facts"], bundle["readings"])
        billed = [_line(line) for line in stated[name]["lines"]]
        own = [line for line in billed if line.clause != "credit"]
        wrong += [
            f"{name} {one.clause}: {one.text}, {one.amount}"
            for one in differences(rate_month(agreement, facts).charges, own, agreement.currency)
        ]
        summed += sum(line.amount.minor for line in billed)
    currency = _agreement(bundle, None).currency
    said = f"{len(tree.months)} months, {Money(summed, currency)}"
    return Check(name="lines", holds=not wrong, detail=tuple(wrong) or (said,))


def _line(plain: Mapping[str, Any]) -> Charge:
    return from_plain(Charge, {name: value for name, value in plain.items() if name != "document"})


def _facts(
    agreement: Agreement, month: Month, stated: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> MonthFacts:
    """A month's facts: what the operator states, and take and entitlement worked out anew."""
    period = agreement.month(month)
    tranches = {}
    for name, plain in stated["tranches"].items():
        own = [r for r in rows if r["subject"] == f"{agreement.id}/{name}" and r["kind"] in HOLDING]
        use = _curve(own).restrict(period)
        owed = Curve.zero()
        if agreement.tranche_of(name).queue is None:
            owed = entitlement(agreement, agreement.tranche_of(name)).value.restrict(period)
        tranches[name] = tranche_of_plain(
            plain,
            entitled=owed.integrate(period),
            taken=_taken(agreement, own, use, period),
            over=maximum(use - owed, Curve.zero()).integrate(period),
            use=use,
        )
    return MonthFacts(
        month=month,
        tranches=tranches,
        energy_wh=int(stated["energy_wh"]),
        unsold={pool: int(seconds) for pool, seconds in stated["unsold"].items()},
        paid=tuple(from_plain(Paid, paid) for paid in stated["paid"]),
        carried={
            account: tuple(from_plain(Lot, lot) for lot in lots)
            for account, lots in stated["carried"].items()
        },
    )


def _taken(agreement: Agreement, rows: Sequence[Mapping[str, Any]], use: Curve, period: Interval) -> int:
    """GPU-seconds that a month counts: by the second, or rounded up where the agreement says so."""
    metering = agreement.first_of(Metering)
    if metering is None:
        return use.integrate(period)
    step = metering[1].increment_s
    return sum(
        int(row["value"]) * -(-(int(row["end"]) - int(row["start"])) // step) * step
        for row in rows
        if int(row["start"]) in period
    )


def _curve(rows: Sequence[Mapping[str, Any]]) -> Curve:
    if not rows:
        return Curve.zero()
    starts, ends, values = ([int(row[name]) for row in rows] for name in ("start", "end", "value"))
    return Curve.from_records(starts, ends, values)


def _compared(rows: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> Check:
    """The statement's readings beside the offtaker's, each difference by name."""
    stated = {(str(r["source"]), str(r["id"])): r for r in rows}
    mine = {(str(r["source"]), str(r["id"])): r for r in own}
    wrong = []
    for name in sorted(stated.keys() | mine.keys()):
        here, there = stated.get(name), mine.get(name)
        label = f"reading {name[1]!r} of {name[0]}"
        if here is None:
            wrong.append(f"{label} is yours and isn't in the statement")
        elif there is None:
            wrong.append(f"{label} is in the statement and isn't yours")
        else:
            fields = [f for f in ("subject", "start", "end", "value") if str(here[f]) != str(there[f])]
            if fields:
                said = ", ".join(f"{f} {here[f]} instead of your {there[f]}" for f in fields)
                wrong.append(f"{label}: {said}")
    return Check(
        name="yours", holds=not wrong, detail=tuple(wrong) or (f"{len(mine)} readings are the same",)
    )
