"""Run every benchmark in order, each in its own process, after a header with the facts of this machine.

    python -m benchmarks

A benchmark is a module `bench_*.py` beside this file with a function `main()`. A process of its own keeps one
benchmark's imports, caches and peak memory out of the next one's figures.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ("offtake", "numpy", "highspy", "pandas", "polars", "sqlalchemy", "pyarrow")


def find_benchmarks(folder: Path) -> list[str]:
    """Names of the benchmark modules in a folder, in order."""
    return sorted(path.stem for path in folder.glob("bench_*.py"))


def describe_machine() -> str:
    """Cores, Python and the versions that the figures below depend on."""
    # Cores this process may use: a container's share can be smaller than the machine.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        f"cores    {usable} usable of {os.cpu_count()}",
        f"system   {platform.system()} {platform.machine()}",
        f"python   {platform.python_implementation()} {platform.python_version()}",
    ]
    for package in PACKAGES:
        try:
            lines.append(f"{package:<8} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package:<8} not installed")
    return "\n".join(lines)


def run_one(name: str) -> int:
    """Run one benchmark in a fresh interpreter and return its exit code."""
    call = f"import importlib; importlib.import_module('benchmarks.{name}').main()"
    return subprocess.run([sys.executable, "-c", call], cwd=HERE.parent, check=False).returncode


def main() -> int:
    """Run them all; the exit code is 1 if any failed or none was found."""
    print(describe_machine(), flush=True)
    names = find_benchmarks(HERE)
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        if run_one(name) != 0:
            failed.append(name)
    if failed or not names:
        print(f"\nfailed: {', '.join(failed) or 'no benchmark found'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
