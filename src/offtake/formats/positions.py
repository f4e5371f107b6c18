"""Lines of a TOML file by the paths that problems name; looked up only when there is a problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from offtake.base.errors import BadInput, Problem

_SYNTAX = re.compile(r"\(at line (\d+), column \d+\)")


@contextmanager
def locating(text: str, where: str) -> Iterator[None]:
    """Give every problem found within, in the file of that name, its line."""
    try:
        yield
    except BadInput as error:
        raise BadInput(located(error.problems, text, where)) from error


def located(problems: Iterable[Problem], text: str, where: str) -> list[Problem]:
    """Problems with the line of their path, or of the nearest section around it.

    A problem of another file, or one that has a line already, stays as it is.
    """
    lines: Mapping[str, int] | None = None
    found = []
    for problem in problems:
        if problem.line is None and problem.where.partition(": ")[0] == where:
            if problem.code == "not_toml":
                match = _SYNTAX.search(problem.message)
                line = int(match[1]) if match else None
            else:
                lines = lines_of(text) if lines is None else lines
                line = _nearest(lines, problem.where.partition(": ")[2])
            problem = replace(problem, line=line)  # noqa: PLW2901 - the same problem, with its line
        found.append(problem)
    return found


def _nearest(lines: Mapping[str, int], path: str) -> int | None:
    while path:
        if path in lines:
            return lines[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return None


def lines_of(text: str) -> dict[str, int]:
    """The line, from 1, of every section, key and list item, by path such as ``tranche[0].steps[1].start``.

    A term written with its provenance, ``{ value = …, source = … }``, has the path of the term.
    """
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    root = Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node
    for node in root.named_children:
        if node.type == "pair":
            _pair(node, "", found)
        elif node.type in ("table", "table_array_element"):
            path = _key(node.named_children[0])
            if node.type == "table_array_element":
                counts[path] = counts.get(path, -1) + 1
                path = f"{path}[{counts[path]}]"
            _note(found, path, node)
            for child in node.named_children[1:]:
                if child.type == "pair":
                    _pair(child, path, found)
    return found


def _pair(node: Node, outer: str, found: dict[str, int]) -> None:
    key, value = node.named_children[0], node.named_children[-1]
    path = f"{outer}.{_key(key)}" if outer else _key(key)
    if _key(key) == "value" and outer:
        path = outer
    _note(found, path, node)
    _value(value, path, found)


def _value(node: Node, path: str, found: dict[str, int]) -> None:
    if node.type == "inline_table":
        for child in node.named_children:
            if child.type == "pair":
                _pair(child, path, found)
    elif node.type == "array":
        items = [child for child in node.named_children if child.type != "comment"]
        for i, child in enumerate(items):
            _note(found, f"{path}[{i}]", child)
            _value(child, f"{path}[{i}]", found)


def _key(node: Node) -> str:
    if node.type == "dotted_key":
        return ".".join(_key(child) for child in node.named_children)
    text = (node.text or b"").decode()
    return text[1:-1] if node.type == "quoted_key" else text


def _note(found: dict[str, int], path: str, node: Node) -> None:
    found.setdefault(path, node.start_point.row + 1)
