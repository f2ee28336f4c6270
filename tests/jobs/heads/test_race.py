"""But for small problems a C that is clearly worse is not fitted again, and the C is the one that all folds choose."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from jobs.heads import held_out, logistic, multinomial, newton, race
from jobs.heads.cores import one_thread
from jobs.heads.held_out import Learnt, Outputs, said_of
from jobs.heads.logistic import Fitted, fit
from jobs.heads.multinomial import ByFeatures, Images
from tests.jobs.heads.test_multinomial import whole
from tlbatch.spec.model import Logistic

CS = Logistic().c


def drawn(noise: float, classes: int = 12, each: int = 60, d: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes that lie apart, or hardly, by the noise around them."""
    chance = np.random.default_rng(seed)
    labels = np.arange(classes * each) % classes
    width = np.arange(1, d + 1) ** -0.5
    x = (chance.normal(size=(classes, d))[labels] + noise * chance.normal(size=(len(labels), d))) * width
    return x.astype(np.float32), labels


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each C that a fold is fitted for, as it happens; no problem counts as small."""
    seen: list[float] = []

    def counted(*args: object, **kwargs: object) -> object:
        cs: list[float] = args[3]  # type: ignore[assignment]
        for said in said_of(*args, **kwargs):  # type: ignore[arg-type]
            seen.append(cs[said.place])
            yield said

    monkeypatch.setattr(logistic, "SMALL", 0)
    for module in (race, held_out):
        monkeypatch.setattr(module, "said_of", counted)
    return seen


def raced(x: np.ndarray, y: np.ndarray, **given: object) -> Fitted:
    return fit(x, y, int(y.max()) + 1, cs=given.pop("cs", CS), folds=5, seed=0, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize(("seed", "large"), [(0, False), (1, True)])
def test_the_choice_is_that_of_all_folds(
    noise: float, seed: int, large: bool, fits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a C is dropped that was not clearly worse, or the first fold alone decides what is close.

    The other folds side by side, and, as for many images of many classes, one after the other.
    """
    x, y = drawn(noise, seed=seed)
    if large:
        for module in (race, held_out):
            monkeypatch.setattr(module, "MANY", 0)
    found = raced(x, y)
    fitted = len(fits)
    monkeypatch.setattr(logistic, "SMALL", 10**12)
    whole_ = raced(x, y)
    assert found.c == whole_.c
    assert fitted < 30
    by_c = {row["c"]: row for row in whole_.cv}
    if noise < 1:
        assert max(row["folds"] for row in found.cv) == 5, "of two that are close all folds decide"
    for row in found.cv:
        if row["folds"] == 5:
            assert row["log_loss"] == pytest.approx(by_c[row["c"]]["log_loss"], rel=1e-2), "as far as folds are taken"
            assert row["accuracy"] == pytest.approx(by_c[row["c"]]["accuracy"], abs=0.01)
    np.testing.assert_allclose(found.weight, whole_.weight, atol=5e-4 * np.abs(whole_.weight).max())


def test_what_one_fold_tells_is_not_asked_of_others(fits: list[float]) -> None:
    """With thousands held out one fold tells; of weaker penalties than a clearly worse one none is tried."""
    x, y = drawn(6.0, each=1500, d=20)
    found = raced(x, y, cs=(1e-6, 1e-4, 1e-2, 1.0, 100.0))
    assert fits.count(1e-6) == fits.count(1e-4) == 1
    assert {row["c"]: row["folds"] for row in found.cv}[1e-6] == 1
    fits.clear()
    assert [row["folds"] for row in raced(x, y, cs=(1e-6, 1e-4, 1e-2)).cv] == [1, 1, 1]
    assert fits == [1e-6, 1e-4, 1e-2], "one is left: no other fold is fitted"
    wide, labels = drawn(12.0, each=60, d=300)
    fits.clear()
    assert raced(wide, labels, cs=(1e-3, 1.0, 100.0, 1e4)).c == 1e-3
    assert 1e4 not in fits


def test_what_two_folds_more_tell_is_not_asked_of_the_last(fits: list[float]) -> None:
    """Fails when all other folds are fitted before it is asked again what is clearly worse."""
    x, y = drawn(4.0, each=100)
    assert [row["folds"] for row in raced(x, y, cs=(3e-3, 0.03, 0.3)).cv] == [1, 3, 3]


@pytest.mark.parametrize("d", [40, 900])  # by features, by rows
def test_the_regression_that_is_kept_begins_where_folds_lead(
    d: int, monkeypatch: pytest.MonkeyPatch, fits: list[float]
) -> None:
    """It takes fewer turns, and ends where it ends without. Fails when what folds learnt is of another C, or not handed on."""
    x, y = drawn(1.0, each=50, d=d)
    found, turns, real = list[Fitted](), list[int](), held_out.minimise

    def counted(*args: object, **kwargs: object) -> object:
        one = real(*args, **kwargs)  # type: ignore[arg-type]
        turns[-1] += one.turns
        return one

    def walked(*args: object, **kwargs: object) -> object:
        with monkeypatch.context() as own:
            own.setattr(held_out, "minimise", counted)
            return held_out.walk(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(logistic, "walk", walked)
    for mean in (logistic._mean_of, lambda *args: None):
        monkeypatch.setattr(logistic, "_mean_of", mean)
        turns.append(0)
        found.append(raced(x, y))
    assert turns[0] < 0.7 * turns[1]
    np.testing.assert_allclose(found[0].weight, found[1].weight, atol=5e-4 * np.abs(found[1].weight).max())


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("relative", "begin"), [(1e-3, 0), (1e-7, 1)])
def test_what_is_left_is_fitted_on_all_folds_nearer_to_the_minimum(
    relative: float, begin: int, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where the first fold ended, which goes once more unless it is as near already.

    Fails when a fold or C is taken for another, or starts are not used.
    """
    x, y = drawn(4.0)
    parts, cs = [np.arange(len(y))[start::5] for start in range(5)], [0.1, 1e-4, 1e-2]
    for module in (race, held_out):
        monkeypatch.setattr(module, "MANY", 0 if large else 10**12)
    seen, begun, ticks = list[tuple[int, int]](), list[object](), list[tuple[int, int]]()

    def judge(said: Outputs) -> race.Judged:
        np.testing.assert_array_equal(said.held, parts[said.fold])
        seen.append((said.fold, said.place))
        return held_out.losses_of(said, y)

    honest, ones, everyone = held_out.started, np.ones(len(y)), np.arange(len(y))
    monkeypatch.setattr(held_out, "started", lambda *args: begun.append(args[2]) or honest(*args))
    found = race.race(
        x, y, parts, cs, judge, counts=ones, units=everyone, relative=relative, exact=1e-6, tick=lambda *own: ticks.append(own)
    )
    assert seen[:3] == [(0, 1), (0, 2), (0, 0)]
    assert sorted(seen[3:]) == [(fold, 0) for fold in range(begin, 5)]
    assert begun[:3] == [None] * 3
    assert len(begun) == 3 + 5 - begin
    assert None not in begun[3:]
    assert (found.place, len(found.learnt)) == (0, 6 - begin)
    assert found.excess <= 1e-6
    assert [row["folds"] for row in found.rows] == [1, 1, 5]
    assert {total for _, total in ticks} == {18}
    assert max(done for done, _ in ticks) == 8 - begin


def test_the_order_in_which_they_are_asked_for_is_no_matter(fits: list[float]) -> None:
    x, y = drawn(2.0)
    forward, backward = raced(x, y), raced(x, y, cs=CS[::-1])
    assert forward.c == backward.c
    assert [row["c"] for row in forward.cv] == [row["c"] for row in backward.cv]
    np.testing.assert_array_equal(forward.weight, backward.weight)


def test_images_of_one_unit_say_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference that is clear of so many images is not of a tenth as many units. Fails when images are counted."""
    chance = np.random.default_rng(0)
    by_unit = np.repeat(0.05 + 0.2 * chance.normal(size=40), 50)
    losses = np.stack([np.zeros(2000), by_unit])
    ones = np.ones(2000)

    def clear(units: np.ndarray) -> bool:
        return race.Race(losses, losses > 0, ones, units, [0, 1]).clearly_worse(1, [0])

    assert clear(np.arange(2000))
    assert not clear(np.repeat(np.arange(40), 50))


def test_images_that_count_nothing_decide_nothing() -> None:
    losses = np.stack([np.zeros(1000), np.r_[np.full(500, 1.0) + np.linspace(0, 0.1, 500), np.linspace(-0.1, 0.1, 500)]])
    own = race.Race(losses, losses > 0, np.r_[np.zeros(500), np.ones(500)], np.arange(1000), [0, 1])
    assert not own.clearly_worse(1, [0])
    assert replace(own, counts=np.ones(1000)).clearly_worse(1, [0])


def test_threads_that_share_a_fold_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation tried: sums of blocks in the order in which they are done."""
    monkeypatch.setattr(multinomial, "BLOCK", 17)
    monkeypatch.setattr(multinomial, "CLASSES", 2)
    images, points, factors = whole(400, 60, 7), [], []
    point = np.random.default_rng(0).normal(size=7 * 60 + 7).astype(np.float32)
    with one_thread():
        for workers in (1, 2, 5):
            regression = ByFeatures(images, workers)
            at = regression.at(point)
            regression.factor(at)
            points.append((at.loss, at.gradient, at.curvature))
            factors.append(regression.precondition(at.gradient))
    for loss, gradient, curvature in points[1:]:
        assert loss == points[0][0]
        np.testing.assert_array_equal(gradient, points[0][1])
        np.testing.assert_array_equal(curvature, points[0][2])
    for other in factors[1:]:
        np.testing.assert_array_equal(other, factors[0])


def test_all_threads_share_the_first_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when they are counted where linear algebra has one already."""
    x, y = drawn(1.0)
    found, real = list[int](), multinomial.ByFeatures.__init__

    def made(self: ByFeatures, images: Images, workers: int = 1) -> None:
        found.append(workers)
        real(self, images, workers)

    monkeypatch.setattr(multinomial.ByFeatures, "__init__", made)
    monkeypatch.setattr(logistic, "SMALL", 0)
    with threadpool_limits(3, user_api="blas"):
        raced(x, y, cs=(1e-3, 0.1))
        assert set(found) == {1}, "a small step is one thread's"
        found.clear()
        monkeypatch.setattr(multinomial, "SHARED", 0)
        raced(x, y, cs=(1e-3, 0.1))
    assert found[0] == 3


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_kept_is_made_ready_beside_the_first_fold(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a thread for it; it changes no bit."""
    x, y = drawn(1.0)
    places, real = list[bool](), logistic._Kept.make_ready

    def made_ready(self: logistic._Kept) -> None:
        places.append(threading.current_thread() is threading.main_thread())
        real(self)
        assert self._form is not None

    with monkeypatch.context() as own:
        own.setattr(logistic, "SMALL", 0)
        own.setattr(logistic.Images, "by_rows", True)
        plain = fit(x, y, int(y.max()) + 1, cs=(1e-3, 0.1), folds=3, seed=0)
        own.setattr(logistic._Kept, "make_ready", made_ready)
        own.setattr(race, "threads", lambda: number)
        beside = fit(x, y, int(y.max()) + 1, cs=(1e-3, 0.1), folds=3, seed=0)
    assert places == ([] if number == 1 else [False])
    np.testing.assert_array_equal(beside.weight, plain.weight)


def test_what_fails_beside_the_first_fold_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: logistic._Kept) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(logistic, "SMALL", 0)
    monkeypatch.setattr(logistic._Kept, "make_ready", broken)
    monkeypatch.setattr(race, "threads", lambda: 2)
    with pytest.raises(MemoryError, match="no room"):
        fit(*drawn(1.0), 24, cs=(1e-3, 0.1), folds=3, seed=0)


def test_folds_one_after_the_other_say_what_they_say_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(2.0)
    parts = [np.arange(len(y))[start::3] for start in range(3)]
    found, places = [], set[threading.Thread]()

    def judge(said: Outputs) -> Outputs:
        places.add(threading.current_thread())
        return said

    for many, number in ((10**12, 3), (0, 1), (0, 3)):
        monkeypatch.setattr(held_out, "MANY", many)
        monkeypatch.setattr(held_out, "SMALL", 0)
        monkeypatch.setattr(held_out, "threads", lambda number=number: number)
        monkeypatch.setattr(multinomial, "BLOCK", 64)
        places.clear()
        found.append(held_out.held_out(x, y, parts, [1e-3, 0.1], judge))
        assert (places == {threading.main_thread()}) is (many == 0), "folds one after the other hold one fold's outputs"
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert (a.fold, a.place, a.lowest) == (b.fold, b.place, b.lowest)
            np.testing.assert_array_equal(a.logits, b.logits)


def test_a_search_that_stops_early_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when how far above the minimum it stopped is told to nobody."""
    x, y = drawn(1.0)
    assert raced(x, y).sentence == f"C = {raced(x, y).c:g}, chosen by cross-validation"
    real = newton.minimise

    def stopped(form: ByFeatures, point: newton.Values, relative: float, *_: object) -> tuple[ByFeatures, newton.Found]:
        return form, real(form, point, relative=relative, most=0)

    monkeypatch.setattr(logistic, "search", stopped)
    assert "; its search stopped " in raced(x, y).sentence
    assert "that of a fold" not in raced(x, y).sentence
    monkeypatch.setattr(held_out, "minimise", lambda *args, **kwargs: real(*args, **kwargs, most=1))
    assert "; that of a fold stopped " in raced(x, y).sentence
    monkeypatch.setattr(logistic, "SMALL", 0)
    assert "; that of a fold stopped " in raced(x, y).sentence


def test_it_stops_when_asked(fits: list[float]) -> None:
    x, y = drawn(1.0)
    ticks: list[tuple[int, int]] = []

    def tick(done: int, total: int) -> None:
        ticks.append((done, total))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        raced(x, y, tick=tick)
    assert len(fits) == 2
    assert {total for _, total in ticks} == {31}
    assert [done for done, _ in ticks] == sorted(done for done, _ in ticks)


def test_losses_are_of_the_images_however_many_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    labels = np.array([0, 3, 5, 3, 0, 5, 4])
    learnt = Learnt(np.array([0, 3, 5]), np.zeros((3, 1), np.float32), np.zeros(3))
    said = Outputs(0, 0, np.arange(7), chance.normal(size=(7, 3)), learnt, 0.0)
    whole_losses, right = held_out.losses_of(said, labels)
    assert whole_losses[-1] == -np.log(1e-12)
    assert not right[-1]
    monkeypatch.setattr(held_out, "JUDGED", 2)
    for a, b in zip(held_out.losses_of(said, labels), (whole_losses, right), strict=True):
        np.testing.assert_array_equal(a, b)
