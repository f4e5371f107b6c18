"""Slurm's commands, run here or on a login node: the one seam between offtake and Slurm.

Commands are lists of words, never lines for a shell. Times come back as seconds since the epoch, whatever the
zone of the cluster. An answer says which of three things happened, because each wants another reaction: done,
refused by Slurm (the command was understood; ask otherwise), or not reached (nothing is known; ask again).

Source: the messages are those of Slurm 22.05 with its controller, its slurmdbd and munge down, in turn. A
command without munge tries for 49 s by itself, so the time allowed is shorter than that.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused

TIMEOUT_S = 30.0
"""Seconds that a command may take unless told otherwise."""

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""How a login node is reached: without questions."""

SSH_FAILED = 255
"""What ssh returns for a connection of its own that failed; Slurm's sdiag returns it, too, for the same."""

NOT_FOUND = 127

OUR_VARIABLES = ("SLURM_", "SACCT_", "SACCTMGR_", "SBATCH_", "SINFO_", "SQUEUE_", "SCONTROL_", "SREPORT_")
"""Variables that change what Slurm's commands do; those of the surroundings are left behind."""

UNREACHED = re.compile(
    r"unable to contact slurm|connection refused|connection timed out|connect failure|connection reset"
    r"|socket timed out|protocol authentication error|munge (?:encode|decode) failed|no route to host"
    r"|problem (?:talking|connecting) to the database|zero bytes were transmitted"
    r"|communication (?:connection|shutdown)|unexpected message received"
    r"|unable to (?:connect|resolve)|name or service not known|temporary failure in name resolution"
    r"|slurm backup controller in standby|lost connection|broken pipe",
    re.IGNORECASE,
)
"""What Slurm's commands say when they couldn't talk to the daemon that they need."""


def time_text(instant: int) -> str:
    """An instant as Slurm reads it, in the zone that a runner sets."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Outcome(StrEnum):
    """What became of a command.

    `DONE`: Slurm did it. `REFUSED`: Slurm was reached and said no. `UNREACHED`: Slurm, or the host, wasn't
    reached, or gave no answer in time; what was asked for may have happened all the same.
    """

    DONE = "done"
    REFUSED = "refused"
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that was run.

    Attributes:
        argv: the command, as it was asked for.
        rc: what it returned; None where it was ended because it took too long.
        out: what it printed.
        err: what it said about errors.
        at: seconds since the epoch when it began.
    """

    argv: tuple[str, ...]
    rc: int | None
    out: str
    err: str
    at: int

    @property
    def outcome(self) -> Outcome:
        """Which of the three things happened."""
        if self.rc == 0:
            return Outcome.DONE
        if (
            self.rc in (None, SSH_FAILED, NOT_FOUND)
            or UNREACHED.search(self.err)
            or UNREACHED.search(self.out)
        ):
            return Outcome.UNREACHED
        return Outcome.REFUSED

    @property
    def why(self) -> str:
        """What was said when it failed, in one line; empty when it was done."""
        if self.rc == 0:
            return ""
        if self.rc is None:
            return f"{self.argv[0]} gave no answer in time"
        said = " ".join((self.err.strip() or self.out.strip()).split())
        return said or f"{self.argv[0]} returned {self.rc}"

    def refusal(self) -> Refused | None:
        """A failure as a value, or None.

        Returns:
            `slurm_unreached` or `slurm_refused`, with the command and what it said; None when it was done.
        """
        if self.outcome is Outcome.DONE:
            return None
        verb = "couldn't be reached" if self.outcome is Outcome.UNREACHED else "refused"
        return Refused(
            code=f"slurm_{self.outcome}",
            sentence=f"Slurm {verb}: {self.why}",
            facts={"command": shlex.join(self.argv), "returned": str(self.rc)},
        )


def outputs(answers: Iterable[Ran]) -> list[str] | Refused:
    """What commands printed, or why the first that failed did; those after it aren't run.

    Args:
        answers: one by one, each as it is asked for.
    """
    said = []
    for ran in answers:
        refused = ran.refusal()
        if refused is not None:
            return refused
        said.append(ran.out)
    return said


def words_in(line: str) -> dict[str, str]:
    """What a line of ``scontrol -o show`` says, by name; values with spaces are cut at the first."""
    return dict(re.findall(r"(\w+)=(\S*)", line))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs commands on one cluster.

    Units: seconds.

    Attributes:
        host: a host that ssh knows and where Slurm's commands are; empty for this one.
        conf: path of slurm.conf there; empty for the system's own.
        env: further variables for the commands, here only.
        timeout_s: how long a command may take.
        clock: the present instant.
    """

    host: str = ""
    conf: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        """Refuse a host that ssh would take for an option.

        Raises:
            BadInput: for such a host.
        """
        if self.host.startswith("-") or any(c.isspace() for c in self.host):
            problem = Problem(
                where="host", code="bad_host", message=f"{self.host!r} is no host",
                remedy="write login1 or me@login1",
            )  # fmt: skip
            raise BadInput([problem])

    def run(self, argv: Sequence[str], *, stdin: str = "") -> Ran:
        """Run one command.

        Args:
            argv: its words; a remote shell sees each of them quoted.
            stdin: what it may read; nothing unless given, so that no command waits for an answer.
        """
        at = int(self.clock())
        try:
            ran = subprocess.run(  # noqa: S603 - words, never a line; the host is checked above
                self._words(argv),
                input=stdin,
                env=self._surroundings(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(argv=tuple(argv), rc=None, out="", err="", at=at)
        except FileNotFoundError as error:
            return Ran(argv=tuple(argv), rc=NOT_FOUND, out="", err=f"no command {error.filename}", at=at)
        return Ran(argv=tuple(argv), rc=ran.returncode, out=ran.stdout, err=ran.stderr, at=at)

    def _told(self) -> dict[str, str]:
        """Variables that every command needs, on the host where it runs."""
        # dumb: a command that reads lines repeats them as they are, without moving a cursor
        told = {"LC_ALL": "C", "TZ": "UTC", "TERM": "dumb", "SLURM_TIME_FORMAT": "%s"}
        return told | ({"SLURM_CONF": self.conf} if self.conf else {})

    def _words(self, argv: Sequence[str]) -> list[str]:
        if not self.host:
            return list(argv)
        there = ["env", *(f"{name}={value}" for name, value in self._told().items()), *argv]
        return [*SSH, self.host, "--", shlex.join(there)]

    def _surroundings(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
        return kept | dict(self.env) | self._told()
