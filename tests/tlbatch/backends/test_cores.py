"""Which cores trainings that are alike get: by the plan, the cores and the memory of the machine, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tlbatch.backends.cores import FASTER, cores_for, machine_memory_mib
from tlbatch.backends.local import LocalBackend
from tlbatch.planning import Alike, Node
from tlbatch.store.directory import DirectoryStore

MUCH = 1_000_000
HEAVY = Node("finetune:cnn:0", "finetune", {})


def shares(count: int, cores: int, memory_mib: int = MUCH, each_mib: int = 1000) -> list[int]:
    return [cores_for(replace(HEAVY, alike=Alike(place, count, each_mib)), cores, memory_mib) for place in range(count)]


@pytest.mark.parametrize(
    ("count", "cores", "expected"),
    [
        (1, 2, [2]),
        (2, 2, [1, 1]),
        (3, 2, [1, 1, 2]),  # the last is alone, and has both
        (2, 3, [3, 3]),  # one core each, and the third idle, would take longer
        (3, 4, [2, 2, 4]),
        (3, 16, [5, 5, 5]),
        (5, 4, [1, 1, 1, 1, 4]),
        (6, 4, [1, 1, 1, 1, 2, 2]),
        (4, 1, [1, 1, 1, 1]),
    ],
)
def test_trainings_that_are_alike_share_the_cores(count: int, cores: int, expected: list[int]) -> None:
    assert shares(count, cores) == expected


def seconds(given: list[int], cores: int) -> float:
    """How long trainings take that start in turn as soon as there are cores for them."""
    ends: list[tuple[float, int]] = []
    now = last = 0.0
    for own in given:
        while sum(taken for end, taken in ends if end > now) + own > cores:
            now = min(end for end, _ in ends if end > now)
        ends.append((now + own**-FASTER, own))
        last = max(last, ends[-1][0])
    return last


@pytest.mark.parametrize("cores", [2, 3, 4, 6, 8, 16, 64])
@pytest.mark.parametrize("count", [2, 3, 5, 8, 12])
def test_they_are_never_done_later_than_one_after_the_other(count: int, cores: int) -> None:
    given = shares(count, cores)
    assert all(1 <= own <= cores for own in given)
    assert seconds(given, cores) <= seconds([cores] * count, cores) + 1e-9


def test_as_many_run_at_once_as_half_of_the_memory_holds() -> None:
    assert shares(4, 4, memory_mib=8000) == [1, 1, 1, 1]
    assert shares(4, 4, memory_mib=7999) != [1, 1, 1, 1]
    for memory_mib in range(0, 9000, 500):
        at_once = 4 // min(shares(4, 4, memory_mib))
        assert at_once == 1 or at_once * 1000 <= memory_mib / 2
    assert shares(4, 4, memory_mib=1999) == [4, 4, 4, 4]


def test_what_is_alone_light_done_by_several_processes_or_has_a_deadline_is_as_before() -> None:
    alike = Alike(0, 2, 1000)
    assert cores_for(HEAVY, 2, MUCH) == 2
    assert cores_for(replace(HEAVY, weight="light", alike=alike), 2, MUCH) == 1
    assert cores_for(replace(HEAVY, limits={"nodes": 2, "gpu": 0}, alike=alike), 2, MUCH) == 2
    assert cores_for(replace(HEAVY, limits={"deadline_s": 60}, alike=alike), 2, MUCH) == 2


def test_a_gpu_trains_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = replace(HEAVY, alike=Alike(0, 2, 1))
    monkeypatch.setattr("tlbatch.backends.cores.devices", lambda: 0)
    assert LocalBackend(DirectoryStore(tmp_path), cores=2).cores_of(node) == 1
    monkeypatch.setattr("tlbatch.backends.cores.devices", lambda: 1)
    assert LocalBackend(DirectoryStore(tmp_path), cores=2).cores_of(node) == 2


def test_the_memory_is_the_machines_or_the_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = machine_memory_mib()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("tlbatch.backends.cores.CGROUP_LIMITS", (str(tmp_path / "none"), str(limit)))
    limit.write_text("max\n")
    assert machine_memory_mib() >= whole
    limit.write_text(f"{300 * 2**20}\n")
    assert machine_memory_mib() == 300
