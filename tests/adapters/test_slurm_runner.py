"""Commands of Slurm: words stay words, here and over ssh, and three outcomes are told apart."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from offtake.adapters.slurm.runner import Outcome, Ran, Runner
from offtake.base.errors import BadInput

TELL = f"""#!{sys.executable}
import json, os, sys
names = ("SLURM_CONF", "TZ", "SLURM_TIME_FORMAT", "LC_ALL", "SQUEUE_FORMAT", "EXTRA")
print(json.dumps([sys.argv[1:], {{n: os.environ.get(n) for n in names}}, sys.stdin.read()]))
"""

# A stand-in for ssh: it drops its options and gives the rest to a shell, as sshd does.
SSH = """#!/bin/sh
[ "$1 $2 $3 $4" = "-o BatchMode=yes -o ConnectTimeout=10" ] || exit 2
shift 4
[ "$1" = nowhere ] && { echo "ssh: Could not resolve hostname nowhere" >&2; exit 255; }
[ "$1 $2" = "login1 --" ] || exit 2
shift 2
exec sh -c "$*"
"""

HOSTILE = ("-A", "a b", "$(touch pwned)", "it's; rm -rf *", "x|y\nz", "")


@pytest.fixture(autouse=True)
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"tell": TELL, "ssh": SSH}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("host", ["", "login1"])
def test_words_arrive_as_they_are(commands: Path, host: str) -> None:
    runner = Runner(host=host, conf="/etc/slurm/a b.conf", env={"EXTRA": "1"}, clock=lambda: 17.9)
    ran = runner.run(["tell", *HOSTILE], stdin="n\n")
    words, told, read = json.loads(ran.out)
    assert words == list(HOSTILE)
    assert read == "n\n"
    assert told["SLURM_CONF"] == "/etc/slurm/a b.conf"
    assert (told["TZ"], told["SLURM_TIME_FORMAT"], told["LC_ALL"]) == ("UTC", "%s", "C")
    assert told["SQUEUE_FORMAT"] is None
    assert told["EXTRA"] == "1"
    assert (ran.argv, ran.at, ran.outcome, ran.refusal()) == (("tell", *HOSTILE), 17, Outcome.DONE, None)
    assert not (commands / "pwned").exists()


def test_a_command_that_hangs_is_ended() -> None:
    ran = Runner(timeout_s=0.2).run(["sleep", "60"])
    assert (ran.rc, ran.outcome) == (None, Outcome.UNREACHED)
    assert ran.why == "sleep gave no answer in time"


def test_a_host_or_command_that_isn_t_there_is_not_reached() -> None:
    assert Runner(host="nowhere").run(["sinfo"]).outcome is Outcome.UNREACHED
    missing = Runner().run(["no-such-command"])
    assert (missing.rc, missing.outcome) == (127, Outcome.UNREACHED)
    assert Runner(host="login1").run(["no-such-command"]).outcome is Outcome.UNREACHED


@pytest.mark.parametrize("host", ["-oProxyCommand=touch pwned", "a b"])
def test_a_host_is_no_option(host: str) -> None:
    with pytest.raises(BadInput, match="is no host"):
        Runner(host=host)


@pytest.mark.parametrize(
    ("rc", "err", "outcome"),
    [
        (0, "sacct: warning: connection refused once", Outcome.DONE),
        (1, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", Outcome.UNREACHED),
        (1, "sacct: error: Problem talking to the database: Connection refused", Outcome.UNREACHED),
        (1, "sreport: fatal: Problem connecting to the database: Connection refused", Outcome.UNREACHED),
        (
            255,
            "slurm_get_statistics: Unable to contact slurm controller (connect failure)",
            Outcome.UNREACHED,
        ),
        (1, "squeue: error: Munge encode failed: Failed to connect", Outcome.UNREACHED),
        (1, "slurm_load_jobs error: Protocol authentication error", Outcome.UNREACHED),
        (1, "sbatch: error: Batch job submission failed: Invalid account", Outcome.REFUSED),
        (1, "slurm_update error: Invalid node state specified", Outcome.REFUSED),
        (1, "Error creating the reservation: Requested nodes are busy", Outcome.REFUSED),
        (1, "", Outcome.REFUSED),
    ],
)
def test_outcomes_by_what_slurm_says(rc: int, err: str, outcome: Outcome) -> None:
    ran = Ran(argv=("x", "a b"), rc=rc, out="", err=err + "\n", at=0)
    assert ran.outcome is outcome
    refused = ran.refusal()
    if outcome is Outcome.DONE:
        assert refused is None
    else:
        assert refused is not None
        assert refused.code == f"slurm_{outcome}"
        assert refused.facts == {"command": "x 'a b'", "returned": str(rc)}
        assert (err or "x returned 1") in refused.sentence
