"""Many studies at once on one cluster. Minutes each: run them alone, on a quiet machine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.user import User, finished, state, until
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS
from tlbatch.cluster.submission import build_request, submit
from tlbatch.profiles import Profile
from tlbatch.records.executions import Execution
from tlbatch.spec import load_study
from tlbatch.store import open_store

pytestmark = [pytest.mark.bench, pytest.mark.e2e, pytest.mark.slow]
MANY, MANY_S = 200, 600.0
NEW, NEW_S = 10, 1500.0
AT_ONCE = 8


def submit_many(user: User, api: Api, count: int, study: str) -> list[Execution]:
    """As ``tlbatch submit`` does it, without starting Python so many times on the cluster's own cores."""
    store, loaded = open_store(user.store_url), load_study(user.folder / f"{study}.yaml")
    site = Profile(store=user.store_url, images=user.images.prefix, tag=user.images.tag).site()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: submit(build_request(loaded, site), store, api), range(count)))


def test_200_submissions_of_a_study_whose_artifacts_are_all_there(user: User, api: Api) -> None:
    assert finished(user.submit(user.study("many")))["state"] == "succeeded"
    started = time.monotonic()
    executions = submit_many(user, api, MANY, "many")
    sent = time.monotonic() - started
    ends = [finished(execution, MANY_S) for execution in executions]
    seconds = time.monotonic() - started
    print(f"\n{MANY} submissions: sent in {sent:.0f} s, all ended after {seconds:.0f} s")
    assert {end["state"] for end in ends} == {"succeeded"}
    assert {task["state"] for end in ends for task in end["tasks"].values()} == {"cached"}
    assert seconds < MANY_S
    for execution in executions:
        api.delete(JOBS, execution.id)


def test_10_new_studies_at_once(user: User) -> None:
    studies = [user.study(f"new{i}", seed=i) for i in range(NEW)]
    started = time.monotonic()
    executions = [user.submit(study) for study in studies]
    until(lambda: all(state(execution) in ("succeeded", "failed") for execution in executions), "all end", NEW_S)
    print(f"\n{NEW} new studies at once: {time.monotonic() - started:.0f} s")
    assert {state(execution) for execution in executions} == {"succeeded"}
    for execution in executions:
        mine = (execution.load_status() or {})["tasks"]
        assert {task["state"] for task in mine.values()} <= {"done", "cached"}
