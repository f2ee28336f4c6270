"""A study over a network and a server that fail: it ends well and equal, or says "later" and then ends well and equal."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.conftest import digests
from tests.faults.proxy import (
    DENIED,
    EXPIRED,
    FLIPPED,
    INTERNAL,
    RESET_AFTER,
    RESET_BEFORE,
    SKEWED,
    STALLED,
    TRUNCATED,
    UNAVAILABLE,
    Faults,
    faulty,
)
from tests.faults.records import record
from tests.requirements import CHAOS, chaos_only
from tests.studies.shapes import Bench
from tlbatch.errors import TlbatchError
from tlbatch.execution.launch import Outcome
from tlbatch.store import open_store

PASSING = (UNAVAILABLE, INTERNAL, RESET_BEFORE, RESET_AFTER, TRUNCATED, FLIPPED, STALLED)
FINAL = (EXPIRED, SKEWED, DENIED)
TRIES = 8

pytestmark = [pytest.mark.slow, pytest.mark.s3, chaos_only]


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "4")
        yield patch


@pytest.mark.parametrize("seed", range(2 if CHAOS else 1))
def test_faults_that_pass(
    fresh: Bench, undisturbed: dict[str, str], s3_bucket: str, environment: pytest.MonkeyPatch, seed: int, s3_server: str
) -> None:
    """Promise 9. Mutation tried: ranges and checkpoints that are read without their hashes; digests differ."""
    faults, store, real = (
        Faults(PASSING, rate=0.04, seed=seed),
        f"s3://{s3_bucket}/passing-{seed}",
        os.environ["AWS_ENDPOINT_URL_S3"],
    )
    with faulty(real, faults) as endpoint:
        environment.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        _until_done(fresh, store)
    environment.setenv("AWS_ENDPOINT_URL_S3", real)
    assert digests(open_store(store)) == undisturbed
    assert sum(faults.counts.values()) > 5
    for kind, times in faults.counts.items():
        record("a study with its store in S3", kind, "equal", times)


@pytest.mark.parametrize("kind", FINAL)
def test_faults_that_do_not_pass_end_with_a_sentence_and_nothing_is_lost(
    fresh: Bench, undisturbed: dict[str, str], s3_bucket: str, environment: pytest.MonkeyPatch, kind: str, s3_server: str
) -> None:
    real = os.environ["AWS_ENDPOINT_URL_S3"]
    store = f"s3://{s3_bucket}/final-{FINAL.index(kind)}"
    with faulty(real, Faults((kind,), rate=1.0, after=60)) as endpoint:
        environment.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        with pytest.raises(TlbatchError) as caught:
            fresh.run(store=store, cores=1)
    assert caught.value.exit_code in (2, 75)
    environment.setenv("AWS_ENDPOINT_URL_S3", real)
    _until_done(fresh, store)
    assert digests(open_store(store)) == undisturbed
    record("a study with its store in S3", f"{kind}, for good", f"exit {caught.value.exit_code}; later equal")


def _until_done(bench: Bench, store: str) -> Outcome:
    """The same command until it ends well; "come back later" (75) may come between, nothing else.

    An attempt may end well (0) and not be believed: what its manifest was read as had a bit flipped.
    """
    said: list[str] = []
    for _ in range(TRIES):
        try:
            outcome = bench.run(store=store, cores=1)
        except TlbatchError as error:
            assert error.exit_code == 75, error
            said.append(str(error))
            continue
        said += [f"{work.name}: {work.sentence}" for work in outcome.works if work.state == "failed"]
        codes = {code for work in outcome.works for code in work.codes}
        assert codes <= {0, 75, 143}, [(work.name, work.codes, work.sentence) for work in outcome.works if work.codes]
        if outcome.state == "succeeded":
            return outcome
    raise AssertionError(f"not done after {TRIES} tries: {said}")
