"""The house rules as pure functions: source or text in, sentences about what is wrong out.

Each is tried on the project and on a snippet that breaks it, so that none of them can fall asleep.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CORE = (
    "base",
    "agreements",
    "fleet",
    "claims",
    "metering",
    "ledger",
    "rating",
    "allocation",
    "placement",
    "billing",
)
EXACT = ("rating", "billing", "ledger")
README_HEADINGS = ("Owns", "Doesn't own", "Words", "Invariants", "Limits")
LINES_MAX = 70

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

VAGUE_WORDS = frozenset({"handle", "process", "manage", "data", "helper", "helpers", "util", "utils"})
OTHER_WORDS = {
    "overage": "carry-forward",
    "subscription": "agreement",
    "booking": "claim",
    "guaranteed": "firm",
    "duration": "term, tenor or notice",
}
CLOCKS = {
    "datetime": frozenset({"now", "utcnow", "today"}),
    "date": frozenset({"today"}),
    "time": frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "process_time"}),
}


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Functions and classes at module and class level, with dotted names; not those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            name = f"{prefix}{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{name}.")
        elif not isinstance(node, ast.expr):
            yield from definitions(node, prefix)


def is_public(name: str) -> bool:
    """Whether no part of a dotted name begins with an underscore."""
    return not any(part.startswith("_") for part in name.split("."))


def without_docstring(source: str) -> list[str]:
    """Public definitions that say nothing about themselves."""
    return [
        f"{node.lineno}: {name} has no docstring"
        for name, node in definitions(ast.parse(source))
        if is_public(name) and not ast.get_docstring(node) and not _is_overload(node)
    ]


def _is_overload(node: Definition) -> bool:
    return any(ast.unparse(decorator).rpartition(".")[2] == "overload" for decorator in node.decorator_list)


def words_of(name: str) -> list[str]:
    """The lower-case words of a snake_case or CamelCase name."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def wrong_words(source: str) -> list[str]:
    """Definitions named by a word that the house style replaces."""
    wrong = []
    for name, node in definitions(ast.parse(source)):
        for word in words_of(node.name):
            if word in VAGUE_WORDS:
                wrong.append(f"{node.lineno}: {name}: say what it does; {word!r} doesn't")
            elif word in OTHER_WORDS:
                wrong.append(f"{node.lineno}: {name}: not {word!r}; the glossary says {OTHER_WORDS[word]}")
    return wrong


def long_functions(source: str, *, lines_max: int = LINES_MAX) -> list[str]:
    """Functions with more lines than one can hold in mind; a docstring doesn't count."""
    functions = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [
        f"{node.lineno}: {node.name} has {lines} lines, more than {lines_max}"
        for node in functions
        if (lines := _lines_of(node)) > lines_max
    ]


def _lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        docstring = node.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def floats(source: str) -> list[str]:
    """Float literals and conversions to float: a float never becomes money."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{node.lineno}: the float {node.value}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"float", "builtins.float"}:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def impurities(source: str) -> list[str]:
    """Calls by which a pure room would read a clock, draw at random, or touch files and screen."""
    tree = ast.parse(source)
    aliases = _aliases(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        first, dot, rest = called.partition(".")
        full = aliases.get(first, first) + dot + rest
        owner, _, name = full.rpartition(".")
        reads_clock = name in CLOCKS.get(owner.rpartition(".")[2], ())
        if reads_clock or full.startswith("numpy.random.") or full in {"open", "print", "input"}:
            found.append(f"{node.lineno}: {called}() in a pure room")
    return found


def _aliases(tree: ast.AST) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({item.asname: item.name for item in node.names if item.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({item.asname or item.name: f"{node.module}.{item.name}" for item in node.names})
    return names


def missing_headings(text: str, headings: Sequence[str] = README_HEADINGS) -> list[str]:
    """Headings of a room's README that are absent or have nothing under them."""
    sections = re.split(r"^#+[ \t]+(.+?)[ \t]*$", text.replace("’", "'"), flags=re.MULTILINE)
    bodies = dict(zip(sections[1::2], sections[2::2], strict=True))
    absent = [f"no heading {heading!r}" for heading in headings if heading not in bodies]
    return absent + [
        f"nothing under {heading!r}"
        for heading in headings
        if heading in bodies and not bodies[heading].strip()
    ]


def registry_hosts() -> tuple[str, ...]:
    """Hosts of package registries, put together here so that this file names none."""
    tail = {
        "org": (
            "pypi",
            "python" + "hosted",
            "npm" + "js",
            "golang",
            "anaconda",
            "conda",
            "packagist",
            "rubygems",
        ),
        "io": ("crates", "ghcr", "quay", "docker", "jsr"),
        "com": ("yarnpkg", "jfrog", "artifactory"),
    }
    return tuple(f"{name}.{end}" for end, names in tail.items() for name in names)


def forbidden_places(text: str, machine_paths: Sequence[str]) -> list[str]:
    """Registry hosts and paths of one particular machine, with the line they are on."""
    hosts = "|".join(re.escape(host) for host in registry_hosts())
    paths = "|".join(re.escape(path) for path in machine_paths)
    # Not inside a longer path or word: `../folder/x` and `https://host/root/` are no paths of a machine.
    pattern = re.compile(rf"\b(?:{hosts})\b|(?<![\w./~$}}-])(?:{paths})(?=[/\s\"'`),:;]|$)")
    return [
        f"{number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def parse_pins(text: str) -> tuple[dict[str, list[Version]], list[str]]:
    """Pins by package, and the lines that are anything else than ``name==version`` with a marker."""
    pins: dict[str, list[Version]] = {}
    bad = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"([a-z0-9][a-z0-9-]*)==([0-9][\w.+!]*)( ; [\w\s.<>=!'\"()]+)?", line)
        if match is None:
            bad.append(f"{number}: {line}")
        else:
            pins.setdefault(match[1], []).append(Version(match[2]))
    return pins, bad


def unpinned(requirements: Sequence[str], pins: Mapping[str, Sequence[Version]]) -> list[str]:
    """Requirements without a pin, or with a pin that they refuse."""
    wrong = []
    for requirement in map(Requirement, requirements):
        versions = pins.get(canonicalize_name(requirement.name), ())
        if not versions:
            wrong.append(f"{requirement.name} has no pin")
        wrong += [
            f"{requirement} refuses its pin {version}"
            for version in versions
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    return wrong


def public_targets(makefile: str) -> set[str]:
    """Targets a person would type: no dot, no slash, no variable."""
    rules = re.findall(r"^([^\s#:=.][^:=\n]*?)[ \t]*::?(?!=)", makefile, flags=re.MULTILINE)
    return {target for rule in rules for target in rule.split() if not re.search(r"[./$%]", target)}
