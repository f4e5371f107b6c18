"""The folder that an importer writes: its TOML files, and writing all of them or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from offtake.base.errors import BadInput, Problem
from offtake.base.months import Month, days_in_month
from offtake.formats.files import disk_errors

KW_PER_GPU = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetText:
    """A fleet of one pool, ``gpus``, of nodes of eight."""

    site: str
    zone: str
    region: str
    nodes: int
    since: Month


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantText:
    """What an imported agreement says.

    Units: `rate` in USD per GPU-hour.
    """

    id: str
    operator: str
    zone: str
    first: Month
    last: Month
    gpus: int
    rate: Decimal
    trace: str

    @property
    def start(self) -> str:
        """The first day."""
        return f"{self.first}-01"

    @property
    def through(self) -> str:
        """The last day."""
        return f"{self.last}-{days_in_month(self.last)}"


def offtake_toml(operator: str, zone: str, first: Month, last: Month, workload: tuple[str, str]) -> str:
    """The operator, the run and where its work comes from."""
    return f"""\
[operator]
name = "{operator}"
time_zone = "{zone}"
currency = "USD"

[run]
first = "{first}"
last = "{last}"

[workload]
{workload[0]} = "{workload[1]}"
"""


def fleet_toml(fleet: FleetText) -> str:
    """One site with one pool; power never binds."""
    critical_mw = 2 * KW_PER_GPU * fleet.nodes * 8 / 1000
    return f"""\
[[site]]
id = "{fleet.site}"
name = "{fleet.site}"
critical_it_mw = {{ value = {critical_mw:f}, assumed = true, source = "twice what the GPUs draw" }}
pue = {{ value = 1.5, assumed = true }}
region = "{fleet.region}"
time_zone = "{fleet.zone}"

[[pool]]
id = "gpus"
site = "{fleet.site}"
gpu_model = {{ value = "unspecified", assumed = true, source = "the trace names no model" }}
gpus_per_node = {{ value = 8, assumed = true }}
kw_per_gpu = {{ value = {KW_PER_GPU}, assumed = true }}

[[pool.build_out]]
id = "all"
in_service = {fleet.since}-01
nodes = {fleet.nodes}
assumed = true
source = "{fleet.nodes} nodes of 8 = {fleet.nodes * 8} GPUs; the fleet behind the trace isn't in it"
"""


def queue_toml(id_: str, gpus: int) -> str:
    """The shared queue: an interruptible claim of the whole pool."""
    return f"""\
[[demand]]
id = "{id_}"
holder = "{id_}"
firmness = "interruptible"
pools = ["gpus"]
constant_gpus = {gpus}
"""


def limit_toml(tenant: TenantText, queue: str, why: str) -> str:
    """An agreement whose work runs in a queue, up to a limit, at a usage fee."""
    return f"""\
{_header(tenant)}
[[tranche]]
id = "main"
queue = "{queue}"
firmness = "interruptible"
pools = ["gpus"]
quantity = {{ value = {tenant.gpus}, assumed = true, source = "{why}" }}
start = {{ value = {tenant.start}, assumed = true }}
through = {{ value = {tenant.through}, assumed = true, source = "the month in which the queue drains" }}

{_terms(tenant)}"""


def quota_toml(tenant: TenantText) -> str:
    """An agreement with a firm quota, paid whether taken or not."""
    return f"""\
{_header(tenant)}
[[tranche]]
id = "quota"
firmness = {{ value = "firm", assumed = true, source = "the quota is the tenant's own" }}
pools = ["gpus"]
quantity = {{ value = {tenant.gpus}, source = "quota_gpus; {tenant.trace}" }}
start = {tenant.start}
through = {tenant.through}

{_terms(tenant)}
[take_or_pay]
share = {{ value = 1.0, assumed = true, source = "a quota is paid whether used or not" }}
"""


def _header(tenant: TenantText) -> str:
    return f"""\
[agreement]
id = "{tenant.id}"
title = "Assumed terms for a tenant of a public trace"
operator = "{tenant.operator}"
offtaker = {{ value = "{tenant.id}", source = "{tenant.trace}" }}
signed = {{ value = {tenant.start}, assumed = true }}
currency = {{ value = "USD", assumed = true }}
time_zone = "{tenant.zone}"
"""


def _terms(tenant: TenantText) -> str:
    return f"""\
[usage_fee]
rate_per_gpu_h = {{ value = {tenant.rate:f}, assumed = true, source = "the trace names no price" }}

[payment]
timing = "arrears"
net_days = 30
assumed = true
"""


def write_folder(out: Path, texts: Mapping[str, str], write_workload: Callable[[Path], None]) -> None:
    """Write a folder under another name and rename it, so that it is there whole or not at all.

    Raises:
        BadInput: if `out` is there and isn't an empty directory.
        BookFull: if the disk refuses.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        remedy = "choose another folder, or empty this one"
        raise BadInput(
            [Problem(where=str(out), code="not_empty", message="there is something here", remedy=remedy)]
        )
    with disk_errors(out):
        _write_whole(out, texts, write_workload)


def _write_whole(out: Path, texts: Mapping[str, str], write_workload: Callable[[Path], None]) -> None:
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}."))
    try:
        for name, text in texts.items():
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        write_workload(beside)
        beside.chmod(0o755)
        beside.replace(out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
