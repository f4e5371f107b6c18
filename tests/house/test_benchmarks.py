"""`make bench` runs every benchmark, goes on after one that fails, and says so in its exit code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.house.project import ROOT, shown

RUNNER = ROOT / "benchmarks" / "__main__.py"


def run_benchmarks(folder: Path, **sources: str) -> subprocess.CompletedProcess[str]:
    bench = folder / "benchmarks"
    bench.mkdir()
    (bench / "__main__.py").write_bytes(RUNNER.read_bytes())
    for name, source in sources.items():
        (bench / f"{name}.py").write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_all_run_in_order_after_the_facts_of_the_machine(tmp_path: Path) -> None:
    prints = "def main() -> None:\n    print('ran', __name__)\n"
    done = run_benchmarks(tmp_path, bench_two=prints, bench_one=prints, other="raise SystemExit(9)")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("cores ")
    assert [line for line in lines if line.startswith("ran")] == [
        "ran benchmarks.bench_one",
        "ran benchmarks.bench_two",
    ]


def test_one_that_fails_stops_nothing_and_fails_the_whole(tmp_path: Path) -> None:
    done = run_benchmarks(
        tmp_path,
        bench_a="def main() -> None:\n    raise SystemExit(3)",
        bench_b="def main() -> None:\n    print('b ran')",
    )
    assert done.returncode == 1
    assert "b ran" in done.stdout
    assert "failed: bench_a" in done.stderr


def test_none_found_is_a_failure(tmp_path: Path) -> None:
    assert run_benchmarks(tmp_path).returncode == 1


def test_every_benchmark_has_a_main() -> None:
    without = [
        shown(path)
        for path in RUNNER.parent.glob("bench_*.py")
        if not any(
            isinstance(node, ast.FunctionDef) and node.name == "main"
            for node in ast.parse(path.read_text(encoding="utf-8")).body
        )
    ]
    assert without == []
