"""Ten thousand agreements of 20 tranches and 15 clauses: load, check, and a month's charges.

Physical limit: parsing the same TOML with the standard library, which knows nothing of agreements.
"""

from __future__ import annotations

import time
import tomllib
from decimal import Decimal

from offtake.base.months import Month
from offtake.formats.agreement import parse_agreement
from offtake.rating.rate import rate_month
from offtake.rating.suppose import Supposed, supposed_months

COUNT = 10_000
SMALL = 1_000
MONTH = Month(2027, 6)

HEADER = """
[agreement]
id = "deal-{n}"
operator = "Operator"
offtaker = "Offtaker {n}"
signed = 2026-12-01
currency = "USD"
time_zone = "America/Chicago"
through = 2029-12-31
"""
TRANCHE = """
[[tranche]]
id = "t{i}"
pools = ["p{i}"]
quantity = {gpus}
start = 2027-01-01
"""
FEE = """
[[monthly_fee]]
tranche = "t{i}"
amount = {amount}
first = "2027-01"
last = "2029-12"
"""
CLAUSES = """
[usage_fee]
rate_per_gpu_h = 0.25

[burst]
rate_per_gpu_h = 4.5

[take_or_pay]
share = 0.8
period = "quarter"
make_up_months = 6

[escalator]
rate = 0.03
first = "2028-01"

[availability_credit]
band = [{ below = 0.99, credit = 0.10 }, { below = 0.95, credit = 0.25 }]
cap = 0.3

[termination]
by = ["offtaker"]
notice_days = 90
lock_in_months = 12

[percentage_fee]
share = 0.05
clauses = ["monthly_fee"]

[prepayment]
share = 0.2
credit_from_month = 12

[recall]
tranches = ["t0", "t1"]
notice_days = 30

[payment]
net_days = 45
"""


def text_of(n: int) -> str:
    """The n-th agreement: 20 tranches, 15 clauses."""
    tranches = "".join(TRANCHE.format(i=i, gpus=1_000 + n % 97 * 8) for i in range(20))
    fees = "".join(FEE.format(i=i, amount=1_000_000 + n) for i in range(5))
    return HEADER.format(n=n) + tranches + fees + CLAUSES


def measured(texts: list[str]) -> tuple[float, float, float]:
    """CPU seconds to load and check, to rate a month, and of tomllib alone."""
    start = time.process_time()
    for text in texts:
        tomllib.loads(text, parse_float=Decimal)
    parsed = time.process_time()
    agreements = [parse_agreement(text, "deal.toml") for text in texts]
    loaded = time.process_time()
    lines = 0
    for agreement in agreements:
        (facts,) = supposed_months(agreement, Supposed(), MONTH, MONTH)
        lines += len(rate_month(agreement, facts).charges)
    rated = time.process_time()
    if lines < 5 * len(texts):
        raise RuntimeError(f"{lines} charges of {len(texts)} agreements")
    return loaded - parsed, rated - loaded, parsed - start


def main() -> None:
    """Print the rates and how cost grows."""
    texts = [text_of(n) for n in range(COUNT)]
    load, rate, _ = measured(texts[:SMALL])
    print(f"{SMALL:,} agreements: {SMALL / load:,.0f}/s loaded and checked, {SMALL / rate:,.0f}/s rated")
    big_load, big_rate, big_alone = measured(texts)
    print(
        f"{COUNT:,} agreements: {COUNT / big_load:,.0f}/s loaded and checked, {COUNT / big_rate:,.0f}/s rated"
    )
    print(f"load and check against tomllib alone: {big_load / big_alone:.1f} times")
    growth = (big_load + big_rate) / (load + rate) / (COUNT / SMALL)
    print(f"cost per agreement at ten times the number: {growth:.2f} times (bound 1.2)")


if __name__ == "__main__":
    main()
