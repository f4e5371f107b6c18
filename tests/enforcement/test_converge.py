"""From what a scheduler enforces to what it should: laws on made clusters."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from offtake.enforcement.converge import excess, findings, lowered_by_hand, steps
from offtake.enforcement.model import Account, Actual, Desired, Hold, Job, Kind, Step
from tests.enforcement.scheduler import SimulatedScheduler

NODES = [f"n{i:02d}" for i in range(1, 9)]
NAMES = ["ot_a", "ot_b", "ot_c"]
USERS = st.lists(st.sampled_from(["u", "v"]), unique=True)
EMPTY = Actual(limits={}, users={}, holds={}, foreign={}, jobs=())


def account(name: str, gpus: int, *users: str) -> Account:
    return Account(name=name, claim=name[3:], holder=name, gpus=gpus, users=users)


@st.composite
def plans(draw: st.DrawFn) -> Desired:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    nodes: list[str] = draw(st.permutations(NODES))
    accounts: list[Account] = []
    holds: list[Hold] = []
    at = 0
    for name in names:
        count = draw(st.integers(0, 3))
        own = tuple(sorted(nodes[at : at + count]))
        at += count
        accounts.append(account(name, 8 * count, *draw(USERS)))
        if own and draw(st.sampled_from([True, False])):
            holds.append(Hold(name=name, account=name, nodes=own, end=draw(st.sampled_from([100, 200]))))
    return Desired(accounts=tuple(accounts), holds=tuple(holds))


def converged(cluster: SimulatedScheduler, desired: Desired) -> list[Step]:
    done: list[Step] = []
    for _ in range(4):
        found = steps(desired, cluster.actual, warned={}, now=0, grace_s=0)
        done += found
        for step in found:
            cluster.apply(step)
    return done


@given(st.lists(plans(), min_size=1, max_size=4))
def test_plans_are_reached_and_then_nothing_is_left_to_do(wanted: list[Desired]) -> None:
    cluster = SimulatedScheduler(EMPTY)
    for desired in wanted:
        converged(cluster, desired)
        assert steps(desired, cluster.actual, warned={}, now=0, grace_s=0) == ()
        assert dict(cluster.actual.holds) == {hold.name: hold for hold in desired.holds}
        limits = {one.name: one.gpus for one in desired.accounts}
        assert {n: g for n, g in cluster.actual.limits.items() if n in limits or g} == limits


@given(plans(), plans())
def test_what_narrows_comes_first(before: Desired, after: Desired) -> None:
    cluster = SimulatedScheduler(EMPTY)
    converged(cluster, before)
    most = {one.name: one.gpus for one in before.accounts}
    for one in after.accounts:
        most[one.name] = max(most.get(one.name, 0), one.gpus)
    raised = False
    for step in steps(after, cluster.actual, warned={}, now=0, grace_s=0):
        limit = cluster.actual.limits.get(step.target)
        cluster.apply(step)
        if step.kind is Kind.LIMIT:
            assert step.account is not None
            assert limit is not None
            raised = raised or step.account.gpus > limit
            assert not (raised and step.account.gpus < limit)
        assert all((g or 0) <= most.get(n, 0) for n, g in cluster.actual.limits.items())
        held = [node for hold in cluster.actual.holds.values() for node in hold.nodes]
        assert len(held) == len(set(held)), "nobody shares a node on the way"


@given(st.lists(st.integers(1, 16), max_size=6), st.integers(0, 40))
def test_the_youngest_jobs_stop_and_no_more_than_must(sizes: list[int], allowed: int) -> None:
    jobs = tuple(Job(id=str(i), account="ot_a", gpus=gpus, start=i) for i, gpus in enumerate(sizes))
    desired = Desired(accounts=(account("ot_a", allowed),), holds=())
    stop = excess(desired, replace(EMPTY, jobs=jobs)).get("ot_a", ())
    left = [job for job in jobs if job not in stop]
    assert sum(job.gpus for job in left) <= allowed
    assert list(stop) == list(jobs[len(left) :][::-1])
    if stop:
        assert sum(job.gpus for job in left) + stop[-1].gpus > allowed


def test_who_is_on_a_node_that_goes_to_another_stops_first() -> None:
    jobs = tuple(Job(id=str(i), account="ot_a", gpus=8, start=i, nodes=(f"n0{i}",)) for i in (1, 2, 3))
    holds = (
        Hold(name="ot_a", account="ot_a", nodes=("n02", "n03"), end=9),
        Hold(name="ot_b", account="ot_b", nodes=("n01",), end=9),
    )
    two = Desired(accounts=(account("ot_a", 16), account("ot_b", 8)), holds=holds)
    assert [job.id for job in excess(two, replace(EMPTY, jobs=jobs))["ot_a"]] == ["1"]
    left = Desired(accounts=(account("ot_a", 16),), holds=holds[:1])
    assert [job.id for job in excess(left, replace(EMPTY, jobs=jobs))["ot_a"]] == ["1"], "not the youngest"
    one = Desired(accounts=(account("ot_a", 8),), holds=holds[:1])
    assert [job.id for job in excess(one, replace(EMPTY, jobs=jobs))["ot_a"]] == ["1", "3"]


def test_a_job_is_warned_then_stopped_when_its_time_is_up() -> None:
    job = Job(id="7", account="ot_a", gpus=16, start=0)
    actual = replace(EMPTY, limits={"ot_a": 8}, jobs=(job,))
    desired = Desired(accounts=(account("ot_a", 8),), holds=())
    (warn,) = steps(desired, actual, warned={}, now=100, grace_s=60)
    assert (warn.kind, warn.target) == (Kind.WARN, "7")
    assert steps(desired, actual, warned={"7": 100}, now=159, grace_s=60) == ()
    (stop,) = steps(desired, actual, warned={"7": 100}, now=160, grace_s=60)
    assert stop.kind is Kind.STOP


def test_a_limit_that_somebody_lowered_is_kept_and_one_that_somebody_raised_is_not() -> None:
    desired = Desired(accounts=(account("ot_a", 16),), holds=())
    for limit, last, kept in ((8, 16, {"ot_a": 8}), (8, 8, {}), (64, 16, {}), (8, None, {}), (24, 32, {})):
        actual = replace(EMPTY, limits={"ot_a": limit})
        ours = {} if last is None else {"ot_a": last}
        assert lowered_by_hand(desired, actual, ours) == kept
        found = steps(desired, actual, warned={}, now=0, grace_s=0, kept=kept)
        assert [s.kind for s in found] == ([] if kept else [Kind.LIMIT])
        assert [f.code for f in findings(desired, actual, kept)] == ["lowered_by_hand"] * len(kept)


def test_what_is_others_is_left_alone() -> None:
    actual = Actual(
        limits={"physics": None, "ot_gone": 8}, users={}, holds={}, foreign={"weekend": ("n01", "n02")},
        jobs=(Job(id="1", account="physics", gpus=64, start=0),),
    )  # fmt: skip
    desired = Desired(
        accounts=(account("ot_a", 8),), holds=(Hold(name="ot_a", account="ot_a", nodes=("n02",), end=9),)
    )
    found = steps(desired, actual, warned={}, now=0, grace_s=0)
    assert [(s.kind, s.target) for s in found] == [
        (Kind.LIMIT, "ot_gone"), (Kind.MAKE_ACCOUNT, "ot_a"), (Kind.MAKE_HOLD, "ot_a"),
    ]  # fmt: skip
    (one,) = findings(desired, actual, {})
    assert (one.code, "weekend isn't offtake's and has n02" in one.sentence) == ("foreign_reservation", True)
