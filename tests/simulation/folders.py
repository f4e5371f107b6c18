"""A small made-up business that meets everything a book can hold, written as a folder of files.

Two sites in two time zones, three pools with nodes of 8 and 72 GPUs, three agreements: `aster` pays a flat
fee in arrears and is delivered short, `birch` pays in advance, is recalled from and leaves, `cedar` pays for
what it takes in another currency. Every event of a scenario happens once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SETTINGS = """
[operator]
name = "Smallfleet"
time_zone = "America/Chicago"
currency = "USD"

[run]
first = "2026-07"
last = "2026-12"
"""

FLEET = """
[[site]]
id = "north"
name = "North"
critical_it_mw = 12
pue = 1.2
region = "US-IL"
time_zone = "America/Chicago"

[[site]]
id = "east"
name = "East"
critical_it_mw = 2
pue = 1.3
region = "DE-BE"
time_zone = "Europe/Berlin"

[[pool]]
id = "n8"
site = "north"
gpu_model = "NVIDIA H100"
gpus_per_node = 8
kw_per_gpu = 1.275

[[pool.build_out]]
id = "built"
in_service = 2026-01-01
nodes = 400

[[pool]]
id = "n72"
site = "north"
gpu_model = "NVIDIA GB200"
gpus_per_node = 72
kw_per_gpu = 1.84

[[pool.build_out]]
id = "first"
in_service = 2026-01-01
nodes = 20

[[pool.build_out]]
id = "second"
in_service = 2026-08-01
nodes = 20

[[pool]]
id = "e72"
site = "east"
gpu_model = "NVIDIA GB300"
gpus_per_node = 72
kw_per_gpu = 1.97

[[pool.build_out]]
id = "built"
in_service = 2026-01-01
nodes = 10

[[derate]]
id = "spares"
pool = "n8"
start = 2026-07-01
gpus = 16
reason = "spares"
"""

ASTER = """
[agreement]
id = "aster"
operator = "Smallfleet"
offtaker = "Aster"
signed = 2026-06-01
currency = "USD"
time_zone = "America/Chicago"

[[tranche]]
id = "main"
pools = ["n72"]
quantity = 2_000
start = 2026-07-01
through = 2027-06-30
steps = [{ start = 2026-07-01, quantity = 700 }]
full_from = 2026-08-15

[monthly_fee]
amount = 1_000_000.01
first = "2026-08"
last = "2027-06"

[ramp]
first = "2026-07"
last = "2026-07"
fee_share = { value = 0.5, assumed = true }

[delivery]
due = 2026-08-15
gpus = 2_000
grace_months = 1
remedies = ["terminate", "pro_rata_fee"]

[termination]
notice_days = 90
lock_in_months = 12

[payment]
timing = "arrears"
net_days = 30
"""

BIRCH = """
[agreement]
id = "birch"
operator = "Smallfleet"
offtaker = "Birch"
signed = 2026-06-15
currency = "USD"
time_zone = "UTC"

[[tranche]]
id = "main"
pools = ["n8", "e72"]
quantity = 1_500
firmness = "recallable"
start = 2026-07-01
through = 2027-12-31

[monthly_fee]
amount = 310_000
first = "2026-07"
last = "2027-12"

[recall]
tranches = ["main"]
notice_days = 10
granularity_gpus = 100
retained_gpus = 500

[availability_credit]
band = [{ below = 0.99, credit = 0.10 }, { below = 0.95, credit = 0.25 }]
cap = 0.20

[termination]
notice_days = 30
lock_in_months = 1

[payment]
timing = "advance"
net_days = 15
"""

CEDAR = """
[agreement]
id = "cedar"
operator = "Smallfleet"
offtaker = "Cedar"
signed = 2026-06-20
currency = "EUR"
time_zone = "Europe/Berlin"
rounding = "half_up"

[[tranche]]
id = "main"
pools = ["e72"]
quantity = 500
firmness = "interruptible"
start = 2026-07-01
through = 2027-06-30

[usage_fee]
rate_per_gpu_h = 2.357

[take_or_pay]
share = 0.8

[payment]
net_days = 20
"""

DEMAND = """
[[demand]]
id = "training"
holder = "lab"
firmness = "internal"
pools = ["n72", "n8"]
training = { seed = 1, gpus = [288, 1_440], days = [5, 20], gap_days = [1, 5], step_gpus = 72 }

[[demand]]
id = "serving"
holder = "product"
firmness = "internal"
pools = ["n8"]
inference = { seed = 2, start_gpus = 640, growth_per_year = 1.5, daily_swing = 0.3, step_gpus = 64 }

[[demand]]
id = "research"
holder = "lab"
firmness = "elastic"
pools = ["n8", "e72"]
file = "research.csv"

[[take]]
claim = "aster/main"
share = { seed = 3, first = 0.8, last = 0.9, noise = 0.01 }

[[take]]
claim = "cedar/main"
share = { seed = 4, first = 0.6, last = 0.95 }
"""

RESEARCH = """start,gpus
2026-07-03T00:00:00Z,400
2026-09-01T12:00:00Z,1600
2026-11-20T06:00:00Z,90
"""

SCENARIO = """
[[outage]]
id = "flood"
pool = "n8"
start = "2026-08-09T08:00:00Z"
end = "2026-08-12T20:00:00Z"
gpus = 2_800

[[delivery]]
id = "second-late"
pool = "n72"
build_out = "second"
known_on = 2026-07-20

[[delivery.step]]
on = 2026-10-05
nodes = 12

[[delivery.step]]
on = 2026-10-20
nodes = 8

[[recall]]
id = "birch-recall"
agreement = "birch"
tranche = "main"
gpus = 300
given = 2026-07-20

[[election]]
id = "aster-accepts"
agreement = "aster"
choice = "pro_rata_fee"
made = 2026-09-16
gpus = 1_440

[[notice]]
id = "birch-leaves"
agreement = "birch"
by = "offtaker"
given = 2026-09-10
"""

FILES: Mapping[str, str] = {
    "offtake.toml": SETTINGS,
    "fleet.toml": FLEET,
    "agreements/aster.toml": ASTER,
    "agreements/birch.toml": BIRCH,
    "agreements/cedar.toml": CEDAR,
    "demand/internal.toml": DEMAND,
    "demand/research.csv": RESEARCH,
    "scenario.toml": SCENARIO,
}


def write_folder(path: Path, files: Mapping[str, str | None] | None = None) -> Path:
    """Write the small business into a folder; `files` replaces some of its texts, None leaves one out."""
    for name, text in {**FILES, **(files or {})}.items():
        if text is not None:
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return path
