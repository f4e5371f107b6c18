"""OpenStack Blazar's host matching in one process: which hosts are free for the whole window.

    python blazar_hosts.py QUESTION.json

The question: `hosts` (how many), `leases` as [host, start, end] in hours from 2027-01-01 UTC, `window` as
[start, end] in hours, `runs`. Its database is SQLite in a temporary file. Prints one JSON object with the
free hosts. It runs in an environment of its own: nothing of offtake is imported.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from blazar.db.sqlalchemy import api, facade_wrapper, models
from blazar.plugins.oshosts import host_plugin
from oslo_config import cfg
from sqlalchemy import text

BEGIN = dt.datetime(2027, 1, 1)  # noqa: DTZ001 - Blazar keeps naive UTC


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def at(hour: int) -> dt.datetime:
    """An hour as Blazar has it."""
    return BEGIN + dt.timedelta(hours=hour)


def prepared(question: dict[str, Any], folder: str) -> None:
    """Hosts, leases, reservations and allocations in Blazar's tables."""
    cfg.CONF([], project="blazar", default_config_files=[])
    cfg.CONF.set_override("connection", f"sqlite:///{folder}/blazar.sqlite", "database")
    api.setup_db()
    host = {
        "vcpus": 1, "cpu_info": "", "hypervisor_type": "QEMU", "hypervisor_version": 1, "memory_mb": 1,
        "local_gb": 1, "availability_zone": "az", "trust_id": "t", "reservable": True,
    }  # fmt: skip
    hosts = [{"id": str(i), "hypervisor_hostname": f"h{i}", **host} for i in range(question["hosts"])]
    leases, reservations, allocations = [], [], []
    for i, (host_id, start, end) in enumerate(question["leases"]):
        one = {"id": f"l{i}", "name": f"l{i}", "start_date": at(start), "end_date": at(end)}
        leases.append({**one, "degraded": False, "trust_id": "t", "status": "PENDING"})
        reservations.append(
            {"id": f"r{i}", "lease_id": f"l{i}", "resource_id": f"r{i}", "resource_type": "physical:host",
             "status": "pending", "missing_resources": False, "resources_changed": False}
        )  # fmt: skip
        allocations.append({"id": f"a{i}", "compute_host_id": str(host_id), "reservation_id": f"r{i}"})
    with facade_wrapper.session_for_write() as session:
        for model, rows in (
            (models.ComputeHost, hosts),
            (models.Lease, leases),
            (models.Reservation, reservations),
            (models.ComputeHostAllocation, allocations),
        ):
            session.bulk_insert_mappings(model, rows)


def main() -> None:
    """Ask a few times."""
    question = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        prepared(question, folder)
        found = answered(question)
        with_indexes()
        again = answered(question)
        if again["free"] != found["free"]:
            raise RuntimeError("with indexes the answer is another")
        print(json.dumps({**found, "indexed_cpu_s": again["cpu_s"]}))


def with_indexes() -> None:
    """What MySQL makes of foreign keys by itself, and SQLite doesn't."""
    with facade_wrapper.session_for_write() as session:
        for table, column in (
            ("reservations", "lease_id"),
            ("computehost_allocations", "compute_host_id"),
            ("computehost_allocations", "reservation_id"),
        ):
            session.execute(text(f"CREATE INDEX ix_{table}_{column} ON {table} ({column})"))


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """Free hosts, and the least time it took."""
    plugin = host_plugin.PhysicalHostPlugin()
    start, end = (at(hour) for hour in question["window"])
    spent, waited, free = [], [], []
    for _ in range(question["runs"]):
        used, since = cpu(), time.perf_counter()
        free = plugin._matching_hosts([], [], f"1-{question['hosts']}", start, end)  # noqa: SLF001
        spent.append(cpu() - used)
        waited.append(time.perf_counter() - since)
    return {"free": sorted(int(id_) for id_ in free), "cpu_s": min(spent), "wall_s": min(waited)}


if __name__ == "__main__":
    main()
