"""prepare's memory does not grow with the number of images, but for some 2 KB of notes on each."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlbatch.datasets.inventory import list_dataset
from tlbatch.spec.dataset import Dataset
from tlbatch.store.artifacts import Manifest, load_manifest
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task, task_name

pytestmark = pytest.mark.bench
FEW, MANY = 500, 2500
MOST_GROWTH = 1.15


def make_images(root: Path, count: int) -> None:
    """Distinct JPEG files of about 40 KB, 500 x 375 pixels, in two classes."""
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
    for number in range(count):
        levels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        target = io.BytesIO()
        Image.fromarray(levels).resize((500, 375), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
        (root / "ab"[number % 2] / f"{number}.jpg").write_bytes(target.getvalue())


def prepare(root: Path, store_folder: Path, threads: int = 2, timeout_s: float = 600, **params: Any) -> Manifest:
    """Run the step as its own process."""
    store = DirectoryStore(store_folder)
    listing = list_dataset(Dataset(url=str(root)))
    settings = {"dataset": listing.digest, "stored_size": 512, "max_bad": 0.0, "near_duplicates": True, **params}
    name = f"work/{Task('prepare', settings).key}/listing.json"
    store.put(name, listing.to_json())
    task = Task("prepare", settings, locations={"dataset": listing.url, "listing": name})
    store.put(task_name(task.key), task.to_json())
    resolved = dict.fromkeys(("TLBATCH_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    command = [sys.executable, "-m", "jobs.prepare", "--task", f"{store.url}/{task_name(task.key)}"]
    subprocess.run(command, env={**os.environ, **resolved}, check=True, timeout=timeout_s)
    manifest = load_manifest(store, "prepare", task.key)
    assert manifest is not None
    return manifest


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    peaks = {}
    for count in (FEW, MANY):
        make_images(tmp_path / str(count), count)
        facts = prepare(tmp_path / str(count), tmp_path / f"store-{count}").made
        print(count, json.dumps({k: facts[k] for k in ("images_per_s", "duplicates_s", "packing_s", "peak_memory_mib")}))
        peaks[count] = facts["peak_memory_mib"]
    assert peaks[MANY] < MOST_GROWTH * peaks[FEW], peaks
