"""tlbatch/backbones/clip.json is what open_clip says: stale files fail here, and so do wrong sizes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from jobs.models.clip_catalogue import CLIP, NAMES, build
from jobs.models.library import find
from jobs.models.sizes import takes
from tests.requirements import chaos_only
from tlbatch.backbones.catalogue import described, input_sizes
from tlbatch.backbones.clip import clip_names, text_tower

torch.set_num_threads(1)
STALE = "tlbatch/backbones/clip.json is stale: python -m jobs.models.clip_catalogue"


def entry_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """An entry with its inputs written out."""
    entry: dict[str, Any] = json.loads(json.dumps(document["backbones"][name]))
    for weight in entry["weights"]:
        weight[4] = document["inputs"][weight[4]]
    return entry


@pytest.mark.parametrize("name", ["ViT-B-32", "RN50-quickgelu"])
def test_an_entry_is_up_to_date(name: str) -> None:
    stored = json.loads(CLIP.read_text())
    fresh = json.loads(build([name]))
    assert entry_of(fresh, f"open_clip/{name}") == entry_of(stored, f"open_clip/{name}"), STALE
    assert fresh["libraries"] == stored["libraries"], STALE


def test_every_name_has_its_entry() -> None:
    assert clip_names() == tuple(f"open_clip/{name}" for name in NAMES), STALE


@chaos_only
def test_the_whole_file_is_up_to_date() -> None:
    assert build() == CLIP.read_text(), STALE


@pytest.mark.parametrize("name", ["open_clip/ViT-B-32", "open_clip/RN50-quickgelu"])
def test_only_the_own_size_is_taken(name: str) -> None:
    """Places are learnt for one size: what check refuses, torch refuses."""
    network = find(name).create_empty()
    assert input_sizes(name) == (224, 224)
    assert takes(network, 224)
    assert not takes(network, 192)
    assert not takes(network, 288)


def test_parameters_are_the_published_ones() -> None:
    """CLIP's paper and open_clip's table: ViT-B/32 151 million, of which 88 see pictures; RN50 102 million, of which 38."""
    for name, image, whole in (("ViT-B-32", 88, 151), ("RN50-quickgelu", 38, 102), ("ViT-L-14", 304, 428)):
        info, tower = described(f"open_clip/{name}"), text_tower(f"open_clip/{name}")
        assert info is not None
        assert tower is not None
        assert round(info.parameters / 1e6) == image
        assert round((info.parameters + tower.parameters) / 1e6) == whole
        assert sum(stage.parameters for stage in info.stages) == info.parameters
