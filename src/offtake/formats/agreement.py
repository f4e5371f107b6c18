"""An agreement's TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Annotated, Any

from annotated_types import MinLen

from offtake.agreements.catalogue import CLAUSES
from offtake.agreements.check import check_agreement
from offtake.agreements.model import Agreement, Clause, Tranche
from offtake.agreements.terms import Covers, HoursConvention, Provenance, TermSheet
from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Rounding
from offtake.base.months import plus_days, plus_months
from offtake.formats.amendment import Amendment, amended
from offtake.formats.positions import locating
from offtake.formats.toml import parse_toml, read, unknown_key, unwrap

TENOR_MONTHS_MAX = 1_200

Versions = tuple[tuple[date | None, Agreement], ...]
"""Texts in force one after the other, each with the first day it holds; None for the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header(Declared):
    id: str
    title: str = ""
    operator: str
    offtaker: str
    signed: date
    currency: str
    time_zone: str
    hours: HoursConvention = HoursConvention.CALENDAR
    rounding: Rounding = Rounding.HALF_EVEN
    covers: Covers = Covers.COMPUTE
    through: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tranches(Declared):
    tranche: Annotated[tuple[Tranche, ...], MinLen(1)]


def parse_agreement(text: str, where: str, *, amendments: Sequence[Amendment] = ()) -> Agreement:
    """Read an agreement.

    Args:
        text: the file.
        where: its name, for problems.
        amendments: applied one after the other.

    Raises:
        BadInput: with every problem found, each with its path, the offending value and what is expected.
    """
    with locating(text, where):
        node = parse_toml(text, where)
        if not amendments:
            return _agreement(node, where)
    for amendment in amendments:
        node = amended(node, amendment)
        where = f"{where} as amended by {amendment.where}"
    return _agreement(node, where)


def spliced(versions: Versions) -> Agreement:
    """The last text, with those before it beside it."""
    pairs = pairwise(versions)
    earlier = tuple((until, text) for (_, text), (until, _) in pairs if until is not None)
    return replace(versions[-1][1], earlier=earlier)


def parse_versions(text: str, where: str, amendments: Sequence[Amendment]) -> Versions:
    """An agreement's texts one after the other.

    Raises:
        BadInput: with every problem of any of them.
    """
    ordered = sorted(amendments, key=lambda a: (a.header.effective, a.header.number))
    found: list[tuple[date | None, Agreement]] = [(None, parse_agreement(text, where))]
    for count, amendment in enumerate(ordered, start=1):
        text_ = parse_agreement(text, where, amendments=ordered[:count])
        if found[-1][0] == amendment.header.effective:
            found.pop()
        found.append((amendment.header.effective, text_))
    return tuple(found)


def _agreement(node: dict[str, Any], where: str) -> Agreement:
    found: dict[str, Provenance] = {}
    problems: list[Problem] = []
    node = unwrap(node, "", found, problems)
    _fill_ends(node, found)
    header = read(_Header, node.pop("agreement", {}), "agreement", problems)
    tranches = read(_Tranches, {"tranche": node.pop("tranche", [])}, "", problems)
    clauses = _clauses(node, problems)
    if header is None or tranches is None:
        raise BadInput([problem.within(where) for problem in problems])
    agreement = Agreement(
        **{name: getattr(header, name) for name in _Header.__dataclass_fields__ if name != "through"},
        tranches=tranches.tranche,
        clauses=tuple(clauses),
        sheet=TermSheet(found),
    )
    meant = check_agreement(agreement, where)
    if problems:
        # a clause that couldn't be read isn't missing
        meant = [problem for problem in meant if problem.code != "missing_clause"]
    if problems or meant:
        raise BadInput([*(problem.within(where) for problem in problems), *meant])
    return agreement


def _fill_ends(node: dict[str, Any], found: dict[str, Provenance]) -> None:
    """Give each tranche without `through` its end: of its own tenor, or the common one of the header."""
    header, tranches = node.get("agreement", {}), node.get("tranche", [])
    if not isinstance(header, dict) or not isinstance(tranches, list):
        return  # reported as a wrong shape when it is read
    for i, tranche in enumerate(tranches):
        if not isinstance(tranche, dict) or "through" in tranche:
            continue
        months, start = tranche.get("tenor_months"), tranche.get("start")
        if isinstance(months, int) and 0 < months <= TENOR_MONTHS_MAX and isinstance(start, date):
            tranche["through"], of = plus_days(plus_months(start, months), -1), f"tranche[{i}].tenor_months"
        elif "through" in header:
            tranche["through"], of = header["through"], "agreement.through"
        else:
            continue
        if of in found:
            found[f"tranche[{i}].through"] = found[of]


def _clauses(node: dict[str, Any], problems: list[Problem]) -> list[tuple[str, Clause]]:
    clauses: list[tuple[str, Clause]] = []
    for name, section in node.items():
        kind = CLAUSES.get(name)
        if kind is None:
            problems.append(unknown_key(name, name, ["agreement", "tranche", *CLAUSES]))
            continue
        many = isinstance(section, list)
        for i, item in enumerate(section if many else [section]):
            path = f"{name}[{i}]" if many else name
            clause = read(kind, item, path, problems)
            if clause is not None:
                clauses.append((path, clause))
    return clauses
