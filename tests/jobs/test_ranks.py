"""Who is which of several processes, and what a machine's processes come to: torchrun's environment, no torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from jobs.ranks import common_code, environments, member, to_start
from tlbatch.errors import StudyError

POD = {"WORLD_SIZE": "32", "LOCAL_WORLD_SIZE": "8", "GROUP_RANK": "3", "MASTER_ADDR": "pets-0.pets", "MASTER_PORT": "29500"}


def test_one_process_is_no_group() -> None:
    assert member({}) is None
    assert member({"WORLD_SIZE": "1", "RANK": "0"}) is None
    assert to_start({}) == 0


def test_a_pod_of_eight_gpus_starts_eight_each_with_its_share_of_the_threads() -> None:
    assert member(POD) is None
    assert to_start(POD) == 8
    started = environments({**POD, "TLBATCH_THREADS": "20"}, parent=7)
    found = [member(each) for each in started]
    assert [(each.rank, each.local_rank) for each in found if each] == [(24 + place, place) for place in range(8)]
    assert {(each.size, each.address, each.port) for each in found if each} == {(32, "pets-0.pets", 29500)}
    assert {each["TLBATCH_THREADS"] for each in started} == {"2"}
    assert {each["TLBATCH_PARENT"] for each in started} == {"7"}
    assert all(to_start(each) == 0 for each in started)


def test_on_one_machine_they_meet_there() -> None:
    one, other = environments({"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, parent=7)
    assert one["MASTER_ADDR"] == other["MASTER_ADDR"] == "127.0.0.1"
    assert one["MASTER_PORT"] == other["MASTER_PORT"] != "0"


@pytest.mark.parametrize("wrong", [{"WORLD_SIZE": "x"}, {"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "2", "RANK": "-1"}])
def test_what_is_no_such_environment_is_told(wrong: dict[str, str]) -> None:
    with pytest.raises(StudyError, match=r"RANK|WORLD_SIZE"):
        member({"RANK": "0", **wrong})


@pytest.mark.parametrize(
    ("codes", "common"),
    [
        ([0, 0], 0),
        ([75, 0, 2], 2),
        ([75, -9, 75], 137),
        ([143, 143], 143),
        ([75, 143], 143),
        ([75, 75], 75),
        ([-11, 65], 65),
    ],
)
def test_the_common_code_is_that_of_who_caused_it(codes: list[int], common: int) -> None:
    assert common_code(codes) == common


@pytest.mark.slow
def test_a_step_starts_its_processes_passes_sigterm_on_and_the_next_start_ends_as_one_would(bench: Any) -> None:
    from tlbatch.tasks import task_name

    params = bench.params(train={"epochs": 60, "select": "last", "optimizer": "sgd"})
    command = [sys.executable, "-m", "jobs.finetune", "--task", f"{bench.store.url}/{task_name(bench.task(params).key)}"]
    environment = {**os.environ, "TLBATCH_THREADS": "2", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[rank 0] epoch 3/"):
                process.send_signal(signal.SIGTERM)
                break
        process.communicate()
    assert process.returncode == 143
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    assert "[rank 0] going on from a checkpoint" in done
    assert "[rank 1]" not in done  # who has nothing to say of his own
    assert bench.opened(params).manifest.made["processes"] == 2
    bench.forget(params)
