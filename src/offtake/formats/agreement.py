"""An agreement's TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from annotated_types import MinLen

from offtake.agreements.check import check_agreement
from offtake.agreements.clauses import CLAUSES
from offtake.agreements.model import Agreement, Clause, Tranche
from offtake.agreements.terms import HoursConvention, Provenance, TermSheet
from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Rounding
from offtake.formats.toml import parse_toml, read, unknown_key, unwrap


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tranches(Declared):
    tranche: Annotated[tuple[Tranche, ...], MinLen(1)]


def parse_agreement(text: str, where: str) -> Agreement:
    """Read an agreement.

    Args:
        text: the file.
        where: its name, for problems.

    Raises:
        BadInput: with every problem found, each with its path, the offending value and what is expected.
    """
    found: dict[str, Provenance] = {}
    problems: list[Problem] = []
    node = unwrap(parse_toml(text, where), "", found, problems)
    header = read(_Header, node.pop("agreement", {}), "agreement", problems)
    tranches = read(_Tranches, {"tranche": node.pop("tranche", [])}, "", problems)
    clauses = _clauses(node, problems)
    if header is None or tranches is None:
        raise BadInput([problem.within(where) for problem in problems])
    agreement = Agreement(
        **{name: getattr(header, name) for name in _Header.__dataclass_fields__},
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
