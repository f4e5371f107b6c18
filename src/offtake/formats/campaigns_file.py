"""A plan of campaigns in TOML, for forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.ids import check_name
from offtake.base.months import local_midnight
from offtake.claims.campaigns import Campaign
from offtake.formats.toml import parse_toml, read, unwrap


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDeclaration(Declared):
    """A campaign that is planned.

    Attributes:
        id: its name, once in a plan.
        gpus: the gang; it runs with all of them or not at all.
        earliest: first day on which it may begin, UTC.
        latest: last day on which it may; each day between is as likely. The same day when left out.
        days: shortest and longest it may take; each length is as likely.
        probability: that it comes at all.
    """

    id: str
    gpus: Annotated[int, Gt(0), Le(10**9)]
    earliest: date
    latest: date | None = None
    days: Annotated[tuple[Annotated[int, Gt(0), Le(36_500)], ...], MinLen(2), MaxLen(2)]
    probability: Annotated[float, Gt(0), Le(1)] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignsFile(Declared):
    """A plan."""

    campaign: Annotated[tuple[CampaignDeclaration, ...], MinLen(1)]
    version: Annotated[int, Ge(1), Le(1)] = 1


def parse_campaigns(text: str, where: str) -> tuple[Campaign, ...]:
    """Read a plan of campaigns.

    Raises:
        BadInput: with every problem.
    """
    problems: list[Problem] = []
    plan = read(CampaignsFile, unwrap(parse_toml(text, where), "", {}, problems), "", problems)
    if plan is not None:
        for i, one in enumerate(plan.campaign):
            problems += _check(f"campaign[{i}]", one, [other.id for other in plan.campaign[:i]])
    if plan is None or problems:
        raise BadInput([problem.within(where) for problem in problems])
    return tuple(
        Campaign(
            id=one.id,
            gpus=one.gpus,
            earliest=local_midnight(one.earliest, "UTC"),
            slack_days=((one.latest or one.earliest) - one.earliest).days,
            days=(one.days[0], one.days[1]),
            probability=one.probability,
        )
        for one in plan.campaign
    )


def _check(at: str, one: CampaignDeclaration, earlier: list[str]) -> list[Problem]:
    problems = []
    try:
        check_name(one.id)
    except ValueError as error:
        problems.append(Problem(where=f"{at}.id", code="bad_name", message=str(error)))
    if one.id in earlier:
        problems.append(Problem(where=f"{at}.id", code="duplicate", message=f"{one.id!r} appears twice"))
    if one.latest is not None and one.latest < one.earliest:
        message = f"{one.latest} is before {one.earliest}"
        problems.append(Problem(where=f"{at}.latest", code="bad_range", message=message))
    if one.days[0] > one.days[1]:
        message = f"{list(one.days)} doesn't go from the shortest to the longest"
        problems.append(Problem(where=f"{at}.days", code="bad_range", message=message))
    return problems
