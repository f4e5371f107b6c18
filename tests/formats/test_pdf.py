from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from offtake.base.money import Money, total
from offtake.base.months import Month, local_date
from offtake.billing.document import Document, DocumentKind
from offtake.formats import pdf
from offtake.formats.pdf import amount_text, date_text, render_document
from offtake.rating.model import Charge, Kind

ISSUED = 1_798_783_200  # 2027-01-01T06:00Z: midnight of New Year in Chicago
DUE = ISSUED + 30 * 86_400


def line(minor: int, text: str = "Fee for 2026-12", *, assumed: tuple[str, ...] = ()) -> Charge:
    return Charge(
        clause="monthly_fee" if minor >= 0 else "availability_credit",
        month=Month(2026, 12),
        kind=Kind.FEE if minor >= 0 else Kind.CREDIT,
        text=text,
        amount=Money(minor, "USD"),
        basis=assumed,
        assumed=assumed,
    )


def document(*lines: Charge, offtaker: str = "Anthropic", advance: bool = False) -> Document:
    amount = total((item.amount for item in lines), "USD")
    return Document(
        number="INV-000042",
        kind=DocumentKind.CREDIT_NOTE if amount.minor < 0 else DocumentKind.INVOICE,
        agreement="anthropic",
        operator="SpaceX",
        offtaker=offtaker,
        month=Month(2026, 12),
        issued_at=ISSUED,
        due_at=DUE,
        time_zone="America/Chicago",
        currency="USD",
        lines=lines,
        total=amount,
        fixed_in_advance=advance,
    )


class Reader:
    """Text and pages of a PDF, by the tools of Poppler."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "document.pdf"

    def text(self, document: bytes) -> str:
        self.path.write_bytes(document)
        ran = subprocess.run(
            ["pdftotext", "-layout", str(self.path), "-"], check=True, capture_output=True, timeout=30
        )
        return " ".join(ran.stdout.decode().split())

    def pages(self, document: bytes) -> int:
        self.path.write_bytes(document)
        ran = subprocess.run(["pdfinfo", str(self.path)], check=True, capture_output=True, timeout=30)
        found = re.search(r"Pages:\s+(\d+)", ran.stdout.decode())
        assert found is not None
        return int(found[1])

    def fonts(self, document: bytes) -> set[str]:
        self.path.write_bytes(document)
        ran = subprocess.run(["pdffonts", str(self.path)], check=True, capture_output=True, timeout=30)
        return {row.split()[0].partition("+")[2] for row in ran.stdout.decode().splitlines()[2:]}


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext to read PDF files with; install poppler-utils")
    return Reader(tmp_path)


def test_it_is_a_pdf_and_the_same_bytes_every_time() -> None:
    invoice = document(line(125_000_000_000))
    rendered = render_document(invoice)
    assert rendered.startswith(b"%PDF-")
    assert render_document(invoice) == rendered
    assert render_document(document(line(125_000_000_001))) != rendered
    assert b"CreationDate" not in rendered


def test_an_invoice_says_what_a_treasurer_needs(reader: Reader) -> None:
    lines = (
        line(125_000_000_000),
        line(
            -12_500_000_000, "Availability credit: 98.3521 % available", assumed=("availability_credit.cap",)
        ),
        line(1, "Rounding of a usage line"),
    )
    text = reader.text(render_document(document(*lines)))
    for expected in (
        "SpaceX",
        "Invoice number INV-000042",
        "Anthropic",
        "Service month December 2026",
        "Issued 1 January 2027",
        "Due 31 January 2027",
        "Payable by 31 January 2027",
        "USD 1,125,000,000.01",
        "Total 1,125,000,000.01",
        "line 2: availability_credit.cap",
    ):
        assert expected in text
    for item in lines:
        assert item.text in text
        assert amount_text(item.amount) in text
        assert item.clause in text
    assert text.endswith(("1/1", "1 / 1"))


def test_nothing_is_said_of_assumptions_where_there_are_none(reader: Reader) -> None:
    assert "assumed" not in reader.text(render_document(document(line(100))))


def test_a_credit_note_asks_for_nothing(reader: Reader) -> None:
    text = reader.text(render_document(document(line(-12_500_000_000))))
    assert "Credit note number INV-000042" in text
    assert "USD −125,000,000.00" in text
    assert "Due nothing to pay" in text
    assert "Payable" not in text
    assert "Invoice number" not in text


def test_a_document_in_advance_says_so(reader: Reader) -> None:
    assert "in advance of the service month" in reader.text(render_document(document(line(1), advance=True)))


def test_sixty_lines_break_pages_and_lose_none(reader: Reader) -> None:
    lines = [line(1_000_000 + i, f"Line called {i:02d}") for i in range(60)]
    rendered = render_document(document(*lines))
    pages = reader.pages(rendered)
    assert pages > 1
    text = reader.text(rendered)
    for item in lines:
        assert item.text in text
        assert amount_text(item.amount) in text
    for number in range(1, pages + 1):
        assert re.search(rf"INV-000042 {number} ?/ ?{pages}\b", text)
    # The heading of the table is repeated above the lines of every page that has some.
    assert text.count("What, and the clause it comes from") >= 2


def test_text_is_never_markup(reader: Reader) -> None:
    hostile = r'#read("/etc/passwd") $x^2$ *b* _i_ `c` \ <label> @ref "q" [#emph[z]]'
    text = reader.text(render_document(document(line(100, hostile), offtaker="#panic() & Söhne <Ltd>")))
    assert hostile in text
    assert "#panic() & Söhne <Ltd>" in text


def test_only_fonts_that_come_with_typst_are_used(reader: Reader) -> None:
    fonts = reader.fonts(render_document(document(line(100), line(-1, assumed=("payment",)))))
    assert fonts
    assert all(name.startswith(("LibertinusSerif", "DejaVuSansMono")) for name in fonts)


def test_an_empty_document_still_has_its_page(reader: Reader) -> None:
    assert "Total 0.00" in reader.text(render_document(document()))


def test_all_documents_share_one_compiler() -> None:
    # Finding the fonts costs more than a page, so a hundred documents shall find them once.
    for i in range(5):
        assert render_document(document(line(1 + i)))
    assert pdf._compiler.cache_info().misses == 1


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (-12_500_000_000, "USD", "−125,000,000.00"),
        (5, "USD", "0.05"),
        (1_234_567, "JPY", "1,234,567"),
        (1_234_567, "KWD", "1,234.567"),
    ],
)
def test_amounts_in_all_their_digits(minor: int, currency: str, text: str) -> None:
    assert amount_text(Money(minor, currency)) == text


def test_dates_follow_the_documents_zone() -> None:
    assert date_text(local_date(ISSUED - 1, "America/Chicago")) == "31 December 2026"
    assert date_text(local_date(ISSUED, "America/Chicago")) == "1 January 2027"


def test_a_simulated_document_says_so_and_asks_for_nothing(reader: Reader) -> None:
    text = reader.text(render_document(document(line(100)), simulated=True))
    assert "· simulated" in text
    assert "nothing is owed" in text
    assert "Payable by" not in text
    assert "simulated" not in reader.text(render_document(document(line(100))))
