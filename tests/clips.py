"""A CLIP network small enough for tests: open_clip's own code for a small configuration, weights seeded and random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from jobs.models import clip_catalogue
from jobs.models.clip import whole_clip
from tlbatch.backbones import catalogue, clip

TINY = "open_clip/tiny"
SIZE, DIM = 32, 24
CONFIG: dict[str, Any] = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": SIZE, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PUBLISHED = [["web", "tests/tiny/open_clip_model.safetensors", "", "LAION-2B, captioned web images", 0]]


def add_tiny(folder: Path, patch: pytest.MonkeyPatch, **text: Any) -> None:
    """Make ``open_clip/tiny`` known to open_clip and to the catalogue. ``text``: what of its text tower is otherwise."""
    path = folder / "tiny.json"
    path.write_text(json.dumps({**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text}}))
    open_clip.add_model_config(path)

    def weights(_model: str, _quick: bool, size: int, inputs: clip_catalogue.Inputs) -> list[list[Any]]:
        settings = {"mean": open_clip.constants.OPENAI_DATASET_MEAN, "std": open_clip.constants.OPENAI_DATASET_STD}
        config = {"resize_mode": "shortest", "interpolation": "bicubic", **settings}
        return [[*row[:4], inputs.number(clip_catalogue._input(config, size))] for row in PUBLISHED]

    patch.setattr(clip_catalogue, "clip_weights", weights)
    document = json.loads(clip_catalogue.build(["tiny"]))
    patch.setattr(clip, "_document", lambda: document)
    forget()


def forget() -> None:
    """What was read of the catalogue before."""
    clip.clip_backbone.cache_clear()
    catalogue.known_names.cache_clear()


def save_tiny(path: Path, seed: int = 3, *, only: str = "") -> Path:
    """Its weights as a safetensors file. ``only``: of names that begin so."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = whole_clip("tiny").state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items() if name.startswith(only)}, path)
    return path


def save_full(model: str, path: Path, seed: int = 3) -> Path:
    """The weights of one of open_clip's own architectures (``ViT-B-32``: 600 MB), seeded and random, as a safetensors file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = open_clip.create_model(model, pretrained=None).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path
