"""Regressions that have not seen an image: all folds and C at once, whatever the number of threads; stopped when asked to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jobs.heads import held_out as module
from jobs.heads.cores import one_thread, threads
from jobs.heads.held_out import Outputs, held_out
from jobs.heads.standard import standard_of
from jobs.metrics.calibration import softmax

CS = [0.1, 1e-3, 1e-2]


def _clouds(n: int = 120, d: int = 50, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    labels = (np.arange(n) % classes).astype(np.int64)
    return (chance.normal(size=(classes, d))[labels] + 1.5 * chance.normal(size=(n, d))).astype(np.float32), labels


def _thirds(n: int = 120) -> list[np.ndarray]:
    return [np.arange(n)[start::3] for start in range(3)]


@contextmanager
def _several(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "threads", lambda: number)
    yield


def test_says_what_scikit_learns_regressions_say_of_what_they_have_not_seen() -> None:
    x, y = _clouds()
    y[y == 3] = 7  # labels with gaps
    said = held_out(x, y, _thirds(), CS, lambda outputs: outputs, relative=1e-7)
    assert [(one.fold, one.place) for one in said] == [(fold, place) for fold in range(3) for place in range(3)]
    for one in said:
        kept = np.setdiff1d(np.arange(120), one.held)
        standard = standard_of(x, kept)
        model = LogisticRegression(C=CS[one.place], tol=1e-9, max_iter=10_000)
        model.fit(standard(x[kept], precision=np.float64), y[kept])
        assert one.classes.tolist() == model.classes_.tolist() == [0, 1, 2, 7]
        expected = model.predict_proba(standard(x[one.held], precision=np.float64))
        np.testing.assert_allclose(softmax(one.logits), expected, atol=2e-3)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _clouds(600, 300)
    found = []
    for number in (1, 2, 5):
        with _several(number, monkeypatch):
            found.append(held_out(x, y, _thirds(600), CS, lambda outputs: outputs.logits))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [1, 3])
def test_what_tick_raises_stops_all(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation tried: workers that do not look whether they are to go on."""
    x, y = _clouds(1200, 400)
    begun: list[int] = []

    def tick(done: int, total: int) -> None:
        assert total == 9
        assert threading.current_thread() is threading.main_thread()
        raise InterruptedError

    def judge(said: Outputs) -> None:
        begun.append(said.fold)

    monkeypatch.setattr(module, "BEAT_S", 0.001)
    with _several(number, monkeypatch), pytest.raises(InterruptedError):
        held_out(x, y, _thirds(1200), CS, judge, tick=tick)
    assert len(begun) < 9


def test_an_error_in_a_fold_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _clouds()

    def judge(said: Outputs) -> None:
        raise KeyError(said.fold)

    with _several(2, monkeypatch), pytest.raises(KeyError):
        held_out(x, y, _thirds(), CS, judge)


def test_ticks_count_fits_and_end_at_all() -> None:
    x, y = _clouds()
    seen: list[tuple[int, int]] = []
    held_out(x, y, _thirds(), CS, lambda said: None, tick=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (seen[0], seen[-1]) == ((0, 9), (9, 9))


def test_a_part_without_which_one_class_is_left_is_passed_over() -> None:
    x, y = _clouds(20, 5, 2)
    parts = [np.flatnonzero(y == 1), np.array([0, 1])]
    assert {one.fold for one in held_out(x, y, parts, CS, lambda outputs: outputs)} == {1}


def test_one_thread_and_back() -> None:
    before = threads()
    with one_thread():
        assert threads() == 1
        with one_thread(False):
            assert threads() == 1
    assert threads() == before
