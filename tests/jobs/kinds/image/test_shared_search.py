"""The search for near copies shared by processes: the same pairs, scores and counts as by one, and none of them left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.data.joining import Joined
from jobs.kinds.image import near_duplicates
from jobs.kinds.image.candidates import ROWS, pictures_of
from jobs.kinds.image.examination import Comparison, Examination, Joining, Look
from jobs.kinds.image.fitting import Fit, Place
from jobs.kinds.image.inverted_file import inverted_file, together
from jobs.kinds.image.near_duplicates import Copies, find_copies
from jobs.kinds.image.thumbnails import WHOLE, Thumbnails, thumbnail
from jobs.mapped import save
from jobs.workers import Workers
from tests.jobs.kinds.image.test_near_duplicates import PLANTED, scene
from tests.jobs.test_workers import ENDED_WITHIN_S, alive

SCENES, BURST, STILL = 480, 60, 24


@pytest.fixture(scope="module")
def thumbnails(tmp_path_factory: pytest.TempPathFactory) -> Thumbnails:
    """Pictures, copies of some by each change, near-identical ones throughout the data, and a camera that stood still."""
    chance = np.random.default_rng(0)
    images = [scene(seed, 96, 72) for seed in range(SCENES)]
    images += [change(images[i], random.Random(i)) for i, change in enumerate([*PLANTED.values()] * 8)]
    frame = np.asarray(scene(1000, 96, 72), dtype=float)
    images += [Image.fromarray((frame + chance.normal(0, 4, frame.shape)).clip(0, 255).astype(np.uint8)) for _ in range(BURST)]
    for seed in range(STILL):
        image = scene(1001, 96, 72)
        image.paste(scene(2000 + seed, 40, 32), (5 + seed % 50, 5 + seed % 33))
        images.append(image)
    random.Random(1).shuffle(images)
    made = Thumbnails(tmp_path_factory.mktemp("likeness") / "likeness.bin")
    for image in images:
        made.add(thumbnail(image))
    return made


@pytest.fixture(scope="module", params=[False, True], ids=["all pairs", "lists"])
def listed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def alone(thumbnails: Thumbnails, listed: bool) -> Copies:
    found = find_copies(thumbnails, listed=listed)
    assert len(found.pairs) > BURST + 20
    assert bool(found.unverified) == listed  # three fits that came to nothing, where there are lists
    return found


@pytest.mark.parametrize("processes", [2, 5])
def test_the_number_of_processes_changes_nothing(thumbnails: Thumbnails, listed: bool, alone: Copies, processes: int) -> None:
    told: list[tuple[int, int]] = []
    found = find_copies(thumbnails, lambda *done: told.append(done), listed=listed, processes=processes)
    assert found == alone
    assert told == sorted(told)
    assert told[-1] == (len(thumbnails), len(thumbnails))
    assert [path.name for path in thumbnails.path.parent.iterdir()] == ["likeness.bin"]


class Ahead:
    """Examined by others with groups as they were at the start: nothing joined. ``anew``: comparisons that were made here."""

    def __init__(self, thumbnails: Thumbnails, listed: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pictures = pictures_of(thumbnails, folder, Workers(1))
        file = inverted_file(pictures, folder, Workers(1)) if listed else None
        count = len(thumbnails)
        self.examination = Examination(pictures, file, save(folder / "labels", [np.arange(count)]))
        self.starts = range(0, count, together(count) if listed else ROWS)
        self.looks = [self.examination(start) for start in self.starts]
        self.joining = Joining(Joined(count), listed=listed)
        self.anew = 0
        made = Comparison.__init__

        def counted(comparison: Comparison, *given: object) -> None:
            self.anew += 1
            made(comparison, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(Comparison, "__init__", counted)

    def decided(self) -> Copies:
        for start, looks in zip(self.starts, self.looks, strict=True):
            near_duplicates._decide(self.joining, self.examination, start, looks)
        pairs = sorted(self.joining.found, key=lambda pair: (pair.a, pair.b))
        return Copies(tuple(pairs), self.joining.unverified)

    @property
    def seen(self) -> list[Look]:
        return [look for looks in self.looks for look in looks]


@pytest.fixture
def ahead(thumbnails: Thumbnails, listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ahead:
    return Ahead(thumbnails, listed, tmp_path, monkeypatch)


def test_who_looks_ahead_may_know_of_no_group(ahead: Ahead, alone: Copies) -> None:
    """What was found meanwhile is compared anew, and no more than that."""
    found = ahead.decided()
    assert (found.pairs, found.unverified) == (alone.pairs, alone.unverified)
    assert 0 < ahead.anew < 0.5 * len(ahead.seen)


def test_a_group_that_is_none_here_is_looked_at_again(ahead: Ahead, alone: Copies) -> None:
    """Another process took two pictures for copies that are not even asked about here, and left out what it could for that."""
    looks = ahead.looks[0]
    at = len(looks) // 2
    known = {number for pair in alone.pairs for number in (pair.a, pair.b)}
    taken = Place(next(number for number in range(SCENES) if number not in known), WHOLE, 0)
    looks[at].fits[taken] = Fit(0.9, WHOLE)
    del looks[at + 1 :]
    found = ahead.decided()
    assert (found.pairs, found.unverified) == (alone.pairs, alone.unverified)


SEARCH = """
import sys
import time
from pathlib import Path
from jobs import workers
from jobs.kinds.image.near_duplicates import find_copies
from jobs.kinds.image.thumbnails import Thumbnails
path = Path(sys.argv[1])
thumbnails = Thumbnails(path, path.stat().st_size // 96**2)
started = workers._Worker.__init__
def told(worker):
    started(worker)
    print(worker.process.pid, flush=True)
workers._Worker.__init__ = told
find_copies(thumbnails, lambda done, total: time.sleep(1), processes=2)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_no_process_is_left(thumbnails: Thumbnails, number: signal.Signals) -> None:
    thumbnails.complete()
    command = [sys.executable, "-c", SEARCH, str(thumbnails.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        own = [int(process.stdout.readline()) for _ in range(2)]
        time.sleep(0.5)
        assert all(alive(pid) for pid in own)
        os.kill(process.pid, number)
        deadline = time.monotonic() + ENDED_WITHIN_S
        while any(alive(pid) for pid in own) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(alive(pid) for pid in own)
