"""A book's folder: the files a person writes, read and checked as a whole.

offtake.toml        the operator, the run, the order of precedence
fleet.toml          sites, pools, derates
agreements/*.toml   one file per agreement
demand/*.toml       internal demand, and what offtakers want of their entitlement (simulation only)
scenario.toml       dated outside facts that a simulation meets on its way (optional)
workload/*.parquet  jobs or recorded readings, where ``[workload]`` names them (simulation only)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offtake.agreements.check import check_pools
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Provenance
from offtake.base.canonical import canonical_bytes, digest
from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.money import minor_exponent
from offtake.base.months import Month, check_zone
from offtake.base.time import Interval
from offtake.claims.model import Firmness
from offtake.fleet.capacity import check_fleet
from offtake.fleet.model import Fleet
from offtake.formats.agreement import parse_agreement, parse_versions, spliced
from offtake.formats.amendment import Amendment, is_amendment, parse_amendment
from offtake.formats.demand import (
    Demand,
    DemandDeclaration,
    TakeDeclaration,
    check_demand,
    demand_curve,
    inside,
)
from offtake.formats.positions import located
from offtake.formats.scenario import Scenario, parse_scenario
from offtake.formats.toml import parse_toml, read, unwrap


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFile(Declared):
    """Where the work of a simulation comes from: one of the two, as a path within the folder.

    Attributes:
        jobs: a Parquet file of jobs that queue for GPUs; see `offtake.formats.workload.load_jobs`.
        readings: a Parquet file of what ran, as recorded; see `offtake.formats.workload.load_recorded`.
    """

    jobs: str | None = None
    readings: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Declared):
    """What ``offtake.toml`` says.

    Attributes:
        name: the operator.
        time_zone: of its months and of the run.
        currency: of its summary.
        first: first month of the run.
        last: last month of the run.
        precedence: order in which claims are served, firm first.
        workload: where work comes from, or None where demand says it all.
        two_people: in a live book, what the operator does under an agreement takes two people.
    """

    name: str
    time_zone: str
    currency: str
    first: Month
    last: Month
    two_people: bool = True
    precedence: tuple[Firmness, ...] = (
        Firmness.FIRM,
        Firmness.INTERNAL,
        Firmness.RECALLABLE,
        Firmness.INTERRUPTIBLE,
        Firmness.ELASTIC,
    )
    workload: WorkloadFile | None = None

    @property
    def window(self) -> Interval:
        """The run, from the first local midnight to the one after the last month."""
        return Interval(self.first.interval(self.time_zone).start, self.last.interval(self.time_zone).end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demands(Declared):
    demand: tuple[DemandDeclaration, ...] = ()
    take: tuple[TakeDeclaration, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operator(Declared):
    name: str
    time_zone: str
    currency: str
    two_people: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run(Declared):
    first: Month
    last: Month


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allocation(Declared):
    precedence: tuple[Firmness, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings(Declared):
    operator: _Operator
    run: _Run
    allocation: _Allocation | None = None
    workload: WorkloadFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Everything a folder says, valid as a whole.

    Attributes:
        agreements: by id, with their amendments spliced in.
        places: by agreement, the file it is in.
        amendments: by file.
        texts: the text of ``fleet.toml`` and of each agreement, by relative path; what the book records.
        digest: hash of every file a run reads, so that a run isn't gone on with after a change.
    """

    path: Path
    settings: Settings
    fleet: Fleet
    fleet_assumptions: tuple[tuple[str, Provenance], ...]
    agreements: Mapping[str, Agreement]
    demands: tuple[Demand, ...]
    takes: tuple[TakeDeclaration, ...]
    scenario: Scenario
    places: Mapping[str, str] = field(default_factory=dict)
    amendments: Mapping[str, Amendment] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


def load_folder(path: Path) -> Folder:
    """Read and check a folder.

    Raises:
        BadInput: with every problem of every file.
    """
    problems: list[Problem] = []
    texts = _texts(path, problems)
    if problems:
        raise BadInput(problems)
    settings = _attempt(problems, parse_settings, texts.get("offtake.toml", ""), "offtake.toml")
    fleet = _attempt(problems, parse_fleet, texts.get("fleet.toml", ""), "fleet.toml")
    pools = [pool.id for pool in fleet[0].pool] if fleet else None
    agreements, places, amendments = _agreements(texts, pools, problems)
    demands, takes = _demands(path, texts, settings, pools, problems)
    scenario = (
        _attempt(
            problems,
            parse_scenario,
            texts.get("scenario.toml", ""),
            "scenario.toml",
            fleet[0] if fleet else None,
            agreements,
        )
        or Scenario()
    )
    _check_takes(takes, agreements, problems)
    _check_queues(agreements, demands, problems)
    _check_workload(path, settings, takes, problems)
    if problems or settings is None or fleet is None:
        raise BadInput(problems)
    return Folder(
        path=path,
        settings=settings,
        fleet=fleet[0],
        fleet_assumptions=fleet[1],
        agreements=agreements,
        places=places,
        amendments=amendments,
        demands=demands,
        takes=takes,
        scenario=scenario,
        texts={
            name: text
            for name, text in texts.items()
            if name == "fleet.toml" or name.startswith("agreements/")
        },
        digest=_digest(path, texts, settings.workload),
    )


def _digest(path: Path, texts: Mapping[str, str], workload: WorkloadFile | None) -> str:
    """Of the texts, and of the bytes of demand series and workloads."""
    data = sorted(
        file
        for part in ("demand", "workload")
        for file in (path / part).rglob("*")
        if file.is_file() and file.suffix != ".toml"
    )
    if workload is not None:
        data.append(path / (workload.jobs or workload.readings or ""))
    return digest(
        canonical_bytes(
            {
                "texts": dict(texts),
                "data": {str(file.relative_to(path)): digest(file.read_bytes()) for file in data},
            }
        )
    )


def _attempt(problems: list[Problem], parse: Any, *args: Any) -> Any:
    try:
        return parse(*args)
    except BadInput as error:
        named = len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str)
        problems.extend(located(error.problems, args[0], args[1]) if named else error.problems)
    return None


def _texts(path: Path, problems: list[Problem]) -> dict[str, str]:
    names = ["offtake.toml", "fleet.toml"]
    optional = ["scenario.toml"]
    for part in ("agreements", "demand"):
        optional += sorted(str(file.relative_to(path)) for file in (path / part).glob("*.toml"))
    texts = {}
    for name in [*names, *(n for n in optional if (path / n).exists())]:
        try:
            texts[name] = (path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            problems.append(
                Problem(
                    where=str(path / name),
                    code="missing_file",
                    message="there is no such file",
                    remedy="`offtake init` writes a folder to begin with",
                )
            )
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(where=str(path / name), code="unreadable", message=str(error)))
    return texts


def parse_settings(text: str, where: str) -> Settings:
    """Read ``offtake.toml``.

    Raises:
        BadInput: with every problem.
    """
    problems: list[Problem] = []
    node = unwrap(parse_toml(text, where), "", {}, problems)
    parsed = read(_Settings, node, "", problems)
    if parsed is not None:
        problems += _check_settings(parsed)
    if parsed is None or problems:
        raise BadInput([problem.within(where) for problem in problems])
    precedence = {"precedence": parsed.allocation.precedence} if parsed.allocation else {}
    return Settings(
        name=parsed.operator.name,
        time_zone=parsed.operator.time_zone,
        currency=parsed.operator.currency,
        two_people=parsed.operator.two_people,
        first=parsed.run.first,
        last=parsed.run.last,
        workload=parsed.workload,
        **precedence,
    )


def _check_settings(parsed: _Settings) -> list[Problem]:
    problems = []
    for path, code, check, value in (
        ("operator.time_zone", "unknown_time_zone", check_zone, parsed.operator.time_zone),
        ("operator.currency", "bad_currency", minor_exponent, parsed.operator.currency),
    ):
        try:
            check(value)
        except ValueError as error:
            remedy = "write a known one, such as America/Chicago or USD"
            problems.append(Problem(where=path, code=code, message=str(error), remedy=remedy))
    if parsed.run.last < parsed.run.first:
        problems.append(
            Problem(
                where="run.last",
                code="end_before_start",
                message=f"the last month {parsed.run.last} is before the first {parsed.run.first}",
                remedy="`last` is the last month of the run",
            )
        )
    if parsed.workload is not None and (parsed.workload.jobs is None) == (parsed.workload.readings is None):
        problems.append(
            Problem(
                where="workload",
                code="one_of",
                message="say where the work comes from, once",
                remedy="one of jobs or readings; without the section, demand says what runs",
            )
        )
    order = parsed.allocation.precedence if parsed.allocation else ()
    if order and (order[0] is not Firmness.FIRM or sorted(order) != sorted(Firmness)):
        problems.append(
            Problem(
                where="allocation.precedence",
                code="precedence",
                message=f"{', '.join(order)}: each firmness must be named once, firm first",
                remedy="firm claims are broken only by a recorded decision",
            )
        )
    return problems


def parse_fleet(text: str, where: str) -> tuple[Fleet, tuple[tuple[str, Provenance], ...]]:
    """Read ``fleet.toml``, and what it assumes.

    Raises:
        BadInput: with every problem.
    """
    problems: list[Problem] = []
    found: dict[str, Provenance] = {}
    node = unwrap(parse_toml(text, where), "", found, problems)
    fleet = read(Fleet, node, "", problems)
    if fleet is not None and not problems:
        problems += check_fleet(fleet, where)
        if not problems:
            return fleet, tuple((path, prov) for path, prov in found.items() if prov.assumed)
        raise BadInput(problems)
    raise BadInput([problem.within(where) for problem in problems])


def _agreements(
    texts: Mapping[str, str], pools: list[str] | None, problems: list[Problem]
) -> tuple[dict[str, Agreement], dict[str, str], dict[str, Amendment]]:
    """Agreements with their amendments spliced in, the file of each, and the amendments by file."""
    files = {name: text for name, text in texts.items() if name.startswith("agreements/")}
    amendments = {
        name: amendment
        for name, text in files.items()
        if is_amendment(text) and (amendment := _attempt(problems, parse_amendment, text, name)) is not None
    }
    agreements: dict[str, Agreement] = {}
    places: dict[str, str] = {}
    for name, text in files.items():
        if is_amendment(text):
            continue
        first = _attempt(problems, parse_agreement, text, name)
        if first is None:
            continue
        if first.id in agreements:
            problems.append(
                Problem(
                    where=f"{name}: agreement.id",
                    code="duplicate",
                    message=f"another file already has the agreement {first.id!r}",
                )
            )
        own = [a for a in amendments.values() if a.header.of == first.id]
        versions = _attempt(problems, parse_versions, text, name, own)
        agreements[first.id], places[first.id] = (spliced(versions) if versions else first), name
        for version in (v[1] for v in versions or ()):
            if pools is not None:
                problems.extend(p for p in check_pools(version, pools, name) if p not in problems)
    problems.extend(_check_amendments(amendments, agreements))
    return agreements, places, amendments


def _check_amendments(
    amendments: Mapping[str, Amendment], agreements: Mapping[str, Agreement]
) -> Iterable[Problem]:
    seen: dict[tuple[str, int], str] = {}
    for name, amendment in amendments.items():
        head = amendment.header
        if head.of not in agreements:
            yield Problem(
                where=f"{name}: amendment.of",
                code="unknown_agreement",
                message=f"there is no agreement {head.of!r}",
                remedy=f"agreements are {', '.join(agreements)}",
            )
        if (head.of, head.number) in seen:
            yield Problem(
                where=f"{name}: amendment.number",
                code="duplicate",
                message=f"{seen[head.of, head.number]} is already amendment {head.number} of {head.of!r}",
                remedy="number amendments 1, 2, 3, …",
            )
        seen.setdefault((head.of, head.number), name)


def _demands(
    path: Path,
    texts: Mapping[str, str],
    settings: Settings | None,
    pools: list[str] | None,
    problems: list[Problem],
) -> tuple[tuple[Demand, ...], tuple[TakeDeclaration, ...]]:
    demands: list[Demand] = []
    takes: list[TakeDeclaration] = []
    for name, text in texts.items():
        if not name.startswith("demand/"):
            continue
        node = _attempt(problems, parse_toml, text, name)
        if node is None:
            continue
        found: list[Problem] = []
        parsed = read(_Demands, unwrap(node, "", {}, found), "", found)
        problems += [problem.within(name) for problem in found]
        if parsed is None or settings is None:
            continue
        takes += parsed.take
        for i, declaration in enumerate(parsed.demand):
            at = f"{name}: demand[{i}]"
            wrong = check_demand(at, declaration, [d.declaration.id for d in demands], pools)
            problems += wrong
            if wrong:
                continue
            curve = _attempt(problems, demand_curve, declaration, settings.window, path, at)
            if curve is not None:
                demands.append(Demand(declaration=declaration, curve=curve))
    return tuple(demands), tuple(takes)


def _check_takes(
    takes: tuple[TakeDeclaration, ...], agreements: Mapping[str, Agreement], problems: list[Problem]
) -> None:
    known = [
        f"{agreement.id}/{tranche.id}" for agreement in agreements.values() for tranche in agreement.tranches
    ]
    problems += [
        Problem(
            where="demand: take.claim",
            code="unknown_claim",
            message=f"there is no tranche {take.claim!r}",
            remedy=f"tranches are {', '.join(known)}",
        )
        for take in takes
        if known and take.claim not in known
    ]


def _check_queues(
    agreements: Mapping[str, Agreement], demands: tuple[Demand, ...], problems: list[Problem]
) -> None:
    pools = {demand.declaration.id: demand.declaration.pools for demand in demands}
    for agreement in agreements.values():
        for i, tranche in enumerate(agreement.tranches):
            where = f"agreement {agreement.id}: tranche[{i}]"
            if tranche.queue is None:
                continue
            if tranche.queue not in pools:
                problems.append(
                    Problem(
                        where=f"{where}.queue",
                        code="unknown_queue",
                        message=f"there is no internal demand {tranche.queue!r} to run in",
                        remedy=f"demands are {', '.join(pools) or 'none'}",
                    )
                )
            elif tranche.pools != pools[tranche.queue]:
                problems.append(
                    Problem(
                        where=f"{where}.pools",
                        code="queue_pools",
                        message=f"the queue {tranche.queue!r} doesn't hold {', '.join(tranche.pools)}",
                        remedy=f"name its demand's pools: {', '.join(pools[tranche.queue])}",
                    )
                )


def _check_workload(
    path: Path, settings: Settings | None, takes: tuple[TakeDeclaration, ...], problems: list[Problem]
) -> None:
    if settings is None or settings.workload is None:
        return
    name = settings.workload.jobs or settings.workload.readings or ""
    if not _attempt(problems, inside, path, name, "offtake.toml: workload"):
        return
    if not (path / name).is_file():
        problems.append(
            Problem(
                where="offtake.toml: workload",
                code="missing_file",
                message=f"there is no file {name!r} in the folder",
                remedy="give its path within the folder, such as workload/jobs.parquet",
            )
        )
    if takes:
        problems.append(
            Problem(
                where="demand: take",
                code="contradiction",
                message=f"both {name!r} and a generator say what offtakers take ({takes[0].claim})",
                remedy="remove [[take]] or [workload]",
            )
        )
