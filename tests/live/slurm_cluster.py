"""A real Slurm in a folder: nodes with eight GPUs that aren't there, on loopback ports, its clock movable.

    with SlurmCluster(nodes=2) as cluster:
        cluster.accounting("add account a GrpTRES=gres/gpu=16", f"add user {cluster.user} account=a")
        job = cluster.submit("sleep 5", "--account=a", "--gres=gpu:h100:8", "--time=30-0")
        cluster.wait_for(lambda: cluster.state(job) == "RUNNING", "the job runs")
        cluster.jump(7 * 86_400)
        cluster.run(["scontrol", "requeue", job])

- `env`: what a Slurm command needs to talk to this cluster and to live in its time (`SLURM_CONF`, the
  preloaded clock, UTC). `conf` is the path in `SLURM_CONF`; `folder` holds everything, jobs start in
  `folder/work`; `logs()` is the end of every log.
- `run(argv, check=True, input=None, timeout=60, user=None)`: one command; `user` is another Unix user, for
  root only. `say(*argv)`: what it printed.
- `submit(script, *options)` → job id; `state(job)`; `accounting(*commands)`: sacctmgr commands in one call
  (a QOS that is made in a call isn't known to the rest of it).
  Name the account: where the user is root, jobs without one run in Slurm's account root, which has no limit.
- `now()`: seconds since the epoch on the cluster's clock; `jump(seconds)` moves it forward while jobs run. A
  sleep inside a job takes real time all the same, and a job whose time limit a jump passes is ended.
- `wait_for(condition, what, seconds=30)`: polls until the condition holds and returns its answer.
- `kill(name)` and `start(name)` of `slurmctld`, `slurmdbd`, `munged`, `mariadbd` or a node's `slurmd`, by the
  node's name; `kill_node(name)` takes down what runs on the node too; `terminate(name)` lets a daemon
  save its state; `is_up(name)`.
- `node_timeout(seconds)`: after how long a silent node is down. It is 0, never, unless set: a jump would end
  all nodes at once.
- `stop()`: ends every process that the cluster started, and what jobs left; removes the folder.

The cluster is up in a few seconds: munge, MariaDB (a copy of a prepared data folder), slurmdbd, slurmctld and
one slurmd for each node. It runs as root (then jobs may have several Unix users) or as a plain user. Daemons
die with the process that started them. Ports are tried before they are used, and others are taken where a
start fails. Fixtures in conftest.py: `slurm` (four nodes, one for a module), `slurm_clusters` (starts more).

Source: `slurmd -N` runs several nodes on one host where it is built for that, as Debian's is; GPUs are links
to /dev/null, which slurmd takes for devices; libfaketime moves the clock by a file that all daemons read.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

COMMANDS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sacct": "slurm-client",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "faketime": "faketime",
}
"""Commands that a cluster needs, and the Debian packages that they come in."""

LIBRARIES = {
    "slurm-wlm/accounting_storage_mysql.so": "slurm-wlm-mysql-plugin",
    "slurm-wlm/select_cons_tres.so": "slurm-wlm-basic-plugins",
    "faketime/libfaketimeMT.so.1": "faketime",
}

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
GPUS = 8
CPUS = 64
FIRST_PORT, LAST_PORT = 20_000, 32_000
SHARED = Path("/dev/shm")
STARTS = 3
"""How often a start is tried, each time on other ports."""

SLURM_CONF = """
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# a requeued job waits one second longer than its credential lasts
AuthInfo=socket={d}/run/munge.sock,cred_expire=10
CredType=cred/munge
SlurmctldParameters=preempt_send_user_signal
StateSaveLocation={d}/state
SlurmctldPidFile={d}/run/slurmctld.pid
SlurmdPidFile={d}/run/slurmd-%n.pid
SlurmdSpoolDir={d}/spool/%n
SlurmctldLogFile={d}/log/slurmctld.log
SlurmdLogFile={d}/log/slurmd-%n.log
PlugStackConfig={d}/etc/plugstack.conf
MpiDefault=none
SwitchType=switch/none
# no cgroups, no systemd: follow processes by their parent, leave CPUs and devices alone
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=0
InactiveLimit=0
MinJobAge=300
KillWait=3
Waittime=0
CompleteWait=0
UnkillableStepTimeout=30
MailProg=/bin/true
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerParameters={scheduling}
PriorityType=priority/multifactor
PriorityWeightQOS=100000
PreemptType=preempt/qos
PreemptMode=REQUEUE
JobRequeue=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
# without it, clients of slurmdbd look for the system's socket
AccountingStoragePass={d}/run/munge.sock
AccountingStorageTRES=gres/gpu,gres/gpu:h100
AccountingStorageEnforce=associations,limits,qos,safe
AccountingStoreFlags=job_comment
PrivateData=accounts,events,jobs,reservations,usage,users
GresTypes=gpu
NodeName=DEFAULT CPUs={cpus} RealMemory=500000 State=UNKNOWN
NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port={node_ports} Gres=gpu:h100:{gpus}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP
"""

SCHEDULING = (
    "sched_interval=2,sched_min_interval=0,bf_interval=1,bf_resolution=60,bf_continue,batch_sched_delay=0,"
    "default_queue_depth=1000,requeue_setup_env_fail"
)
"""Passes every second or two, so that tests needn't wait."""

SLURMDBD_CONF = """
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={d}/run/munge.sock
PidFile={d}/run/slurmdbd.pid
LogFile={d}/log/slurmdbd.log
DebugLevel=info
PrivateData=accounts,events,jobs,reservations,usage,users
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
"""

DATABASE = """
create database if not exists slurm_acct;
create user if not exists 'slurm'@'127.0.0.1' identified by 'slurm';
grant all on slurm_acct.* to 'slurm'@'127.0.0.1';
"""


class DidNotStart(RuntimeError):
    """A cluster that isn't up in time; the end of every log is in the message."""


class TimedOut(AssertionError):
    """What was waited for didn't come."""


def missing_packages() -> list[str]:
    """Debian packages without which no cluster can be started."""
    absent = {package for name, package in COMMANDS.items() if shutil.which(name, path=SYSTEM_PATH) is None}
    absent |= {package for name, package in LIBRARIES.items() if _library(name) is None}
    return sorted(absent)


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _library(name: str) -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob(f"*/{name}"))), None)


def wait_for(
    condition: Callable[[], T],
    what: str,
    seconds: float = 30,
    *,
    every: float = 0.05,
    why: Callable[[], str] = str,
) -> T:
    """Poll until a condition holds; its answer.

    Raises:
        TimedOut: when it doesn't within so many seconds of real time; `why` adds what is known.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimedOut(f"not within {seconds} s: {what}\n{why()}")
        time.sleep(every)  # between two looks, never instead of one


def prepared_database(folder: Path) -> Path:
    """An empty data folder of MariaDB, made once and copied for each cluster.

    Two processes that ask at once get the same: the second waits for the first.
    """
    ready = folder / "mariadb"
    with (folder / "mariadb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.is_dir():
            unfinished = folder / "mariadb-unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _install_database(unfinished)
            unfinished.rename(ready)
    return ready


def _install_database(folder: Path) -> None:
    ran = subprocess.run(
        [
            "mariadb-install-db", "--no-defaults", f"--user={_me()}", f"--datadir={folder}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M",
        ],
        env=os.environ | {"PATH": SYSTEM_PATH},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    if ran.returncode:
        raise DidNotStart(f"mariadb-install-db: {ran.returncode}\n{ran.stdout}{ran.stderr}")


class SlurmCluster:
    """A running cluster; see the module."""

    def __init__(
        self,
        *,
        nodes: int = 4,
        at: int | None = None,
        database: Path | None = None,
        extra_conf: str = "",
    ) -> None:
        """Start a cluster.

        Args:
            nodes: how many, named n01, n02 and so on, each with eight GPUs of type h100.
            at: what its clock shows at first, in seconds since the epoch; the real time unless given.
            database: a prepared data folder of MariaDB (`prepared_database`); made unless given.
            extra_conf: further lines of slurm.conf.
        """
        self.user = _me()
        self.nodes = tuple(f"n{i:02}" for i in range(1, nodes + 1))
        self._extra_conf = extra_conf
        self._database = database
        self._offset = 0 if at is None else at - int(time.time())
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for attempt in range(1, STARTS + 1):
            try:
                self._begin()
                return
            except (TimedOut, DidNotStart) as error:
                told = f"{error}\n{self.logs()}"
                self.stop()
                if attempt == STARTS:
                    raise DidNotStart(told) from error
            except BaseException:
                self.stop()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What tests do with it

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - as subprocess names it
        timeout: float = 60,
        user: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """One command on the cluster, in its time; what it said is text.

        Raises:
            AssertionError: when it fails and `check` is set, with all it said.
        """
        ran = subprocess.run(
            list(argv),
            check=False,
            env=self.env,
            input=input,
            stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.folder / "work",
            user=user,
        )
        if check and ran.returncode:
            raise AssertionError(f"{' '.join(argv)}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran

    def say(self, *argv: str) -> str:
        """What a command that succeeds prints, without the last newline."""
        return self.run(argv).stdout.rstrip("\n")

    def submit(self, script: str, *options: str) -> str:
        """Submit a bash script; its job id."""
        where = () if any(o.startswith(("-o", "--output")) for o in options) else ("--output=/dev/null",)
        ran = self.run(["sbatch", "--parsable", *where, *options], input=f"#!/bin/bash\n{script}\n")
        return ran.stdout.strip().partition(";")[0]

    def state(self, job: str) -> str:
        """A job's state as the controller has it, such as RUNNING; empty when it has forgotten the job.

        An array or a job of components may have several: ``PENDING RUNNING``.
        """
        ran = self.run(
            ["squeue", "--noheader", "--states=all", "--Format=State", f"--jobs={job}"], check=False
        )
        return " ".join(sorted(set(ran.stdout.split())))

    def accounting(self, *commands: str) -> str:
        """Run sacctmgr commands in one call, which is faster than one by one; what it printed.

        Raises:
            AssertionError: when one of them fails.
        """
        ran = self.run(["sacctmgr", "-i"], input="\n".join([*commands, "quit", ""]), check=False)
        said = ran.stdout + ran.stderr
        if ran.returncode or "error" in said.lower() or "invalid" in said.lower():
            raise AssertionError(f"sacctmgr: {ran.returncode}\n{said}")
        return ran.stdout

    def now(self) -> int:
        """Seconds since the epoch, on the cluster's clock."""
        return int(time.time()) + self._offset

    def jump(self, seconds: int) -> None:
        """Move the clock forward; returns once the controller has noticed."""
        self._offset += seconds
        self._write_clock()
        wait_for(
            lambda: abs(self._controller_time() - self.now()) <= 1, "the controller's clock has moved", 15
        )

    def wait_for(self, condition: Callable[[], T], what: str, seconds: float = 30) -> T:
        """Poll until a condition holds; its answer. Where it doesn't in time, the logs are shown."""
        return wait_for(condition, what, seconds, every=0.1, why=self.logs)

    def kill(self, name: str) -> None:
        """SIGKILL a daemon: slurmctld, slurmdbd, munged, mariadbd, or a node's slurmd by the node's name."""
        self._end(name, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """SIGTERM a daemon, so that it saves its state, and wait for its end."""
        self._end(name, signal.SIGTERM)

    def kill_node(self, name: str) -> None:
        """SIGKILL a node's slurmd and everything that runs on the node, as a loss of power does."""
        self.kill(name)
        self._kill_leftovers(node=name)

    def start(self, name: str) -> None:
        """Start a daemon that isn't running, and wait until it answers (a node: until it is registered)."""
        self._launch(name)
        self._wait_until_up(name)

    def is_up(self, name: str) -> bool:
        """Whether a daemon answers."""
        return name in self._running and self._running[name].poll() is None and self._answers(name)

    def node_timeout(self, seconds: int) -> None:
        """After how many seconds without an answer a node is down; 0 means never."""
        text = self.conf.read_text()
        lines = [
            f"SlurmdTimeout={seconds}" if x.startswith("SlurmdTimeout=") else x for x in text.splitlines()
        ]
        self.conf.write_text("\n".join(lines) + "\n")
        self.run(["scontrol", "reconfigure"])

    def logs(self, lines: int = 15) -> str:
        """The end of every log."""
        parts = []
        for path in sorted((self.folder / "log").glob("*")):
            text = [x for x in path.read_text(errors="replace").splitlines() if "pmix" not in x]
            if path.suffix == ".out" and any(path.parent.glob(f"*{path.stem}.log")):
                continue  # the daemon has a log of its own, which says the same
            if text:
                parts += [f"--- {path.name}", *text[-lines:]]
        return "\n".join(parts)

    def stop(self) -> None:
        """End every process that this cluster started and what its jobs left; remove the folder."""
        for name in (*self.nodes, "slurmctld", "slurmdbd", "mariadbd", "munged"):
            if name in self._running:
                self._end(name, signal.SIGKILL)
        self._kill_leftovers()
        for path in self._shared_clock():
            path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leftovers(self, node: str = "") -> list[int]:
        """Processes of jobs: step daemons, scripts and what these started; of one node where it is named."""
        return [pid for pid, env in _environments() if self._is_of_a_job(pid, env, node)]

    # How it comes up

    def _begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # jobs of other users look into it
        for name in (
            "etc",
            "log",
            "run",
            "state",
            "spool",
            "munge",
            "dev",
            "work",
            *(f"spool/{n}" for n in self.nodes),
        ):
            (self.folder / name).mkdir(mode=0o755)
        (self.folder / "work").chmod(0o1777)
        self.conf = self.folder / "etc" / "slurm.conf"
        self._write_conf(*_free_ports(3 + len(self.nodes)))
        self._write_clock()
        self._share_clock()
        self.env = self._environment()
        self._launch("munged")
        self._copy_database()
        self._launch("mariadbd")
        for name in ("munged", "mariadbd"):
            self._wait_until_up(name)
        self.start("slurmdbd")
        self.run(["sacctmgr", "-i", "add", "cluster", "lab"])
        for name in ("slurmctld", *self.nodes):
            self._launch(name)
        for name in ("slurmctld", *self.nodes):
            self._wait_until_up(name)

    def _write_conf(self, ctld: int, dbd: int, db: int, *node_ports: int) -> None:
        count = len(self.nodes)
        values = {
            "d": self.folder, "user": self.user, "ctld": ctld, "dbd": dbd, "db": db,
            "cpus": CPUS, "gpus": GPUS, "scheduling": SCHEDULING,
            "nodes": f"n[01-{count:02}]" if count > 1 else "n01",
            "node_ports": f"[{node_ports[0]}-{node_ports[-1]}]" if count > 1 else node_ports[0],
        }  # fmt: skip
        etc = self.folder / "etc"
        self.conf.write_text(SLURM_CONF.format_map(values) + self._extra_conf + "\n")
        for i in range(GPUS):
            (self.folder / "dev" / f"gpu{i}").symlink_to("/dev/null")
        devices = f"{self.folder}/dev/gpu[0-{GPUS - 1}]"
        (etc / "gres.conf").write_text(f"NodeName={values['nodes']} Name=gpu Type=h100 File={devices}\n")
        (etc / "plugstack.conf").touch()
        (etc / "slurmdbd.conf").touch(mode=0o600)  # slurmdbd refuses a file that others may read
        (etc / "slurmdbd.conf").write_text(SLURMDBD_CONF.format_map(values))
        (etc / "init.sql").write_text("".join(f"{x}\n" for x in DATABASE.strip().splitlines()))
        (self.folder / "munge" / "key").touch(mode=0o600)
        (self.folder / "munge" / "key").write_bytes(os.urandom(64))
        (self.folder / "munge").chmod(0o700)
        self._ports = {"ctld": ctld, "dbd": dbd, "db": db}

    def _environment(self) -> dict[str, str]:
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("SLURM_", "SBATCH_", "SACCT_", "FAKETIME"))
        }
        return kept | {
            "SLURM_CONF": str(self.conf),
            "PATH": SYSTEM_PATH,
            "TZ": "UTC",
            "LD_PRELOAD": str(_library("faketime/libfaketimeMT.so.1")),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_SHARED": f"/{self.folder.name}-clock /{self.folder.name}-clock",
        }

    def _write_clock(self) -> None:
        new = self.folder / "clock.new"
        new.write_text(f"{self._offset:+d}\n")
        new.rename(self.folder / "clock")

    def _share_clock(self) -> None:
        """Make what libfaketime's processes share, which each would otherwise make for itself, by its number.

        Those of processes that are killed stay behind, and the next one with that number then exits at once.
        """
        name = f"/{self.folder.name}-clock"
        if not ctypes.CDLL(None).sem_open(name.encode(), os.O_CREAT, 0o666, 1):
            raise DidNotStart(f"no semaphore {name}")
        semaphore, memory = self._shared_clock()
        # two counters, and start times that say that they aren't known
        memory.write_bytes(struct.pack("=QQ8q", 0, 0, *[0, -1] * 4).ljust(4096, b"\0"))
        for path in (semaphore, memory):
            path.chmod(0o666)  # jobs of other users use it

    def _shared_clock(self) -> tuple[Path, Path]:
        return SHARED / f"sem.{self.folder.name}-clock", SHARED / f"{self.folder.name}-clock"

    def _copy_database(self) -> None:
        target = self.folder / "db"
        if self._database is not None:
            shutil.copytree(self._database, target)
        else:
            prepared_database(self.folder).rename(target)

    def _command(self, name: str) -> list[str]:
        d = self.folder
        if name == "munged":
            return [
                "munged", "--foreground", "--force", f"--socket={d}/run/munge.sock",
                f"--key-file={d}/munge/key",
                f"--pid-file={d}/munge/munged.pid", f"--seed-file={d}/munge/seed", "--num-threads=4",
            ]  # fmt: skip
        if name == "mariadbd":
            return [
                "mariadbd", "--no-defaults", f"--user={self.user}", f"--datadir={d}/db",
                f"--socket={d}/run/db.sock", f"--pid-file={d}/run/mariadbd.pid",
                "--bind-address=127.0.0.1", f"--port={self._ports['db']}",
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M",
                "--innodb-lock-wait-timeout=900",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--skip-log-bin",
                "--skip-name-resolve", "--performance-schema=off", f"--init-file={d}/etc/init.sql",
            ]  # fmt: skip
        return ["slurmd", "-D", "-N", name] if name in self.nodes else [name, "-D"]

    def _launch(self, name: str) -> None:
        if name in self._running:
            raise AssertionError(f"{name} is running")
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                # the daemon dies with this process, whatever becomes of it
                ["setpriv", "--pdeathsig=KILL", *self._command(name)],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=self.folder / "work",
            )

    def _wait_until_up(self, name: str) -> None:
        def answers() -> bool:
            code = self._running[name].poll()
            if code is not None:
                raise DidNotStart(f"{name} ended with {code}")
            return self._answers(name)

        wait_for(answers, f"{name} answers", 60)

    def _answers(self, name: str) -> bool:
        quiet = partial(self.run, check=False, timeout=20)
        if name == "munged":
            return quiet(["munge", "-S", f"{self.folder}/run/munge.sock", "-n"]).returncode == 0
        if name == "mariadbd":
            return _listens(self._ports["db"])
        if name == "slurmdbd":
            return quiet(["sacctmgr", "-n", "-i", "show", "cluster"]).returncode == 0
        if name == "slurmctld":
            # a command that finds nobody tries for 9 s
            return _listens(self._ports["ctld"]) and "UP" in quiet(["scontrol", "ping"]).stdout
        said = quiet(["sinfo", "-h", "-N", "-n", name, "-o", "%t"]).stdout.strip()
        return bool(said) and said[-1] not in "*#~" and not said.startswith(("unk", "down"))

    def _controller_time(self) -> int:
        ran = self.run(["env", "SLURM_TIME_FORMAT=%s", "scontrol", "show", "config"], check=False)
        _, _, text = ran.stdout.partition("\n")[0].partition("as of ")
        return int(text or 0)

    # How it ends

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)

    def _kill_leftovers(self, node: str = "") -> None:
        # a step daemon that dies orphans its script, so look again until nothing is left
        def none_left() -> bool:
            found = self.leftovers(node)
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        wait_for(none_left, "nothing is left of the jobs", 10, why=lambda: str(self.leftovers(node)))

    def _is_of_a_job(self, pid: int, env: dict[str, str], node: str) -> bool:
        if env.get("SLURM_CONF") != str(self.conf) or pid == os.getpid():
            return False
        try:
            command = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return False
        step = command.startswith("slurmstepd")
        if not step and "SLURM_JOB_ID" not in env:
            return False
        return (
            not node or env.get("SLURMD_NODENAME") == node or (step and f"slurmd-{node}.log" in _opened(pid))
        )


def _environments() -> Iterator[tuple[int, dict[str, str]]]:
    """Every process that this user may look into, with its environment at its start."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            raw = (path / "environ").read_bytes()
            if (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
        except OSError:
            continue
        pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
        yield int(path.name), {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _opened(pid: int) -> set[str]:
    """Names of the files that a process has open; a step daemon writes to the log of its node."""
    names = set()
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            names.add(path.readlink().name)
    return names


def _free_ports(count: int) -> range:
    """Consecutive ports of loopback that nobody listens on, below those that the kernel gives out itself."""
    draw = random.SystemRandom()
    while True:
        first = draw.randrange(FIRST_PORT, LAST_PORT - count)
        ports = range(first, first + count)
        if all(map(_is_free, ports)):
            return ports


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
