"""The Colossus example end to end, rendering aside, and how its cost grows with the number of agreements.

Run: ``python -m benchmarks`` or ``python benchmarks/bench_colossus.py``. Each run is a process of its own,
so that its peak memory is its own. Targets: 15 s and 500 MB for the example; ten times the agreements at most
fifteen times the cost.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "colossus"
TARGET_S, TARGET_MB, TARGET_GROWTH = 15, 500, 15

_ONE_RUN = """
import json, resource, sys, time
from pathlib import Path
wall, cpu = time.perf_counter(), time.process_time()
from offtake.formats.folder import load_folder
from offtake.sim.run import Simulation
from offtake.workflows.book import Book
book = Book(Path(sys.argv[2]), create=True)
result = Simulation(book, load_folder(Path(sys.argv[1]))).run()
print(json.dumps({
    "wall_s": time.perf_counter() - wall,
    "cpu_s": time.process_time() - cpu,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "facts": book.state.head[0],
    "head": book.state.head[1],
    "documents": len(book.items("document")),
}))
"""


def multiplied(times: int, folder: Path) -> Path:
    """The example with each agreement cut into so many equal ones, so that capacity still suffices."""
    shutil.copytree(EXAMPLE, folder)
    for path in sorted((folder / "agreements").glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        path.unlink()
        for i in range(times):
            (folder / "agreements" / f"{path.stem}-{i:03d}.toml").write_text(
                _part(text, i, times), encoding="utf-8"
            )
    takes = folder / "demand" / "offtakers.toml"
    text = takes.read_text(encoding="utf-8")
    parts = [
        re.sub(
            r'claim = "(\w+)/',
            rf'claim = "\1-{i:03d}/',
            re.sub(r"seed = (\d+)", rf"seed = \g<1>{i:03d}", text),
        )
        for i in range(times)
    ]
    takes.write_text("\n".join(parts), encoding="utf-8")
    return folder


def _part(text: str, index: int, times: int) -> str:
    """One part of an agreement: its own id, a share of its quantities and its fee."""
    text = re.sub(r'(?m)^id = "(anthropic|google|reflection)"', rf'id = "\1-{index:03d}"', text)

    def share(match: re.Match[str]) -> str:
        return f"{match[1]}{int(Decimal(match[2].replace('_', '')) / times)}"

    return re.sub(r"((?:quantity = (?:\{ value = )?|amount = |gpus = ))([\d_]+)", share, text)


def one_run(folder: Path) -> dict[str, float]:
    """Run a folder in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [sys.executable, "-c", _ONE_RUN, str(folder), str(Path(out) / "book")],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    """Print the figures against their targets."""
    base = [one_run(EXAMPLE) for _ in range(3)]
    best = min(base, key=lambda run: run["cpu_s"])
    print(f"{'':34}{'cpu s':>8}{'wall s':>8}{'peak MB':>9}{'facts':>8}{'documents':>11}")
    _row("colossus, 37 months, 3 agreements", best)
    with tempfile.TemporaryDirectory() as scratch:
        grown = one_run(multiplied(10, Path(scratch) / "ten"))
    _row("the same, 30 agreements", grown)
    growth = grown["cpu_s"] / best["cpu_s"]
    print(f"one chain head in every run: {'yes' if len({run['head'] for run in base}) == 1 else 'NO'}")
    print(f"time {best['wall_s']:.1f} s of {TARGET_S}, memory {best['peak_mb']:.0f} MB of {TARGET_MB}")
    print(f"ten times the agreements cost {growth:.1f} times as much (target: at most {TARGET_GROWTH})")


def _row(name: str, run: dict[str, float]) -> None:
    print(
        f"{name:34}{run['cpu_s']:8.2f}{run['wall_s']:8.2f}{run['peak_mb']:9.0f}{run['facts']:8.0f}{run['documents']:11.0f}"
    )


if __name__ == "__main__":
    main()
