"""The cheapest recall against trying everything, and what can't be called."""

from __future__ import annotations

from datetime import date
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.model import Agreement, after_events
from offtake.base.outcome import Refused
from offtake.rating import recalling
from offtake.rating.recalling import Callable, callable_tranches, choose, cost_of
from tests.agreements.texts import HEADER, agreement

TODAY, BY = date(2026, 6, 1), date(2026, 8, 15)


def tranche(id_: str, gpus: int) -> str:
    days = "start = 2026-02-01\nthrough = 2027-01-31"
    return f'[[tranche]]\nid = "{id_}"\npools = ["p{id_}"]\nquantity = {gpus}\n{days}\n'


def deal(id_: str, fee: int, sizes: dict[str, int], **recall: object) -> Agreement:
    terms = "\n".join(f"{name} = {value}" for name, value in recall.items() if value is not None)
    names = ", ".join(f'"{name}"' for name in sizes)
    return agreement(
        f'[monthly_fee]\namount = {fee}\nfirst = "2026-02"\nlast = "2027-01"\n',
        f"[recall]\ntranches = [{names}]\n{terms}\n",
        header=HEADER.replace('"deal"', f'"{id_}"'),
        tranche="\n".join(tranche(name, gpus) for name, gpus in sizes.items()),
    )


def tried(tranches: tuple[Callable, ...], gpus: int, until: date | None) -> tuple[int, int] | None:
    """Cost and GPUs of the best of all combinations whose every notice counts, or the most there is."""
    best: tuple[int, int] | None = None
    most = 0
    amounts = [range(0, one.most + 1, one.clause.granularity_gpus) for one in tranches]
    prices = [
        {count: cost_of(one.agreement, one.events(count, until)).minor for count in counts if count}
        for one, counts in zip(tranches, amounts, strict=True)
    ]
    for counts in product(*amounts):
        cost, standing, fine = 0, {one.agreement.id: one.agreement for one in tranches}, True
        for one, count, price in zip(tranches, counts, prices, strict=True):
            if count and fine:
                notice = one.notice(count)
                fine = not isinstance(notice.check(standing[one.agreement.id]), Refused)
                if fine:
                    standing[one.agreement.id] = after_events(standing[one.agreement.id], [notice])
                    cost += price[count]
        if fine:
            most = max(most, sum(counts))
            found = cost, sum(counts)
            if sum(counts) >= gpus and (best is None or found < best):
                best = found
    return best if best is not None else (-1, most)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.sampled_from([100, 200, 300]), st.sampled_from([100, 250])),
    st.sampled_from([0, 300, 500]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([0, 1]),
    st.integers(1, 1_500),
    st.sampled_from([None, date(2026, 10, 1)]),
)
def test_the_choice_is_the_best_of_all(
    fees: tuple[int, int], grain: tuple[int, int], retained: int, times: int | None, paid: int, gpus: int,
    until: date | None,
) -> None:  # fmt: skip
    first = deal(
        "a", fees[0] * 100_000, {"x": 600, "y": 300}, notice_days=30, granularity_gpus=grain[0],
        retained_gpus=retained, times_per_year=times, compensation_per_gpu_h=paid,
    )  # fmt: skip
    second = deal(
        "b", fees[1] * 100_000, {"z": 500}, notice_days=60, granularity_gpus=grain[1], fee_reduction=0.5
    )
    tranches, left = callable_tranches([first, second], today=TODAY, by=BY)
    assert left == {} or retained == 500
    found = choose(tranches, gpus, until)
    best = tried(tranches, gpus, until)
    assert best is not None
    alone = sum(call.cost.minor for call in found.calls)
    if best[0] < 0:
        assert found.gpus == best[1] < gpus
    else:
        assert found.gpus >= gpus
        assert alone <= best[0] + 12  # a rounding apart, choosing in proportion
    standing = {"a": first, "b": second}
    for call in found.calls:
        notice = call.of.notice(call.gpus)
        assert not isinstance(notice.check(standing[notice.agreement]), Refused)
        standing[notice.agreement] = after_events(standing[notice.agreement], [notice])


def test_notices_are_served_as_late_as_they_may_be() -> None:
    plain = deal("a", 100_000, {"x": 600}, notice_days=30)
    black = agreement(
        '[monthly_fee]\namount = 1\nfirst = "2026-02"\nlast = "2027-01"\n',
        '[recall]\ntranches = ["main"]\nnotice_days = 30\n[[recall.blackout]]\nfirst = 2026-08-10\n'
        "through = 2026-08-20\n",
    )
    slow = deal("c", 100_000, {"x": 600}, notice_days=90)
    found, left = callable_tranches([plain, black, slow], today=TODAY, by=BY)
    assert [(one.name, one.serve, one.effective) for one in found] == [
        ("a/x", date(2026, 7, 16), BY),
        ("deal/main", date(2026, 7, 10), date(2026, 8, 9)),
    ]
    assert left == {"c/x": "c: 90 days' notice can't run by 2026-08-15"}


def test_large_amounts_are_chosen_in_steps_that_the_answer_names() -> None:
    big = deal("a", 100_000, {"x": 100_000}, notice_days=30)
    tranches, _ = callable_tranches([big], today=TODAY, by=BY)
    found = choose(tranches, 50_001, None)
    assert found.step == 3
    assert 50_001 <= found.gpus < 50_001 + 3
    few = choose(tranches, recalling.STATES, None)
    assert (few.step, few.gpus) == (1, recalling.STATES)
    assert choose([], 10, None).gpus == 0
