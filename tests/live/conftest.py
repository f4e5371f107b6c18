"""A real Slurm for live tests; they are skipped, loudly, where its packages are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.slurm_cluster import SlurmCluster, missing_packages, prepared_database


@pytest.fixture(scope="session")
def slurm_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data folder of MariaDB: one for the session, shared by its workers."""
    missing = missing_packages()
    if missing:
        pytest.skip(f"no Slurm to test with; install the packages {' '.join(missing)}")
    base = tmp_path_factory.getbasetemp()
    return prepared_database(base.parent if base.name.startswith("popen-") else base)


@pytest.fixture(scope="module")
def slurm_clusters(slurm_database: Path) -> Iterator[Callable[..., SlurmCluster]]:
    """Starts clusters, with the arguments of `SlurmCluster`; they end with the module."""
    with ExitStack() as stack:

        def begin(**options: object) -> SlurmCluster:
            return stack.enter_context(SlurmCluster(database=slurm_database, **options))  # type: ignore[arg-type]

        yield begin


@pytest.fixture(scope="module")
def slurm(slurm_clusters: Callable[..., SlurmCluster]) -> SlurmCluster:
    """A cluster of four nodes, shared by the tests of a module."""
    return slurm_clusters(nodes=4)
