"""Several sacctmgr commands in one call, which saves its start; each still takes its round trips to slurmdbd.

sacctmgr reads commands from its input and repeats each after its prompt, so that what it prints can be told
apart. What it changes it lists there; what it can't do it says elsewhere, so that only what is listed was
done.

Source: sacctmgr of Slurm 22.05.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from offtake.adapters.slurm.runner import Ran, Runner

PROMPT = "sacctmgr: "

CHANGED = re.compile(r"^ (?:Adding|Modified|Associations =)", re.MULTILINE)
"""What sacctmgr lists of a command that it did."""

BATCH = 25
"""Commands in one call: at up to 0.8 s each, so that a call stays within the time allowed (`TIMEOUT_S`)."""


def change(runner: Runner, commands: Sequence[Sequence[str]]) -> list[Ran]:
    """Run sacctmgr commands that add or modify, in as few calls as possible.

    Args:
        runner: of the cluster.
        commands: words of each, without sacctmgr itself.

    Returns:
        One for each command, with what it said. All are unreached when sacctmgr couldn't reach slurmdbd.
    """
    found: list[Ran] = []
    for first in range(0, len(commands), BATCH):
        ran, answers = _call(runner, "-i", commands[first : first + BATCH])
        for answer in answers:
            done = CHANGED.search(answer.out) is not None
            why = f"{answer.out.strip()} {ran.err.strip()}".strip()
            found.append(replace(answer, rc=0 if done else ran.rc or 1, err="" if done else why))
    return found


def show(runner: Runner, commands: Sequence[Sequence[str]]) -> list[Ran]:
    """Run sacctmgr commands that show something, without titles, in one call; all fail where one does."""
    ran, answers = _call(runner, "-nP", commands)
    return [replace(answer, rc=ran.rc) for answer in answers]


def _call(runner: Runner, flags: str, commands: Sequence[Sequence[str]]) -> tuple[Ran, list[Ran]]:
    """The call as a whole, and what it printed for each command."""
    lines = [_line(words) for words in commands]
    ran = runner.run(["sacctmgr", flags], stdin="\n".join([*lines, "quit", ""]))
    said = [part.partition("\n")[2] for part in ran.out.split(PROMPT)[1:]]
    said += [""] * (len(commands) - len(said))
    return ran, [
        replace(ran, argv=("sacctmgr", flags, *words), out=answer)
        for words, answer in zip(commands, said, strict=False)
    ]


def _line(words: Sequence[str]) -> str:
    """Words as sacctmgr reads a line: it knows quotes, and no escapes.

    Raises:
        ValueError: for a word that can't be written so; files are checked before.
    """
    for word in words:
        if any(c in word for c in "'\"\n\r"):
            raise ValueError(f"{word!r} can't be said to sacctmgr")
    return " ".join(f"'{word}'" if " " in word else word for word in words)
