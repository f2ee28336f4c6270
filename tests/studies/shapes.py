"""A small study on pictures drawn here, and how to run it."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageDraw

from tests.noise import noise
from tests.studies.kept import KeptBackend
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import Outcome, run_study
from tlbatch.spec import load_study
from tlbatch.store import open_store


def head(name: str, split: str) -> str:
    """The start of a study on ``images``, up to its runs; near copies are not looked for among drawn shapes."""
    return (
        f"apiVersion: tlbatch/v1\nkind: Study\nname: {name}\n"
        f"dataset: {{url: images, split: {{{split}}}, near_duplicates: false}}\n"
        "control: none\nprecision: fp32\nruns:\n"
    )


SPLIT = "train: 32, validation: 16, test: 32"
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: shapes
dataset:
  url: images
  split: {train: 32, validation: 16, test: 32}
  near_duplicates: false
control: none
precision: fp32
runs:
  - name: cnn
    model: {scratch: {channels: [4, 8], padding: same, dense: [8]}}
    input: {size: 16}
    train: {epochs: 3, batch_size: 8, lr: 3e-3}
  - name: features
    model: {backbone: mobilenet_v2, weights: random, head: {logistic: {c: [0.01, 1.0], folds: 3}}}
    strategy: features
    input: {size: 32}
  - name: dense-head
    model: {backbone: mobilenet_v2, weights: random, head: {dense: [16]}}
    strategy: features
    input: {size: 32}
    train: {epochs: 5, batch_size: 8}
"""


def draw_shapes(folder: Path, count: int, first: int = 0) -> None:
    """``count`` pictures of discs and of squares each, numbered from ``first``; none is like another."""
    for label in ("disc", "square"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            chance = random.Random(f"{label}{number}")
            colour = tuple(chance.randrange(120, 256) for _ in range(3))
            image = noise(f"{label}{number}", (40, 40), 40).convert("RGB").point(lambda value: value // 3)
            image.putpixel((0, 0), (number % 256, number // 256, 7))
            x, y, side = chance.randrange(2, 12), chance.randrange(2, 12), chance.randrange(18, 26)
            draw = ImageDraw.Draw(image)
            (draw.ellipse if label == "disc" else draw.rectangle)((x, y, x + side, y + side), fill=colour)
            image.save(folder / label / f"{number:03d}.png")


@dataclass(frozen=True)
class Bench:
    """A study file, its pictures and a store, all of one test."""

    folder: Path

    @property
    def study(self) -> Path:
        return self.folder / "study.yaml"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def run(self, *overrides: str, store: str | None = None, cores: int | None = None) -> Outcome:
        """The study run to its end (or Stopped) by this process as driver."""
        opened = open_store(store or str(self.store))
        backend = KeptBackend(opened, cores or len(os.sched_getaffinity(0)))
        return run_study(load_study(self.study, overrides), opened, backend, Silent(), lambda execution: None)


def states(outcome: Outcome, state: str) -> set[str]:
    """Names of the tasks in a state."""
    return {work.name for work in outcome.works if work.state == state}
