"""Logistic regressions that have not seen an image, for several C at once: what they say of it.

Every fold is one path through the C from strong penalty to weak, each start the end of the one before. Folds run side by side,
each on one thread; of many images of many classes one after the other, threads sharing its blocks of images. Either way the
number of threads changes no bit of what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.heads.blocks import blocks_of
from jobs.heads.cores import one_thread, threads
from jobs.heads.multinomial import ByFeatures, ByRows, Images
from jobs.heads.newton import Found, Values, minimise
from jobs.heads.sketched import Sketched, first_form
from jobs.heads.standard import Features, Floats, Ints, row_blocks, standard_of

CHOOSING = 1e-4
"""How far the loss of a fold's regression may be above its minimum, as a share of it, where means are all that is asked for."""
STRIDE = 10.0  #: C grows by at most this from one start to the next
SMALL = 10_000
"""Images x classes up to which a fold is too little for a thread of its own, and every C is tried on every fold."""
MANY = 2_000_000
"""Images x classes from which on all threads share one fold's steps: side by side folds would hold too much."""
JUDGED = 4096  #: images whose outputs are judged together
BEAT_S = 0.5
Result = TypeVar("Result")
Form = Sketched | ByRows | ByFeatures


@dataclass(frozen=True)
class Learnt:
    """A regression on raw features: ``weight`` [k, d] and ``bias`` [k] of the ``classes`` (labels, rising) that were learnt."""

    classes: Ints
    weight: Features
    bias: Floats


@dataclass(frozen=True)
class Outputs:
    """``logits`` [n, classes] float64 for the images ``held``, of the classes that were ``learnt``.

    ``fold`` and ``place`` (of the C in those asked for) say which regression; ``excess``: how far above its minimum the search
    for it stopped, as a share of its loss.
    """

    fold: int
    place: int
    held: Ints
    logits: Floats
    learnt: Learnt
    excess: float

    @property
    def classes(self) -> Ints:
        return self.learnt.classes

    @property
    def lowest(self) -> float:
        """The least intercept on raw features."""
        return float(self.learnt.bias.min())


def held_out(
    features: Features,
    labels: Ints,
    parts: Sequence[Ints],
    cs: Sequence[float],
    judge: Callable[[Outputs], Result],
    *,
    counts: Floats | None = None,
    relative: float = CHOOSING,
    starts: Sequence[Learnt | None] | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """``judge`` of the outputs for every one of ``parts`` (places held out) and every C, in this order.

    ``features`` [n, d], ``labels`` [n]; ``counts`` [n]: what each image counts in fitting; ``relative``: how far
    each loss may be above its minimum, as a share of it; ``starts``: where each C's search begins. A part without which fewer
    than two classes are left is passed over. ``tick`` is called now and then with the fits that are done and their number: it
    may raise, to stop.
    """
    folds = [(fold, held, np.setdiff1d(np.arange(len(labels)), held)) for fold, held in enumerate(parts)]
    folds = [(fold, held, kept) for fold, held, kept in folds if len(np.unique(labels[kept])) > 1]
    counts = np.ones(len(labels)) if counts is None else counts
    found: dict[tuple[int, int], Result] = {}
    total = len(folds) * len(cs)

    size = size_of(labels)
    workers = threads() if size > MANY else 1

    def follow(fold: int, held: Ints, kept: Ints, check: Callable[[], None]) -> None:
        for said in said_of(features, labels, (fold, held, kept), cs, counts, relative, check, workers, starts):
            found[fold, said.place] = judge(said)

    _side_by_side(
        [partial(follow, *one) for one in folds],
        threads() if SMALL < size <= MANY and len(folds) > 1 else 1,
        lambda: tick(len(found), total),
    )
    return [found[key] for key in sorted(found)]


def size_of(labels: Ints) -> int:
    """Images x classes: what decides how a problem is shared."""
    return len(labels) * len(np.unique(labels))


def said_of(
    features: Features,
    labels: Ints,
    part: tuple[int, Ints, Ints],
    cs: Sequence[float],
    counts: Floats,
    relative: float,
    check: Callable[[], None],
    workers: int = 1,
    starts: Sequence[Learnt | None] | None = None,
) -> Iterator[Outputs]:
    """Of one fold (its number, the places held out, those kept), for each C from the smallest."""
    fold, held, kept = part
    images, classes = images_of(features, labels, kept, counts[kept]), np.unique(labels[kept])
    near = [started(images, classes, start) for start in starts or [None] * len(cs)]
    for place, (weight, bias), excess in along(images, cs, relative, check, workers, near):
        raw = weight / images.standard.scale
        learnt = Learnt(classes, raw.astype(np.float32), bias - raw @ images.standard.mean)
        yield Outputs(fold, place, held, outputs(images, weight, bias, held), learnt, excess)


def losses_of(said: Outputs, labels: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """[held] log loss of each image (a class that the fold never saw: -log 1e-12), and whether it is right."""
    losses, right = np.empty(len(said.held)), np.empty(len(said.held), dtype=bool)
    for rows in blocks_of(len(said.held), JUDGED):
        logits, truth = said.logits[rows], labels[said.held[rows]]
        shifted = logits - logits.max(axis=1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        own = truth[:, None] == said.classes[None]
        losses[rows] = -np.log(np.maximum(np.where(own.any(axis=1), (p * own).sum(axis=1), 0.0), 1e-12))
        right[rows] = said.classes[logits.argmax(axis=1)] == truth
    return losses, right


def images_of(features: Features, labels: Ints, rows: Ints, counts: Floats) -> Images:
    """The images at ``rows``, standardised by themselves, their labels as numbers without gaps."""
    present, codes = np.unique(labels[rows], return_inverse=True)
    return Images(features, rows, codes.astype(np.int64), len(present), counts, standard_of(features, rows))


def started(images: Images, classes: Ints, learnt: Learnt | None) -> tuple[Floats, Floats] | None:
    """Weights [k, d] of these images' standardised features and intercepts [k]; nothing where other classes were learnt."""
    if learnt is None or not np.array_equal(learnt.classes, classes):
        return None
    return learnt.weight * images.standard.scale, learnt.bias + learnt.weight @ images.standard.mean


def along(
    images: Images,
    cs: Sequence[float],
    relative: float,
    check: Callable[[], None],
    workers: int = 1,
    starts: Sequence[tuple[Floats, Floats] | None] | None = None,
) -> Iterator[tuple[int, tuple[Floats, Floats], float]]:
    """The place of each C, from the smallest, with the weights [k, d] of standardised features and intercepts [k] at it.

    And how far above its minimum the search stopped, as a share of the loss. ``starts``: where each C's search begins; without
    one it is the end of the C before.
    """
    regression = first_form(images, workers)
    point = regression.start()
    before = None
    for place in np.argsort(cs, kind="stable"):
        if starts is not None and (start := starts[place]) is not None:
            before = float(cs[place])
            regression, point = begun(regression, start, before, workers)
        regression, point = walk(regression, point, before, float(cs[place]), relative, check, workers)
        before = float(cs[place])
        yield int(place), regression.weights(point), regression.excess


def begun(regression: Form, start: tuple[Floats, Floats], c: float, workers: int = 1) -> tuple[Form, Values]:
    """Near ``start``, for a search at ``c``; without the sketch where that knows no point there. And the form it is in."""
    regression.penalty = penalty_of(c, regression.images.n_classes)
    if isinstance(regression, Sketched):
        if (point := regression.begun(*start)) is not None:
            return regression, point
        regression = regression.unsketched(workers)
    return regression, regression.start(*start)


def walk(
    regression: Form,
    point: Values,
    before: float | None,
    c: float,
    relative: float,
    check: Callable[[], None],
    workers: int = 1,
) -> tuple[Form, Values]:
    """From the minimum at C = ``before``, or from nothing, to that at ``c``, in strides that stay near the path of minima.

    And the form in which it is found, with which the search goes on.
    """
    images = regression.images
    near = before if before is not None else images.n_classes / (STRIDE * images.features.shape[1])
    for number in reversed(range(max(int(np.ceil(np.log10(c / near) / np.log10(STRIDE) - 1e-9)), 1))):
        regression.penalty = penalty_of(c / STRIDE**number, images.n_classes)
        regression, found = search(regression, point, relative, check, workers)
        regression.excess = found.share
        point = regression.settled(found.point) if regression.exact else found.point
    return regression, point


def search(regression: Form, point: Values, relative: float, check: Callable[[], None], workers: int = 1) -> tuple[Form, Found]:
    """The minimum, by a sketch where one serves and leads there, else without; and the form that it is found in."""
    if isinstance(regression, Sketched):
        serves = regression.serves(regression.at(point).curvature)
        found = minimise(regression, point, relative=relative, check=check) if serves else None
        if found is not None and found.share <= relative:
            return regression, found
        regression, point = regression.without(point if found is None else found.point, workers)
    return regression, minimise(regression, point, relative=relative, check=check)


def penalty_of(c: float, n_classes: int) -> float:
    """Of both classes' weights, where there are two: scikit-learn penalises their difference, half in each."""
    return (2 if n_classes == 2 else 1) / c


def outputs(images: Images, weight: Floats, bias: Floats, rows: Ints) -> Floats:
    """[n, k] float64 logits of some rows of the images' features."""
    narrow = weight.astype(np.float32).T
    blocks = [images.standard(block) @ narrow for block in row_blocks(images.features, rows)]
    return np.concatenate(blocks).astype(np.float64) + bias


def _side_by_side(tasks: Sequence[Callable[[Callable[[], None]], None]], workers: int, beat: Callable[[], None]) -> None:
    """Run ``tasks``, each with what it is to call often. ``beat`` is called from this thread; what it raises, stops all."""
    if workers == 1 or len(tasks) == 1:
        with one_thread():
            for task in tasks:
                task(beat)
                beat()
        return
    enough = Event()

    def go_on() -> None:
        if enough.is_set():
            raise _EnoughError

    with one_thread(), ThreadPoolExecutor(min(workers, len(tasks))) as pool, _setting(enough):
        left = {pool.submit(task, go_on) for task in tasks}
        while left:
            done, left = wait(left, timeout=BEAT_S, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
            beat()


class _EnoughError(Exception):
    """Another fold failed, or all are to stop."""


@contextmanager
def _setting(event: Event) -> Iterator[None]:
    """Set it when the block is left, however: before the pool waits for its threads."""
    try:
        yield
    finally:
        event.set()
