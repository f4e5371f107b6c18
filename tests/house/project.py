"""Where things are in this checkout."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "offtake"

# Only for a tree without git, such as an unpacked archive; git itself knows what is ignored.
NOT_OURS = frozenset({".git", ".venv", "out", "build", "dist", "__pycache__", "node_modules"})


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        candidates = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        candidates = [path for path in ROOT.rglob("*") if not _is_left_out(path)]
    return tuple(sorted(path for path in candidates if path.is_file()))


def _is_left_out(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return any(part in NOT_OURS or part.endswith(("_cache", ".egg-info")) for part in parts)


def modules(*rooms: str) -> list[Path]:
    """Python files of some rooms, or of the whole package."""
    folders = [SRC / room for room in rooms] or [SRC]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def rooms() -> list[str]:
    """Packages directly under the root package."""
    return sorted(path.parent.name for path in SRC.glob("*/__init__.py"))


def shown(path: Path) -> str:
    """A path as a reader of the project writes it."""
    return path.relative_to(ROOT).as_posix()
