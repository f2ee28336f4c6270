"""What benches share: the cores that ours and others are compared on, and the fixtures of tests on the cluster."""

import gc
import os
from collections.abc import Iterator

import pytest

from tests.bench.beside import CORES
from tests.e2e.conftest import (  # noqa: F401
    api,
    bucket,
    cluster,
    dataset,
    images,
    namespace,
    pictures,
    store_url,
    user,
)
from tests.requirements import missing


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What this process holds is not looked through for garbage, as in the process that tasks begin from (jobs.warm): that of
    pytest and of all that is measured takes a fifth of a second now and then, with Python's lock."""
    if len(os.sched_getaffinity(0)) < CORES:
        missing("cores", f"it is compared on {CORES} cores, and fewer are usable: grant more (taskset, cgroup)")
    monkeypatch.setenv("TLBATCH_THREADS", str(CORES))
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
