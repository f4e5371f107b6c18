from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from offtake.agreements.clauses.payment import Timing
from offtake.agreements.model import Step
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.time import DAY_S
from offtake.formats.html_report import PALETTE, render_report, report_charts, short_money
from offtake.formats.pdf import amount_text
from offtake.workflows.report import AgreementLine, FleetDays
from offtake.workflows.report_view import in_words, report_view
from tests.formats.report_sample import Sample, short_colossus

VOID = {"meta", "link", "br", "hr", "img", "input"}
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "formaction", "background", "manifest"}


class Page(HTMLParser):
    """What a browser would see: attributes, tables, and the text of scripts, styles and everything else."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[tuple[str, list[str]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self._section = dict(attrs).get("id") or ""
        if tag == "tr":
            self.rows.append((self._section, []))
        if tag in {"td", "th"}:
            self.rows[-1][1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        where = inside if inside in {"script", "style", "title"} else "body"
        self.text[where] = self.text.get(where, "") + data
        # Marks of assumptions stand in `sup`; a figure's text is what is left.
        if {"td", "th"} & set(self._open) and "sup" not in self._open:
            self.rows[-1][1][-1] += data

    def table(self, section: str) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in cells] for where, cells in self.rows if where == section]

    def values(self, name: str) -> Iterator[str]:
        return (value for _, other, value in self.attributes if other == name)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return short_colossus(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def html(sample: Sample) -> str:
    return render_report(sample.view)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def statement(page: Page) -> dict[tuple[str, str], list[str]]:
    """The statement of agreements: cells by heading of the group and of the row."""
    found: dict[tuple[str, str], list[str]] = {}
    group = ""
    for cells in page.table("agreements")[1:]:
        if len(cells) == 1:
            group = cells[0]
        else:
            assert (group, cells[0]) not in found
            found[group, cells[0]] = cells[1:]
    return found


def shown(amount: Money) -> str:
    return amount_text(amount) if amount else "–"


def test_the_page_loads_nothing(html: str, page: Page) -> None:
    for tag, name, value in page.attributes:
        if name in FETCHING:
            assert value.startswith("#") or value == "data:,", f"{tag} {name}={value}"
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]
    policy = next(v for v in page.values("content") if "default-src" in v)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert len(html.encode()) < 3_000_000


def test_every_inner_link_leads_somewhere(page: Page) -> None:
    ids = list(page.values("id"))
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert targets
    assert targets <= set(ids)


def test_the_same_book_gives_the_same_page(sample: Sample, html: str) -> None:
    again = report_view(sample.known, open_documents=sample.open_documents, fleet=sample.fleet)
    assert render_report(again) == html


@pytest.mark.parametrize(
    ("group", "row", "of"),
    [
        ("Over the term", "Full fees", lambda line: line.full_total),
        ("Over the term", "Ramp fees", lambda line: line.ramp_total),
        ("Over the term", "Headline value", lambda line: line.values.headline.value),
        ("Billed so far", "Full fees", lambda line: line.full_invoiced),
        ("Billed so far", "Ramp fees", lambda line: line.ramp_invoiced),
        ("Billed so far", "Credits", lambda line: line.credits),
        ("Billed so far", "Invoiced", lambda line: line.invoiced),
        ("Billed so far", "Paid", lambda line: line.invoiced - line.outstanding),
        ("Billed so far", "Outstanding", lambda line: line.outstanding),
        ("Still to come", "Fixed fees not invoiced yet", lambda line: line.remaining),
        ("If the offtaker leaves as early as it may", "Firm value", lambda line: line.values.firm.value),
        (
            "If the offtaker leaves as early as it may",
            "Cancellable value",
            lambda line: line.values.cancellable.value,
        ),
    ],
)
def test_the_statement_shows_the_read_models_figures(
    sample: Sample, page: Page, group: str, row: str, of: Any
) -> None:
    amounts = [of(line) for line in sample.known.agreements]
    all_of_them = sum((amount.minor for amount in amounts), start=0)
    assert statement(page)[group, row] == [*map(shown, amounts), shown(Money(all_of_them, "USD"))]


def test_the_last_column_agrees_with_the_read_models_totals(sample: Sample, page: Page) -> None:
    totals, rows = sample.known.totals["USD"], statement(page)
    for (group, row), amount in {
        ("Over the term", "Headline value"): totals.headline,
        ("Billed so far", "Invoiced"): totals.invoiced,
        ("Billed so far", "Outstanding"): totals.outstanding,
        ("Still to come", "Fixed fees not invoiced yet"): totals.remaining,
        ("If the offtaker leaves as early as it may", "Firm value"): totals.firm,
    }.items():
        assert rows[group, row][-1] == shown(amount)


def test_public_figures_of_the_example(page: Page) -> None:
    rows = statement(page)
    assert rows["Over the term", "Full fees"][:3] == [
        "43,750,000,000.00",
        "30,360,000,000.00",
        "6,300,000,000.00",
    ]
    leaving = "If the offtaker leaves as early as it may"
    assert rows[leaving, "Firm value"][0] == "6,250,000,000.00"
    assert rows[leaving, "First day of notice"][:2] == ["3 August 2026", "1 January 2027"]
    assert rows[leaving, "Covered until"][0] == "1 November 2026"
    assert rows["Per GPU-hour, and take", "Implied price, 730 h a month"][0] == "$5.27"
    assert rows["Per GPU-hour, and take", "Implied price, 730 h a month"][2] == "GPU count not stated"
    assert rows["Billed so far", "Credits"][0] == "−125,000,000.00"


def test_a_row_that_says_nothing_is_left_out(page: Page) -> None:
    assert ("Billed so far", "Usage") not in statement(page)


def test_cards_and_sentence_sum_the_agreements(sample: Sample, page: Page) -> None:
    cards = {card.name: card.value for card in sample.view.cards}
    invoiced = sum(line.invoiced.minor for line in sample.known.agreements)
    assert cards["Invoiced"].exact == f"{amount_text(Money(invoiced, 'USD'))} USD"
    assert short_money(Money(invoiced, "USD")) in sample.view.sentence
    body = " ".join(page.text["body"].split())
    assert sample.view.sentence in body
    assert sample.known.head[1] in body


def test_every_assumption_appears_with_its_value_and_source(sample: Sample, page: Page) -> None:
    rows = page.table("assumptions")[1:]
    written = [(path, said) for line in sample.known.agreements for path, said in line.assumptions]
    written += sample.known.fleet_assumptions
    assert [cells[1] for cells in rows] == [path for path, _ in written]
    for cells, (_, said) in zip(rows, written, strict=True):
        assert cells[3] == (said.source or "–")
        assert cells[2] != "see the file"
    by_term = {(cells[0], cells[1]): cells[2] for cells in rows}
    assert by_term["Anthropic", "ramp.fee_share"] == "0.5"
    assert by_term["Anthropic", "tranche[0].full_from"] == "1 June 2026"
    assert by_term["Fleet, c1-h100", "pool[0].kw_per_gpu"] == "1.275"


def test_figures_carry_the_assumptions_they_rest_on(sample: Sample) -> None:
    anthropic: dict[tuple[str, str], list[str]] = {}
    for group in sample.view.figures:
        for name, cells in group.rows:
            anthropic[group.name, name] = [mark.label for mark in cells[0].marks]
    assert anthropic["Over the term", "Full fees"] == []
    assert anthropic["Over the term", "Ramp fees"] == ["anthropic: ramp.fee_share"]
    assert anthropic["Over the term", "Headline value"] == ["anthropic: ramp.fee_share"]
    assert anthropic["Billed so far", "Credits"] == ["anthropic: availability_credit"]
    assert anthropic["Billed so far", "Paid"] == []
    # The ramp months are invoiced, so nothing that is still to come rests on their fee.
    assert anthropic["Still to come", "Fixed fees not invoiced yet"] == []
    # The one open invoice is for a month without an assumed line.
    assert anthropic["Billed so far", "Outstanding"] == []


def test_outstanding_is_marked_where_any_document_may_be_open(sample: Sample) -> None:
    rows = dict(report_view(sample.known).figures[1].rows)
    assert "anthropic: ramp.fee_share" in [mark.label for mark in rows["Outstanding"][0].marks]


def test_charts_have_a_row_for_each_day_and_month(sample: Sample) -> None:
    charts, known = report_charts(sample.view), sample.known
    for name in ("chart-fleet", "chart-headroom", "chart-use"):
        assert len(charts[name]["datasets"]["rows"]) == len(known.fleet.starts)
    for i, line in enumerate(known.agreements):
        rows = charts[f"chart-fees-{i}"]["datasets"]["rows"]
        assert [row["month"] for row in rows] == [str(month.month) for month in line.months]
        assert sum(Decimal(str(row["fees"])) for row in rows) == sum(m.fees.major for m in line.months)
        assert charts[f"chart-take-{i}"]["datasets"]["rows"] == rows
    worth = charts["chart-worth-0"]["datasets"]["rows"]
    assert [row["firm"] + row["cancellable"] for row in worth] == [
        float(line.values.headline.value.major) for line in known.agreements
    ]


def test_fleet_rows_are_daily_averages_on_local_days(sample: Sample) -> None:
    fleet = sample.known.fleet
    rows = report_charts(sample.view)["chart-fleet"]["datasets"]["rows"]
    assert rows[0]["day"] == "2026-05-01"
    # Every local day once, over the change of clocks in November and March too.
    assert len({row["day"] for row in rows}) == len(rows)
    assert rows[-1]["day"] == "2027-03-31"
    held = int(fleet.held["anthropic"][100])
    assert rows[100]["h0"] == round(held / DAY_S)
    assert rows[100]["available"] == round(int(fleet.available[100]) / DAY_S)


def test_headroom_and_shortfall_split_what_is_available(sample: Sample) -> None:
    for row in report_charts(sample.view)["chart-headroom"]["datasets"]["rows"]:
        assert row["committed"] + row["headroom"] - row["short"] == row["available"]
        assert min(row["headroom"], row["short"]) == 0


def days_of(series: dict[str, list[int]], days: int, *, available: int = 1_000) -> FleetDays:
    full = np.full(days, available * DAY_S, dtype=np.int64)
    return FleetDays(
        starts=np.arange(days, dtype=np.int64) * DAY_S,
        held={name: np.asarray(values, dtype=np.int64) * DAY_S for name, values in series.items()},
        taken={name: np.asarray(values, dtype=np.int64) * DAY_S for name, values in series.items()},
        nameplate=full,
        available=full,
        firm=full * 0,
    )


def test_more_holders_than_colours_lose_no_gpu(sample: Sample) -> None:
    series = {f"team-{i:02d}": [i + 1, 2 * i + 1, 100 - i] for i in range(30)}
    known = replace(sample.known, fleet=days_of(series, 3))
    fleet = report_view(known).fleet
    assert len(fleet.holders) == len(PALETTE)
    assert fleet.holders[-1][0] == f"{30 - len(PALETTE) + 1} others"
    for day in range(3):
        assert sum(values[day] for _, values in fleet.holders) == sum(v[day] for v in series.values())


def test_a_cut_last_day_is_averaged_over_what_there_is_of_it(sample: Sample) -> None:
    fleet = days_of({"team": [10, 10]}, 2)
    half = {name: values - np.array([0, 5 * DAY_S]) for name, values in fleet.held.items()}
    window = replace(sample.known.window, start=0, end=DAY_S + DAY_S // 2)
    view = report_view(replace(sample.known, fleet=replace(fleet, held=half), window=window))
    assert dict(view.fleet.holders)["team"] == [10, 10]


def test_one_name_has_one_colour_everywhere(sample: Sample, html: str) -> None:
    charts = report_charts(sample.view)
    areas = charts["chart-fleet"]["layer"][0]["encoding"]["color"]["scale"]["range"]
    names = [name for name, _ in sample.view.fleet.holders]
    assert len(set(areas)) == len(names)
    bars = charts["chart-worth-0"]["layer"][0]["encoding"]["color"]["scale"]
    for name, colour in zip(names, areas, strict=True):
        assert f'--c:{colour}"></i>{name}</li>' in html
        if name in bars["domain"]:
            assert bars["range"][bars["domain"].index(name)] == colour


def test_hostile_names_stay_text(sample: Sample) -> None:
    evil = '</script><script>alert("x")</script><b>&amp;'
    fleet = replace(sample.view.fleet, holders=((evil, sample.view.fleet.available),))
    months = tuple(replace(series, name=evil) for series in sample.view.months)
    worth = tuple(replace(item, name=evil) for item in sample.view.worth)
    view = replace(sample.view, operator=evil, fleet=fleet, months=months, worth=worth)
    html = render_report(view)
    assert evil not in html
    assert html.count("<script") == render_report(sample.view).count("<script")
    data = re.search(r'<script type="application/json" id="charts">(.*?)</script>', html, flags=re.DOTALL)
    assert data is not None
    charts = json.loads(data[1])
    assert charts == report_charts(view)
    assert evil in charts["chart-worth-0"]["layer"][0]["encoding"]["color"]["scale"]["domain"]


def test_documents_say_what_is_settled_open_and_overdue(sample: Sample) -> None:
    statuses = {row.number: row.status for row in sample.view.documents}
    left = {item.number for item in sample.open_documents}
    assert left
    assert {number for number, status in statuses.items() if status == "open"} == left
    assert {status for number, status in statuses.items() if number not in left} == {"settled"}
    late = replace(
        sample.known,
        documents=tuple(replace(d, due_at=sample.known.window.end) for d in sample.known.documents),
    )
    part = replace(sample.open_documents[0], left=Money(1, "USD"))
    rows = {row.number: row for row in report_view(late, open_documents=[part]).documents}
    assert rows[part.number].status == "overdue, 0.01 left"
    assert rows[part.number].tone == "overdue"


def test_no_status_is_shown_where_none_is_known(sample: Sample) -> None:
    page = Page(render_report(report_view(sample.known)))
    assert page.table("documents")[0][-1] == "Total"
    assert len(page.table("documents")) == len(sample.known.documents) + 1


def test_deadlines_are_sorted_and_the_past_is_grey(sample: Sample, page: Page) -> None:
    dates = sorted(deadline.on for line in sample.known.agreements for deadline in line.deadlines)
    rows = sample.view.deadlines
    assert [row.on for row in rows] == [f"{day.day} {day:%B %Y}" for day in dates]
    assert [row.past for row in rows] == [day < date(2027, 4, 1) for day in dates]
    assert list(page.values("class")).count("past") == sum(row.past for row in rows)


def test_what_is_hypothetical_says_so(sample: Sample, page: Page) -> None:
    assert sum(cells[-1] == "hypothetical" for cells in page.table("events")) == sum(
        event.hypothetical for event in sample.known.happened
    )


def with_currency(line: AgreementLine, currency: str) -> AgreementLine:
    """The same amounts in another currency."""

    def moved(amount: Money) -> Money:
        return Money(amount.minor, currency)

    figures: dict[str, Any] = {
        name: replace(getattr(line.values, name), value=moved(getattr(line.values, name).value))
        for name in ("headline", "firm", "cancellable")
    }
    names = ("full_total", "full_invoiced", "ramp_total", "ramp_invoiced", "adjustments", "usage", "credits")
    sums: dict[str, Any] = {
        name: moved(getattr(line, name)) for name in (*names, "invoiced", "remaining", "outstanding")
    }
    return replace(
        line,
        agreement=replace(line.agreement, currency=currency),
        values=replace(line.values, **figures),
        full_fee=None if line.full_fee is None else moved(line.full_fee),
        **sums,
    )


def test_currencies_are_never_summed(sample: Sample) -> None:
    first, second, third = sample.known.agreements
    known = replace(sample.known, agreements=(first, with_currency(second, "CHF"), third))
    view = report_view(known)
    assert [currency for _, currency in view.columns] == ["USD", "CHF", "USD"]
    cards = {card.name: card.value.text for card in view.cards}
    assert cards["Headline value"] == "$51.3B + CHF 31.74B"
    charts = report_charts(view)
    assert [row["name"] for row in charts["chart-worth-1"]["datasets"]["rows"]] == ["Google"]


def test_a_book_without_anything_has_a_page(sample: Sample) -> None:
    known = replace(
        sample.known,
        agreements=(),
        documents=(),
        happened=(),
        fleet_assumptions=(),
        fleet=days_of({}, 0),
    )
    view = report_view(known)
    assert report_charts(view) == {}
    page = Page(render_report(view))
    assert "The book has no agreement." in page.text["body"]


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (4_375_000_000_000, "USD", "$43.75B"),
        (-12_500_000_000, "USD", "−$125M"),
        (89_032_258_065, "USD", "$890.323M"),
        (99_999_999, "USD", "$999,999.99"),
        (100_000_000, "USD", "$1M"),
        (0, "USD", "$0.00"),
        (1_500_000, "JPY", "¥1.5M"),
        (123_456_789_000_000, "CHF", "CHF 1.235T"),
    ],
)
def test_short_money(minor: int, currency: str, text: str) -> None:
    assert short_money(Money(minor, currency)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (18_750, "18,750"),
        (Decimal("0.10"), "0.10"),
        (Decimal(1000), "1,000"),
        (Timing.ADVANCE, "advance"),
        (date(2026, 5, 3), "3 May 2026"),
        (Month(2026, 7), "July 2026"),
        (("c1", "c2"), "c1; c2"),
        ((Step(start=date(2026, 5, 3), quantity=Decimal(110_000)),), "start 3 May 2026, quantity 110,000"),
    ],
)
def test_terms_in_words(value: Any, text: str) -> None:
    assert in_words(value) == text


def test_the_chart_library_is_written_once(html: str, sample: Sample) -> None:
    assert len(report_charts(sample.view)) == 10
    assert len(re.findall(r"window\.vegaEmbed\s*=", html)) == 1


def test_a_simulated_book_says_so(sample: Sample) -> None:
    live = report_view(replace(sample.known, simulated=False))
    assert "simulated" in Page(render_report(sample.view)).text["body"].lower()
    assert "simulated" not in Page(render_report(live)).text["body"].lower()
