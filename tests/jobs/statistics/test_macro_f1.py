"""The paired bootstrap of macro F1."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import f1_score

from jobs.statistics import macro_f1
from jobs.statistics.macro_f1 import f1_difference


def noisy(labels: np.ndarray, wrong: float, classes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < wrong, rng.integers(0, classes, len(labels)), labels)


def test_the_value_is_scikit_learns() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 300)
    a, b = noisy(labels, 0.1, 4, 1), noisy(labels, 0.3, 4, 2)
    found = f1_difference(labels, a[None], b[None], [str(i) for i in range(300)], 4)
    expected = f1_score(labels, a, average="macro") - f1_score(labels, b, average="macro")
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.low < expected < found.high


def test_the_interval_is_that_of_a_plain_stratified_bootstrap() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 240)
    a, b = noisy(labels, 0.1, 3, 1), noisy(labels, 0.25, 3, 2)
    found = f1_difference(labels, a[None], b[None], [str(i) for i in range(240)], 3, draws=2000)
    rng, drawn = np.random.default_rng(9), []
    for _ in range(500):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), (labels == c).sum()) for c in range(3)])
        scores = [f1_score(labels[rows], predicted[rows], average="macro") for predicted in (a, b)]
        drawn.append(scores[0] - scores[1])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def test_copies_are_drawn_together() -> None:
    labels = np.repeat(np.random.default_rng(0).integers(0, 3, 80), 4)
    a, b = np.repeat(noisy(labels[::4], 0.1, 3, 1), 4), np.repeat(noisy(labels[::4], 0.3, 3, 2), 4)
    grouped = f1_difference(labels, a[None], b[None], [str(i // 4) for i in range(320)], 3)
    single = f1_difference(labels, a[None], b[None], [str(i) for i in range(320)], 3)
    assert grouped.high - grouped.low == pytest.approx(2 * (single.high - single.low), rel=0.15)


def test_seeds_widen_the_interval() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 300)
    groups = [str(i) for i in range(300)]
    b = np.stack([noisy(labels, 0.3, 3, 50 + s) for s in range(3)])
    calm = np.stack([noisy(labels, 0.2, 3, s) for s in range(3)])
    restless = np.stack([noisy(labels, wrong, 3, s) for s, wrong in enumerate((0.02, 0.2, 0.5))])
    narrow, wide = (f1_difference(labels, a, b, groups, 3) for a in (calm, restless))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def dense(labels: np.ndarray, predicted: list[np.ndarray], groups: list[str], classes: int, draws: int) -> np.ndarray:
    """[draws] the difference in draws of kinds of units, with a matrix of all kinds and classes: what is to be had for less."""
    units: dict[str, list[tuple[int, ...]]] = {}
    for group, *row in zip(groups, labels, *predicted, strict=True):
        units.setdefault(group, []).append(tuple(int(value) for value in row))
    kinds: dict[tuple[tuple[int, ...], ...], int] = {}
    for unit in units.values():
        kinds[tuple(sorted(unit))] = kinds.get(tuple(sorted(unit)), 0) + 1
    counts, stratum = np.array([*kinds.values()]), np.array([kind[0][0] for kind in kinds])
    rng, drawn = np.random.default_rng(0), np.zeros((draws, len(kinds)))
    for label in np.unique(stratum):
        members = stratum == label
        drawn[:, members] = rng.multinomial(counts[members].sum(), counts[members] / counts[members].sum(), size=draws)
    one = np.eye(classes)
    scores = []
    for model in range(len(predicted)):
        true, said, hits = (
            np.array([np.sum([of(image[0], image[1 + model]) for image in kind], axis=0) for kind in kinds])
            for of in (lambda y, p: one[y], lambda y, p: one[p], lambda y, p: one[y] * (y == p))
        )
        either = drawn @ true + drawn @ said
        scores.append(np.divide(2 * (drawn @ hits), either, out=np.zeros_like(either), where=either > 0).mean(axis=1))
    return np.asarray(scores[0] - scores[1])


@pytest.mark.parametrize(("n", "classes", "together"), [(120, 3, 1), (200, 40, 1), (200, 40, 3)])
def test_what_is_drawn_is_what_a_dense_matrix_gives(
    monkeypatch: pytest.MonkeyPatch, n: int, classes: int, together: int
) -> None:
    """Bit for bit, also where only some classes at a time are held."""
    labels = np.random.default_rng(0).integers(0, classes, n)
    a, b = noisy(labels, 0.2, classes, 1), noisy(labels, 0.4, classes, 2)
    groups = [str(i // together) for i in range(n)]
    monkeypatch.setattr(macro_f1, "CHUNK_VALUES", 100 * 20)
    units = macro_f1._Units.of(labels, np.stack([a, b]), groups, classes)
    scores = units.macro_f1(units.draw(100))
    assert (scores[0] - scores[1]).tolist() == dense(labels, [a, b], groups, classes, 100).tolist()


def test_memory_does_not_grow_with_images_times_classes() -> None:
    """Fails when what is drawn of all images, or a matrix of images and classes, is held at a time."""
    peaks = {}
    for n in (3000, 12000):
        labels = np.random.default_rng(0).integers(0, 300, n)
        a, b = noisy(labels, 0.5, 300, 1), noisy(labels, 0.6, 300, 2)
        tracemalloc.start()
        f1_difference(labels, a[None], b[None], [str(i) for i in range(n)], 300)
        peaks[n] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    print(peaks)
    assert peaks[12000] < 1.5 * peaks[3000]
