"""From what a scheduler enforces to what it should: laws on made clusters."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from offtake.adapters.rehearsal import NOTHING, SimulatedScheduler, after
from offtake.base.time import DAY_S
from offtake.claims.model import Firmness
from offtake.enforcement.converge import excess, steps
from offtake.enforcement.model import (
    CLOSED,
    Account,
    Actual,
    Desired,
    Hold,
    Job,
    Kind,
    Qos,
    Step,
    Steps,
    Sweep,
)

NODES = [f"n{i:02d}" for i in range(1, 9)]
NAMES = ["ot_a", "ot_b", "ot_c"]
USERS = st.lists(st.sampled_from(["u", "v"]), unique=True)
TYPES = st.sampled_from([(), ("h100",), ("h100", "h200")])
FAR = 10_000
NOBODY = Account(name=CLOSED, claim="", holder="", gpus=0)


def account(name: str, gpus: int, *users: str, types: tuple[str, ...] = ()) -> Account:
    return Account(
        name=name, claim=name[3:], holder=name, gpus=gpus, users=users, parent="ot_of_x", qos="ot_firm",
        types=tuple((kind, gpus) for kind in types), firmness=Firmness.FIRM,
    )  # fmt: skip


def hold(name: str, *nodes: str, end: int = FAR) -> Hold:
    return Hold(name=name, accounts=(name,), nodes=nodes, end=end)


def groups() -> tuple[Account, ...]:
    return (NOBODY, Account(name="ot_of_x", claim="", holder="x", gpus=None))


@st.composite
def plans(draw: st.DrawFn) -> Desired:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    nodes: list[str] = draw(st.permutations(NODES))
    types = draw(TYPES)
    accounts: list[Account] = []
    holds: list[Hold] = []
    at = 0
    for name in names:
        count = draw(st.integers(0, 3))
        own = tuple(sorted(nodes[at : at + count]))
        at += count
        accounts.append(account(name, 8 * count, *draw(USERS), types=types))
        if own:
            holds.append(hold(name, *own, end=draw(st.sampled_from([100, 200]))))
            later = draw(st.sampled_from([None, 50, 60]))
            if later is not None:
                holds.append(
                    Hold(name=f"ot_back{name[2:]}", accounts=(CLOSED,), nodes=own[:1], start=later, end=FAR)
                )
    if nodes[at:] and draw(st.sampled_from([True, False])):
        holds.append(Hold(name=CLOSED, accounts=(CLOSED,), nodes=tuple(sorted(nodes[at:])), end=FAR))
    grace_s = draw(st.sampled_from([0, 60]))
    qos = (Qos(name="ot_firm", priority=100, preempts=(), grace_s=grace_s),)
    return Desired(accounts=tuple(accounts), holds=tuple(holds), groups=groups(), qos=qos)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Job, ...]:
    found = []
    for i in range(draw(st.integers(0, 4))):
        nodes = tuple(draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=2, unique=True)))
        name = draw(st.sampled_from(NAMES))
        found.append(Job(id=str(i), account=name, gpus=8 * len(nodes), start=i, nodes=nodes))
    return tuple(found)


def converged(cluster: SimulatedScheduler, desired: Desired) -> None:
    found: tuple[Step, ...] = ()
    for _ in range(6):
        found = steps(desired, cluster.actual, since={}, now=0, grace_s=0).all
        for _ in cluster.apply(found):
            pass
        if not found:
            return
    raise AssertionError(f"it doesn't come to rest: {found}")


def limits_of(actual: Actual) -> dict[str, int]:
    return {name: gpus for name, gpus in actual.limits.items() if gpus}


@given(st.lists(st.tuples(plans(), jobs()), min_size=1, max_size=4))
def test_plans_are_reached_and_then_nothing_is_left_to_do(
    wanted: list[tuple[Desired, tuple[Job, ...]]],
) -> None:
    cluster = SimulatedScheduler(NOTHING)
    for desired, running in wanted:
        cluster.actual = replace(cluster.actual, jobs=running)
        converged(cluster, desired)
        assert dict(cluster.actual.holds) == {one.name: one for one in desired.holds}
        assert {one.node for one in cluster.actual.sweeps} == {
            node for one in desired.holds if one.start is not None for node in one.nodes
        }
        assert limits_of(cluster.actual) == {one.name: one.gpus for one in desired.accounts if one.gpus}
        for one in desired.accounts:
            assert dict(cluster.actual.types.get(one.name, {})) == dict(one.types)
            assert cluster.actual.parents[one.name] == "ot_of_x"
            assert cluster.actual.users.get(one.name, frozenset()) >= set(one.users)
        assert excess(desired, cluster.actual) == {}, "who is left is within limits and on nodes of his own"


@given(plans(), plans(), jobs())
def test_what_narrows_comes_first(before: Desired, desired: Desired, running: tuple[Job, ...]) -> None:
    cluster = SimulatedScheduler(NOTHING)
    converged(cluster, before)
    now = replace(cluster.actual, jobs=running)
    most = limits_of(now)
    for one in desired.accounts:
        most[one.name] = max(most.get(one.name, 0), one.gpus or 0)
    found = steps(desired, now, since={}, now=0, grace_s=0)
    for part, lowers in ((found.narrow, True), (found.widen, False)):
        for step in part:
            before_step = now
            now = after(now, step)
            for name, gpus in limits_of(now).items():
                assert gpus <= most[name]
                had = before_step.limits.get(name)
                assert not lowers or had is None or gpus <= had, "nothing is given on the way down"
            held = [node for one in now.holds.values() if not one.closes for node in one.nodes]
            assert len(held) == len(set(held)), "nobody shares a node on the way"


@given(plans(), plans())
def test_what_closes_is_closed_before_it_is_let_go(before: Desired, desired: Desired) -> None:
    cluster = SimulatedScheduler(NOTHING)
    converged(cluster, before)
    closed = {node for one in desired.holds if one.closes and one.start is None for node in one.nodes}
    now = cluster.actual
    for step in steps(desired, now, since={}, now=0, grace_s=0).all:
        left = _held(now) & closed
        now = after(now, step)
        assert left <= _held(now), "at no time may just anybody start on a node that is to be closed"


def _held(actual: Actual) -> set[str]:
    return {node for one in actual.holds.values() for node in one.nodes}


@given(st.lists(st.integers(1, 16), max_size=6), st.integers(0, 40))
def test_the_youngest_jobs_stop_and_no_more_than_must(sizes: list[int], allowed: int) -> None:
    running = tuple(Job(id=str(i), account="ot_a", gpus=gpus, start=i) for i, gpus in enumerate(sizes))
    desired = Desired(accounts=(account("ot_a", allowed),), holds=())
    stop = excess(desired, replace(NOTHING, jobs=running)).get("ot_a", ())
    left = [job for job in running if job not in stop]
    assert sum(job.gpus for job in left) <= allowed
    assert list(stop) == list(running[len(left) :][::-1])
    if stop:
        assert sum(job.gpus for job in left) + stop[-1].gpus > allowed


def test_who_is_on_a_node_that_goes_to_another_stops_first() -> None:
    running = tuple(Job(id=str(i), account="ot_a", gpus=8, start=i, nodes=(f"n0{i}",)) for i in (1, 2, 3))
    holds = (hold("ot_a", "n02", "n03"), hold("ot_b", "n01"))
    two = Desired(accounts=(account("ot_a", 16), account("ot_b", 8)), holds=holds)
    assert [job.id for job in excess(two, replace(NOTHING, jobs=running))["ot_a"]] == ["1"]
    left = Desired(accounts=(account("ot_a", 16),), holds=holds[:1])
    assert [job.id for job in excess(left, replace(NOTHING, jobs=running))["ot_a"]] == ["1"], (
        "not the youngest"
    )
    one = Desired(accounts=(account("ot_a", 8),), holds=holds[:1])
    assert [job.id for job in excess(one, replace(NOTHING, jobs=running))["ot_a"]] == ["1", "3"]
    closed = Hold(name=CLOSED, accounts=(CLOSED,), nodes=("n03",), end=FAR)
    three = Desired(accounts=(account("ot_a", 24),), holds=(hold("ot_a", "n01", "n02"), closed))
    assert [job.id for job in excess(three, replace(NOTHING, jobs=running))["ot_a"]] == ["3"], "nobody's node"
    later = replace(closed, nodes=("n02",), start=50)
    four = Desired(accounts=(account("ot_a", 24),), holds=(hold("ot_a", "n01", "n02", "n03"), later))
    assert excess(four, replace(NOTHING, jobs=running)) == {}, "until then it may stay"


def test_what_runs_on_a_closed_node_is_swept_and_at_last_requeued() -> None:
    job = Job(id="7", account="ot_a", gpus=8, start=0, nodes=("n01",))
    cluster = SimulatedScheduler(NOTHING)
    closed = Hold(name=CLOSED, accounts=(CLOSED,), nodes=("n01",), end=FAR)
    desired = Desired(accounts=(account("ot_a", 8),), holds=(closed,), groups=groups())
    converged(cluster, desired)
    actual = replace(cluster.actual, jobs=(job,))
    (sweep,) = steps(desired, actual, since={"7": 100}, now=100, grace_s=60).all
    assert (sweep.kind, sweep.target, sweep.sweep) == (Kind.SWEEP, "n01", Sweep(hold=CLOSED, node="n01"))
    swept = replace(actual, sweeps=(Sweep(hold=CLOSED, node="n01", job="8"),))
    assert steps(desired, swept, since={"7": 100}, now=279, grace_s=60).all == (), "the scheduler is at it"
    (stop,) = steps(desired, swept, since={"7": 100}, now=280, grace_s=60).all
    assert (stop.kind, stop.job) == (Kind.STOP, job)
    (stale,) = steps(desired, replace(swept, jobs=()), since={}, now=280, grace_s=60).all
    assert stale.kind is Kind.UNSWEEP


def test_who_runs_beside_others_is_requeued_by_itself() -> None:
    owner = Job(id="1", account="ot_a", gpus=4, start=0, nodes=("n01",))
    intruder = Job(id="2", account="ot_b", gpus=4, start=0, nodes=("n01",))
    desired = Desired(
        accounts=(account("ot_a", 8), account("ot_b", 0)), holds=(hold("ot_a", "n01"),), groups=groups()
    )
    cluster = SimulatedScheduler(NOTHING)
    converged(cluster, desired)
    actual = replace(cluster.actual, jobs=(owner, intruder))
    assert steps(desired, actual, since={"2": 0}, now=59, grace_s=60).all == ()
    (stop,) = steps(desired, actual, since={"2": 0}, now=60, grace_s=60).all
    assert (stop.kind, stop.target) == (Kind.STOP, "2")
    alone = steps(desired, replace(actual, jobs=(intruder,)), since={"2": 0}, now=1, grace_s=60)
    assert [step.kind for step in alone.all] == [
        Kind.MAKE_HOLD, Kind.SWEEP, Kind.DROP_HOLD,
    ], "the node is closed until it is empty"  # fmt: skip


def test_sweepers_wait_from_the_day_before_a_recall() -> None:
    later = Hold(name="ot_back_a", accounts=(CLOSED,), nodes=("n02",), start=3 * DAY_S, end=4 * DAY_S)
    desired = Desired(
        accounts=(account("ot_a", 16),), holds=(hold("ot_a", "n01", "n02"), later), groups=groups()
    )
    cluster = SimulatedScheduler(NOTHING)
    converged(cluster, desired)
    assert steps(desired, cluster.actual, since={}, now=2 * DAY_S - 1, grace_s=60).all == ()
    (sweep,) = steps(desired, cluster.actual, since={}, now=2 * DAY_S, grace_s=60).all
    assert sweep.sweep == Sweep(hold="ot_back_a", node="n02")
    waiting = after(cluster.actual, sweep)
    assert steps(desired, waiting, since={}, now=2 * DAY_S, grace_s=60).all == ()
    withdrawn = replace(desired, holds=desired.holds[:1])
    assert {step.kind for step in steps(withdrawn, waiting, since={}, now=2 * DAY_S, grace_s=60).all} == {
        Kind.UNSWEEP, Kind.DROP_HOLD,
    }  # fmt: skip


def test_an_account_is_made_with_nothing_and_gets_it_when_its_nodes_are_held() -> None:
    desired = Desired(
        accounts=(account("ot_a", 8, "u"),), holds=(hold("ot_a", "n01"),), groups=groups(),
        qos=(Qos(name="ot_firm", priority=100, preempts=(), grace_s=0),),
    )  # fmt: skip
    found: Steps = steps(desired, NOTHING, since={}, now=0, grace_s=0)
    assert [(step.kind, step.target) for step in found.narrow] == [
        (Kind.MAKE_QOS, "ot_firm"), (Kind.MAKE_ACCOUNT, CLOSED), (Kind.MAKE_ACCOUNT, "ot_of_x"),
        (Kind.MAKE_ACCOUNT, "ot_a"), (Kind.ADD_USER, "ot_a"),
    ]  # fmt: skip
    made = next(step.account for step in found.narrow if step.target == "ot_a")
    assert made is not None
    assert made.gpus == 0
    assert [(step.kind, step.target) for step in found.widen] == [
        (Kind.MAKE_HOLD, "ot_a"), (Kind.LIMIT, "ot_a"),
    ]  # fmt: skip


def test_a_hold_that_is_in_use_isn_t_dropped_under_its_jobs() -> None:
    cluster = SimulatedScheduler(NOTHING)
    desired = Desired(accounts=(account("ot_a", 8),), holds=(hold("ot_a", "n01"),), groups=groups())
    converged(cluster, desired)
    job = Job(id="7", account="ot_a", gpus=8, start=0, nodes=("n01",))
    gone = Desired(accounts=(), holds=(), groups=(NOBODY,))
    kinds = [
        s.kind for s in steps(gone, replace(cluster.actual, jobs=(job,)), since={}, now=0, grace_s=0).all
    ]
    assert Kind.DROP_HOLD not in kinds
    assert Kind.STOP in kinds
    kinds = [s.kind for s in steps(gone, cluster.actual, since={}, now=0, grace_s=0).all]
    assert Kind.DROP_HOLD in kinds


def test_what_is_others_is_left_alone() -> None:
    actual = Actual(
        limits={"physics": None, "ot_gone": 8}, users={}, holds={}, foreign={"weekend": ("n01", "n02")},
        jobs=(Job(id="1", account="physics", gpus=64, start=0),),
    )  # fmt: skip
    desired = Desired(accounts=(account("ot_a", 8),), holds=(hold("ot_a", "n02"),))
    found = steps(desired, actual, since={}, now=0, grace_s=0)
    assert [(s.kind, s.target) for s in found.all] == [
        (Kind.LIMIT, "ot_gone"), (Kind.MAKE_ACCOUNT, "ot_a"), (Kind.MAKE_HOLD, "ot_a"), (Kind.LIMIT, "ot_a"),
    ]  # fmt: skip
