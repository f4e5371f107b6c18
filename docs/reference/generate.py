"""Bring the generated parts of the reference up to date: ``python docs/reference/generate.py``.

Pages of this folder are written by hand, except between ``<!-- generated WHAT -->`` and
``<!-- end generated -->``, which follow from the code. `WHAT` is one of:

    keys MODULE:CLASS   a table of the keys that a dataclass reads from a file
    clauses             every clause of an agreement, with its keys and a worked figure
    events              every event that parties may bring about, with its keys
    event facts         the kinds of fact that these events become
    file PATH           a file of the repository, verbatim
    commands            every command with its arguments and options
    errors              the tree of exceptions with exit codes
    refusals            every code of a business "no", and who says it
    problems            every code of a problem found in an input
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SRC = ROOT / "src" / "offtake"
REGION = re.compile(
    r"(?P<head><!-- generated (?P<what>.+?) -->\n).*?(?P<tail><!-- end generated -->)", flags=re.DOTALL
)

NOTES = {
    "_Header.through": "last day of every tranche that names no end of its own",
    "Step.start": "from this day on",
    "Step.quantity": "the quantity, in the tranche's unit",
    "UsageFee.rate_per_gpu_h": "rate per GPU-hour taken",
    "UsageFee.currency": "may be left out; must be the agreement's",
    "AvailabilityCredit.band": "rungs of the ladder, from the highest availability down",
    "AvailabilityCredit.cap": "no credit above this fraction of the month's fee",
    "Band.below": "availability strictly below this fraction …",
    "Band.credit": "… earns this fraction of the month's fee",
    "Payment.timing": "whether the fixed fee is billed as the month begins or when it has ended",
    "Payment.net_days": "calendar days from issue to due",
    "_Operator.name": "the operator",
    "_Operator.time_zone": "of its months, and of the run",
    "_Operator.currency": "of its summary",
    "_Operator.two_people": "in a live book, what the operator does under an agreement takes two people",
    "_Run.first": "first month of the run",
    "_Run.last": "last month of the run",
    "_Allocation.precedence": "order in which claims are served; each firmness once, `firm` first",
    "Site.id": "name of the site",
    "Site.name": "for people",
    "Site.critical_it_mw": "power that reaches IT equipment, before PUE, in megawatts",
    "Site.pue": "power usage effectiveness; recorded, not used yet",
    "Site.region": "for people",
    "Site.time_zone": "of its dates, a name of the tz database",
    "Site.source": "where this comes from",
    "Site.assumed": "not known but assumed",
    "Pool.topology": "how its nodes stand together, and what of them is held back; below",
    "Pool.id": "name of the pool",
    "Pool.site": "the site it stands on",
    "Pool.gpu_model": "for people",
    "Pool.gpus_per_node": "GPUs of one node, the smallest thing a claim can hold",
    "Pool.kw_per_gpu": "critical-IT power of one GPU with its share of the node, in kW",
    "Pool.build_out": "blocks of nodes by date of service",
    "Pool.source": "where this comes from",
    "Pool.assumed": "not known but assumed",
    "BuildOut.source": "where this comes from",
    "BuildOut.assumed": "not known but assumed",
    "Derate.id": "name of the derate",
    "Derate.pool": "the pool",
    "Derate.start": "first day, at local midnight of the site",
    "Derate.through": "last day included; for ever when left out",
    "Derate.gpus": "how many GPUs aren't usable",
    "Derate.reason": "for people",
    "Derate.source": "where this comes from",
    "Derate.assumed": "not known but assumed",
    "DemandDeclaration.id": "name of the claim it makes",
    "DemandDeclaration.holder": "the team",
    "DemandDeclaration.firmness": "its rank when capacity is short",
    "DemandDeclaration.pools": "pools that may serve it, most preferred first",
    "DemandDeclaration.training": "training campaigns from a seed",
    "DemandDeclaration.inference": "inference demand from a seed",
    "DemandDeclaration.constant_gpus": "so many GPUs throughout the run",
    "DemandDeclaration.file": "CSV or Parquet file beside this one, with columns `start` and `gpus`",
    "TakeDeclaration.claim": "agreement and tranche, such as `acme/main`",
    "TakeDeclaration.share": "what it wants of its entitlement, from a seed",
    "Inference.seed": "of the generator",
    "Inference.start_gpus": "level at the start of the run",
    "Inference.growth_per_year": "the level grows by this factor in 365 days",
    "Inference.daily_swing": "amplitude of the day's wave, a fraction of the level",
    "Inference.weekend_drop": "fraction that Saturdays and Sundays (UTC) lack",
    "Inference.noise": "standard deviation of the hourly noise, a fraction of the level",
    "Inference.peak_hour_utc": "hour at which the wave is highest",
    "Inference.step_gpus": "rounded to the nearest multiple of this",
    "Inference.ceiling_gpus": "never more than this",
    "ShareOfEntitlement.seed": "of the generator",
    "ShareOfEntitlement.first": "share at the start of the run",
    "ShareOfEntitlement.last": "share at its end, reached along a straight line",
    "ShareOfEntitlement.daily_swing": "amplitude of the day's wave, a fraction of the share",
    "ShareOfEntitlement.noise": "standard deviation of the hourly noise, a fraction of the share",
    "ShareOfEntitlement.peak_hour_utc": "hour at which the wave is highest",
    "ScenarioOutage.id": "name of the outage",
    "ScenarioOutage.pool": "the pool",
    "ScenarioOutage.start": "when it begins, such as `2027-02-09T08:00:00Z`",
    "ScenarioOutage.end": "when it is over; while it lasts, left out",
    "ScenarioOutage.gpus": "how many GPUs are out",
    "ScenarioDelivery.id": "name, for people",
    "ScenarioDelivery.pool": "the pool",
    "ScenarioDelivery.build_out": "the block; its plan is replaced as a whole",
    "ScenarioDelivery.known_on": "the day the book learns of it",
    "ScenarioDelivery.step": "what arrives when",
    "DeliveryStep.on": "the day, at local midnight of the site",
    "DeliveryStep.nodes": "nodes that arrive",
    "ScenarioPayment.id": "name of the payment",
    "ScenarioPayment.agreement": "the agreement's id",
    "ScenarioPayment.amount": "in major units of the agreement's currency",
    "ScenarioPayment.received": "the day it came in",
}
"""What a key means, where its class's docstring doesn't say it under ``Attributes:``."""

DESCRIBED_BY = {"_Header": "offtake.agreements.model:Agreement"}
"""Classes whose keys another class describes."""


def rendered(page: str) -> str:
    """A page with its generated parts brought up to date."""
    return REGION.sub(lambda match: f"{match['head']}{_region(match['what'])}\n{match['tail']}", page)


def _region(what: str) -> str:
    verb, _, rest = what.partition(" ")
    makers: dict[str, Callable[[str], str]] = {
        "keys": lambda path: keys_table(_class_of(path)),
        "clauses": lambda _: "\n\n".join(_clauses()),
        "events": lambda _: "\n\n".join(_events()),
        "event": lambda _: "\n\n".join(_event_facts()),
        "file": lambda path: f"```toml\n{(ROOT / path).read_text(encoding='utf-8').rstrip()}\n```",
        "commands": lambda _: "\n\n".join(_commands()),
        "errors": lambda _: "\n".join(_errors()),
        "refusals": lambda _: "\n".join(_refusals()),
        "problems": lambda _: "\n".join(_problems()),
    }
    return makers[verb](rest)


def _class_of(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found


# --- keys of files ---------------------------------------------------------------------------------


def keys_table(kind: type[Any], *, but: tuple[str, ...] = ()) -> str:
    """The keys of a dataclass, some left out: name, what may stand there, default, meaning."""
    hints = get_type_hints(kind, include_extras=True)
    described = _attributes(_class_of(DESCRIBED_BY[kind.__name__]) if kind.__name__ in DESCRIBED_BY else kind)
    rows = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for field in fields(kind):
        if field.name in but:
            continue
        meaning = described.get(field.name) or NOTES.get(f"{kind.__name__}.{field.name}")
        if meaning is None:
            raise LookupError(
                f"nothing says what {kind.__name__}.{field.name} means: add it to its docstring"
            )
        rows.append(f"| `{field.name}` | {value_of(hints[field.name])} | {_default(field)} | {meaning} |")
    return "\n".join(rows)


def _attributes(kind: type[Any]) -> dict[str, str]:
    """Meanings from the ``Attributes:`` section of a docstring."""
    section = re.search(
        r"^Attributes:\n(.*?)(?=^\S|\Z)", inspect.getdoc(kind) or "", flags=re.MULTILINE | re.DOTALL
    )
    entries = re.findall(
        r"^ {4}(\w+): (.*?)(?=^ {4}\w+: |\Z)", section[1] if section else "", flags=re.MULTILINE | re.DOTALL
    )
    plain = {name: " ".join(text.split()).rstrip(".") for name, text in entries}
    return {name: re.sub(r"\bNone\b", "nothing", text) for name, text in plain.items()}


def value_of(hint: Any) -> str:
    """What may be written for a type, in words."""
    if get_origin(hint) is Annotated:
        inner, *bounds = get_args(hint)
        limits = ", ".join(filter(None, map(_bound, bounds)))
        limits = re.sub(r"at least (\d+), at most \1$", r"exactly \1", limits)
        return value_of(inner) + (f", {limits}" if limits else "")
    if get_origin(hint) in (Union, types.UnionType):
        return value_of(next(part for part in get_args(hint) if part is not type(None)))
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return f"list of tables `{_name(item)}`" if is_dataclass(item) else f"list: {value_of(item)}"
    if get_origin(hint) is Literal:
        return " · ".join(f'`"{value}"`' for value in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " · ".join(f'`"{member.value}"`' for member in hint)
    words = {
        str: "text",
        int: "whole number",
        Decimal: "decimal",
        float: "number",
        date: "date",
        bool: "true or false",
    }
    if hint in words:
        return words[hint]
    return 'month, such as `"2026-07"`' if _name(hint) == "Month" else f"table `{_name(hint)}`"


def _name(kind: Any) -> str:
    return str(kind.__name__)


def _bound(bound: object) -> str:
    if isinstance(bound, Ge):
        return f"≥ {bound.ge}"
    if isinstance(bound, Gt):
        return f"> {bound.gt}"
    if isinstance(bound, Le):
        return f"≤ {bound.le}"
    if isinstance(bound, Lt):
        return f"< {bound.lt}"
    if isinstance(bound, MinLen):
        return f"at least {bound.min_length}"
    return f"at most {bound.max_length}" if isinstance(bound, MaxLen) else ""


def _default(field: Field[Any]) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "**required**"
    value = field.default
    if value is None or is_dataclass(value) or value in ((), ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f'`"{item}"`' for item in value)
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _clauses() -> Iterator[str]:
    from offtake.agreements.catalogue import CLAUSES

    for name, kind in CLAUSES.items():
        yield f"### `[{name}]`"
        yield prose(kind)
        yield keys_table(kind)
        for nested in _nested(kind):
            yield f"`{nested.__name__}`: {prose(nested)}"
            yield keys_table(nested)
        yield from _worked(name)


def _worked(name: str) -> Iterator[str]:
    """The worked figure of a clause: its section, what happens, what is owed; a test executes the files."""
    deal, facts = HERE / "clauses" / f"{name}.toml", HERE / "clauses" / f"{name}.facts.toml"
    if not deal.exists():
        return
    comment = re.match(r"(?:# .*\n)+", deal.read_text(encoding="utf-8"))
    said = " ".join(line.removeprefix("# ") for line in (comment[0] if comment else "").splitlines())
    yield f"*Worked figure.* {said}"
    yield f"```toml\n{_sections(deal)}\n```"
    yield f"```toml\n{facts.read_text(encoding='utf-8').strip()}\n```"
    yield (
        f"From [`{deal.name}`](clauses/{deal.name}): "
        f"`offtake agreement charges {deal.name} --facts {facts.name}`."
    )


def _sections(deal: Path) -> str:
    """The sections of a clause in an agreement's file, and those of the fees it works on."""
    parts = re.split(r"^(?=\[)", deal.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(p for p in parts if not re.match(r"#|\[agreement\]|\[\[tranche\]\]", p)).strip()


def _events() -> Iterator[str]:
    from offtake.agreements.catalogue import EVENTS

    for section, kind in EVENTS.items():
        yield f"`[[{section}]]`: {prose(kind)}"
        yield keys_table(kind, but=("hypothetical",))


def _event_facts() -> Iterator[str]:
    from offtake.agreements.catalogue import EVENTS

    for section, kind in EVENTS.items():
        yield f"### `{kind.KIND}`"
        keys = ", ".join(f"`{field.name}`" for field in fields(kind))
        yield f"{prose(kind)} A `[[{section}]]` of a file of facts. Id: the event's. Body: {keys}."


def _nested(kind: type[Any]) -> list[type[Any]]:
    items = [get_args(hint)[:1] for hint in get_type_hints(kind).values() if get_origin(hint) is tuple]
    return [item for found in items for item in found if is_dataclass(item) and isinstance(item, type)]


def prose(kind: type[Any]) -> str:
    """A docstring without its list of attributes, as paragraphs."""
    text = inspect.getdoc(kind) or ""
    text = re.sub(r"^Attributes:\n(.*?)(?=^\S|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    paragraphs = re.split(r"\n\s*\n|\n(?=[A-Z]\w+: )", text.strip())
    return "\n\n".join(" ".join(part.split()).replace("*", r"\*") for part in paragraphs if part.strip())


# --- the command line ------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    import typer

    from offtake.cli.main import app

    root: Any = typer.main.get_command(app)
    yield from _command("offtake", root, deep=False)
    for path, command in _leaves("offtake", root):
        yield from _command(path, command, deep=True)


def _leaves(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any, *, deep: bool) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([path, *(str(p.metavar or p.name.upper()) for p in arguments), "[OPTIONS]"])
    yield f"### `{path}`" if deep else "### Options of `offtake` itself"
    if deep:
        yield " ".join(str(command.help).split())
        yield f"```text\n{usage}\n```"
    rows = [
        f"| {_spelling(p)} | {_option_default(p)} | {' '.join((p.help or '').split())} |"
        for p in [*arguments, *options]
    ]
    yield "\n".join(["| Argument or option | Default | Meaning |", "|---|---|---|", *rows])


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`".replace("|", r"\|")
    kind = "PATH" if parameter.type_descriptor.annotation is Path else "TEXT"
    value = "" if parameter.is_flag else f" {parameter.metavar or kind}"
    names = [f"`{name}{value}`" for name in [*parameter.opts, *parameter.secondary_opts]]
    return ", ".join(names)


def _option_default(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "**required**" if parameter.required else ""
    if parameter.is_flag and parameter.default is True and parameter.secondary_opts:
        return f"`{parameter.opts[0]}`"
    return ""


# --- errors ----------------------------------------------------------------------------------------


def _errors() -> Iterator[str]:
    from offtake.base.errors import OfftakeError

    yield "| Exception | Exit code | Meaning |"
    yield "|---|---|---|"
    yield from _error_rows(OfftakeError, 0)


def _error_rows(kind: type[Any], depth: int) -> Iterator[str]:
    meaning = (inspect.getdoc(kind) or "").splitlines()[0]
    yield f"| {'&emsp;' * depth}`{kind.__name__}` | {kind.exit_code} | {meaning} |"
    for child in kind.__subclasses__():
        if child.__module__.startswith("offtake."):
            yield from _error_rows(child, depth + 1)


def coded_calls(name: str) -> dict[str, dict[str, list[str]]]:
    """Codes given to `Problem` or `Refused` anywhere in the source: code → room → messages."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                message = _template(given.get("message") or given.get("sentence"))
                for code in _literals(given.get("code")):
                    rooms = found.setdefault(code, {})
                    rooms.setdefault(path.relative_to(SRC).parts[0], []).append(message)
    return dict(sorted(found.items()))


def _literals(node: ast.expr | None) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    return [*_literals(node.body), *_literals(node.orelse)] if isinstance(node, ast.IfExp) else []


def _template(node: ast.expr | None) -> str:
    """A message with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _template(node.left) + _template(node.right)
    return "…"


def _refusals() -> Iterator[str]:
    yield "| Code | Room | Sentence |"
    yield "|---|---|---|"
    for code, rooms in coded_calls("Refused").items():
        for room, messages in rooms.items():
            yield f"| `{code}` | `{room}` | {_shown(messages)} |"


def _problems() -> Iterator[str]:
    yield "| Code | Rooms | Message |"
    yield "|---|---|---|"
    for code, rooms in coded_calls("Problem").items():
        messages = [message for found in rooms.values() for message in found]
        yield f"| `{code}` | {', '.join(f'`{room}`' for room in rooms)} | {_shown(messages)} |"


def _shown(messages: list[str]) -> str:
    """Each message once, without those that are nothing but what is filled in."""
    distinct = [message for message in dict.fromkeys(messages) if message.strip("…: ")] or ["…"]
    return "<br>".join(message.replace("|", r"\|") for message in distinct)


def main() -> int:
    """Rewrite every page of this folder that has generated parts; how many changed is the answer."""
    changed = 0
    for path in sorted(HERE.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        fresh = rendered(page)
        if fresh != page:
            path.write_text(fresh, encoding="utf-8")
            sys.stdout.write(f"{path.name} is up to date now\n")
            changed += 1
    return changed


if __name__ == "__main__":
    main()
