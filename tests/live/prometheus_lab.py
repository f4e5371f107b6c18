"""A real Prometheus on a loopback port, and exporters that show what a test tells them to.

    with Exporter("n001") as exporter, PrometheusServer(tmp_path, {"n001": exporter}) as prometheus:
        exporter.gpus[0].counter += 3_600_000
        prometheus.wait_for_value('DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0"}', 3_600_000)

An `Exporter` serves what NVIDIA's DCGM exporter does, in its text format, for eight GPUs; `broken` makes
scrapes fail. A `PrometheusServer` scrapes some twice a second; `backfilled` gives it samples of the past
instead. Both end with their block, and Prometheus with the process that started it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from offtake.adapters.prometheus import Prometheus
from offtake.base.outcome import Refused
from offtake.metering.dcgm import ENERGY, POWER
from offtake.metering.gpu_health import BLANK

COMMANDS = {"prometheus": "prometheus", "promtool": "prometheus"}
"""Commands that are needed, and the Debian packages that they come in."""

STARTS = 3

CONFIG = """
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
"""


def missing_packages() -> list[str]:
    """Packages to install before Prometheus can be started."""
    return sorted({package for command, package in COMMANDS.items() if shutil.which(command) is None})


@dataclass
class ShownGpu:
    """What a GPU shows; None isn't shown."""

    uuid: str
    counter: int | None = 0
    watts: float = 100.0
    xid: int | None = 0
    ecc: int | None = 0
    remap: int | None = 0
    shares: int = 1
    """Parts that a GPU is split into (MIG), each of which shows its energy."""


@dataclass
class Exporter:
    """An exporter of one node."""

    node: str
    gpus: list[ShownGpu] = field(default_factory=list)
    broken: bool = False

    def __post_init__(self) -> None:
        self.gpus = self.gpus or [ShownGpu(f"GPU-{self.node}-{i}") for i in range(8)]
        exporter = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = exporter.text().encode()
                self.send_response(500 if exporter.broken else 200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def target(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def text(self) -> str:
        """The page."""
        lines = []
        for i, gpu in enumerate(self.gpus):
            metrics = {
                ENERGY: gpu.counter, POWER: gpu.watts, "DCGM_FI_DEV_XID_ERRORS": gpu.xid,
                "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": gpu.ecc, "DCGM_FI_DEV_ROW_REMAP_FAILURE": gpu.remap,
                "DCGM_FI_DEV_GPU_UTIL": 50, "DCGM_FI_DEV_GPU_TEMP": 45,
            }  # fmt: skip
            for share in range(gpu.shares):
                labels = f'gpu="{i}",UUID="{gpu.uuid}",device="nvidia{i}",modelName="NVIDIA H100"'
                labels += f',GPU_I_ID="{share}"' if gpu.shares > 1 else ""
                lines += [
                    f'{name}{{{labels},Hostname="{self.node}.example"}} {value}'
                    for name, value in metrics.items()
                    if value is not None and value < max(BLANK, 10**18)
                ]
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class PrometheusServer:
    """A server of its own, with its data in a folder."""

    def __init__(self, folder: Path, exporters: Mapping[str, Exporter]) -> None:
        self._folder = folder
        self._data = folder / "prometheus"
        self._log = folder / "prometheus.log"
        self._config = folder / "prometheus.yml"
        jobs = [
            f"  - job_name: dcgm-{name}\n    static_configs:\n"
            f"      - {{targets: ['{exporter.target}'], labels: {{job: dcgm}}}}\n"
            for name, exporter in exporters.items()
        ]
        self._config.write_text(CONFIG + "".join(jobs) if jobs else "global: {}\n", encoding="utf-8")
        self.url = ""

    def backfilled(self, text: str) -> Self:
        """Samples of the past, in the text format of OpenMetrics; before it is started."""
        file = self._folder / "samples.txt"
        file.write_text(text, encoding="utf-8")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", file, self._data],
            check=True,
            capture_output=True,
        )
        return self

    @property
    def client(self) -> Prometheus:
        """Asks it."""
        return Prometheus(url=self.url, timeout_s=20)

    def __enter__(self) -> Self:
        for left in reversed(range(STARTS)):
            self._start()
            try:
                wait_for(lambda: self.value("vector(1)") == 1, "Prometheus answers", alive=self._is_alive)
            except AssertionError:
                self._end()
                if not left:
                    raise
            else:
                return self
        raise AssertionError

    def _start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        words = [
            "prometheus", f"--config.file={self._config}", f"--storage.tsdb.path={self._data}",
            f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y",
            "--log.level=warn",
        ]  # fmt: skip
        if shutil.which("setpriv"):
            words = ["setpriv", "--pdeathsig", "TERM", *words]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def _is_alive(self) -> bool:
        return self._process.poll() is None

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __exit__(self, *_: object) -> None:
        self._end()

    def value(self, expression: str) -> float | None:
        """The only value of an expression now, or None."""
        answer = self.client.query(expression, int(time.time()) + 1)
        if isinstance(answer, Refused) or len(answer) != 1:
            return None
        return answer[0].points[0][1]

    def wait_for_value(self, expression: str, value: float) -> None:
        """Wait until an expression has a value."""
        wait_for(lambda: self.value(expression) == value, f"{expression} is {value}", alive=self._is_alive)


def wait_for(
    condition: Callable[[], bool], what: str, *, seconds: float = 30, alive: Callable[[], bool] = lambda: True
) -> None:
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        assert alive(), f"ended before: {what}"
        tick.wait(0.05)


def openmetrics(samples: Iterable[tuple[str, str, int, float]]) -> str:
    """Samples (metric, labels, instant, value) as OpenMetrics; those of a metric follow each other."""
    by_metric: dict[str, list[str]] = {}
    for metric, labels, at, value in samples:
        by_metric.setdefault(metric, []).append(f"{metric}{{{labels}}} {value} {at}")
    lines = [line for metric, own in by_metric.items() for line in (f"# TYPE {metric} unknown", *own)]
    return "\n".join([*lines, "# EOF", ""])
