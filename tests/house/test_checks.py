"""Each house rule sees the fault that it is there for, and leaves the innocent alone."""

from __future__ import annotations

import pytest

from tests.house import checks


def test_docstrings() -> None:
    source = """
class Pool:
    def size(self): ...
    def _hidden(self): ...
    def __len__(self): ...
def plan():
    "Has one."
    def inner(): ...
"""
    assert [line.split()[1] for line in checks.without_docstring(source)] == ["Pool", "Pool.size"]


def test_docstrings_are_not_asked_of_overloads() -> None:
    assert checks.without_docstring("@typing.overload\ndef at(x: int) -> int: ...") == []


@pytest.mark.parametrize("name", ["handle", "process_rows", "load_data", "ReadingsHelper", "overage_of"])
def test_wrong_words(name: str) -> None:
    assert len(checks.wrong_words(f"class Room:\n    def {name}(self): ...")) == 1


@pytest.mark.parametrize("name", ["metadata", "dated", "processor_count", "Dataset", "utilisation"])
def test_words_that_only_look_wrong(name: str) -> None:
    assert checks.wrong_words(f"def {name}(): ...") == []


def test_long_functions_do_not_count_the_docstring() -> None:
    body = "\n".join(["    x = 1"] * 9)
    assert checks.long_functions(f"def f():\n{body}", lines_max=10) == []
    assert checks.long_functions(f'def f():\n    """A.\n\n    B.\n    """\n{body}', lines_max=10) == []
    assert checks.long_functions(f"class A:\n  async def f(self):\n{body}\n    x = 1", lines_max=10) == [
        "2: f has 11 lines, more than 10"
    ]


def test_floats() -> None:
    assert len(checks.floats("a = 0.5\nb = float(3)\nc = -1e3")) == 3
    assert checks.floats("a = Decimal('0.5')\nb = isinstance(a, float)\nc: float | None") == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndatetime.now()",
        "from datetime import UTC, datetime as D\nD.now(UTC)",
        "import datetime as dt\ndt.datetime.utcnow()",
        "from datetime import date\ndate.today()",
        "import time\ntime.time()",
        "from time import perf_counter as tick\ntick()",
        "import numpy as np\nnp.random.default_rng(1)",
        "from numpy.random import default_rng\ndefault_rng()",
        "open('x')",
        "print(1)",
    ],
)
def test_impurities(source: str) -> None:
    assert len(checks.impurities(source)) == 1


def test_pure_calls_pass() -> None:
    source = """
from datetime import UTC, datetime, time
import numpy as np
datetime.combine(day, time.min)
datetime.fromtimestamp(0, UTC)
time(12)
clock.now()
rng: np.random.Generator
rng.integers(3)
"""
    assert checks.impurities(source) == []


def test_headings() -> None:
    text = "# base\n## Owns\nx\n## Doesn’t own\nx\n## Words\n\n## Invariants\nx\n"
    assert checks.missing_headings(text) == ["no heading 'Limits'", "nothing under 'Words'"]


def test_forbidden_places() -> None:
    host = checks.registry_hosts()[0]
    text = f"see https://{host}/simple\ncd /build/place/src\n../build/place\nhttps://x.test/build/place/\n/build/placement"
    found = checks.forbidden_places(text, ["/build/place"])
    assert found == [f"1: {host}", "2: /build/place"]


def test_pins() -> None:
    pins, bad = checks.parse_pins(
        "numpy==2.4.6 ; python_full_version < '3.12'\nnumpy==2.5.5 ; python_full_version >= '3.12'\n"
        "--index-url x\nrich>=1\nrich @ file:///x\n# header\nrich==1.0 --hash=x\n"
    )
    assert [str(version) for version in pins["numpy"]] == ["2.4.6", "2.5.5"]
    assert len(bad) == 5
    assert checks.unpinned(["numpy>=2.5", "Rich"], pins) == [
        "numpy>=2.5 refuses its pin 2.4.6",
        "Rich has no pin",
    ]


def test_targets() -> None:
    makefile = (
        "X := 1\nY ?= 2\n.PHONY: run\nrun: .venv/.ready\n\techo a: b\ntest check: x\n.venv/.ready:\n# no: x\n"
    )
    assert checks.public_targets(makefile) == {"run", "test", "check"}
