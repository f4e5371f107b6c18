"""CloudKitty's own rating in one process, in an environment of its own: points per CPU second.

Four GPU prices and two thresholds on its hashmap module, its database in memory as its own tests have it.
Prints one JSON object. It runs under another Python than the benchmarks: nothing of offtake is imported.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
from decimal import Decimal

from cloudkitty import dataframe, service  # noqa: F401 - registers its options
from cloudkitty.db import api as database
from cloudkitty.rating import hash as hashmap
from oslo_config import cfg
from oslo_db import options

PRICES = {"a100": "1.10", "h100-sxm": "2.10", "h200": "2.60", "gb200": "4.20"}


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def prepared() -> None:
    """The tariff in CloudKitty's database."""
    conf = cfg.CONF
    conf([], project="cloudkitty", default_config_files=[])
    options.set_defaults(conf)
    conf.set_override("connection", "sqlite:///", "database")
    database.get_instance().get_migration().upgrade("head")
    hashmap.HashMap.db_api.get_migration().upgrade("head")
    tariff = hashmap.HashMap.db_api
    gpu = tariff.create_service("gpu")
    flavor = tariff.create_field(gpu.service_id, "flavor")
    group = tariff.create_group("h")
    for name, price in PRICES.items():
        tariff.create_mapping(
            value=name, cost=Decimal(price), map_type="flat", field_id=flavor.field_id,
            group_id=group.group_id, created_by=1,
        )  # fmt: skip
    for level, share in ((16, "0.97"), (64, "0.95")):
        tariff.create_threshold(
            level=level,
            cost=Decimal(share),
            map_type="rate",
            service_id=gpu.service_id,
            group_id=group.group_id,
        )


def main() -> None:
    """Rate so many points a few times."""
    count, runs = int(sys.argv[1]), 3
    prepared()
    begin = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    names = list(PRICES)
    spent = []
    for _ in range(runs):
        points = [
            dataframe.DataPoint(
                "GPU-h", i % 97 + 1, 0, {"project_id": f"tenant-{i % 50}"}, {"flavor": names[i % 4]}
            )
            for i in range(count)
        ]
        frame = dataframe.DataFrame(begin, begin + dt.timedelta(hours=1), usage={"gpu": points})
        rater = hashmap.HashMap("tenant-1")
        start = cpu()
        rater.process(frame)
        spent.append(cpu() - start)
    print(json.dumps({"points": count, "cpu_s": min(spent)}))


if __name__ == "__main__":
    main()
