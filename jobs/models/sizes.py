"""``python -m jobs.models.sizes`` writes tlbatch/backbones/sizes.json: which input sizes networks take, found by trying.

Tried are the families where it matters most: torchvision's by name; of timm's those that say that their size is fixed, by one
network of each module: where it refuses every other size, all of the module that say so are taken to. Nothing is computed: the
networks are on the meta device. Of networks that are not listed nothing is known; the step says what does not fit.
"""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tlbatch
from jobs.models.families import FAMILIES
from jobs.models.library import find, timm_names, torchvision_names
from jobs.models.truncate import Tap, walk
from tlbatch import output

SIZES = Path(tlbatch.__file__).parent / "backbones" / "sizes.json"
OTHER_SIZES = (96, 150, 192, 256, 299)
TORCHVISION = ("vit_", "convnext_", "googlenet")
TIMM = {
    "timm.models.vision_transformer": "vit_tiny_patch16_224",
    "timm.models.deit": "deit_tiny_distilled_patch16_224",
    "timm.models.swin_transformer": "swin_tiny_patch4_window7_224",
    "timm.models.swin_transformer_v2": "swinv2_tiny_window8_256",
    "timm.models.beit": "beit_base_patch16_224",
    "timm.models.eva": "eva02_tiny_patch14_224",
    "timm.models.maxxvit": "maxvit_tiny_tf_224",
    "timm.models.cait": "cait_xxs24_224",
}
"""Modules, and the network of each that is tried."""


def takes(network: nn.Module, size: int) -> bool:
    """Whether a forward pass of a square image of ``size`` pixels goes through."""
    try:
        walk(network, Tap(""), (1, 3, size, size))
    except (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError, TypeError):
        return False
    return True


def size_rule(network: nn.Module, own: int) -> list[int] | None:
    """[least, most]: which sizes the network takes, most being 0 for no limit; None where it takes every one from 8 on."""
    if not takes(network, own):
        return None
    if not any(takes(network, size) for size in OTHER_SIZES if size != own):
        return [own, own]
    refused, taken = 7, own
    if takes(network, 8):
        return None
    while taken - refused > 1:
        middle = (refused + taken) // 2
        refused, taken = (refused, middle) if takes(network, middle) else (middle, taken)
    return [taken, 0]


def torchvision_sizes() -> Iterator[tuple[str, list[int]]]:
    """Of those of torchvision's networks that are tried."""
    for name in sorted(name for name in torchvision_names() - set(FAMILIES) if name.startswith(TORCHVISION)):
        network = find(name).create_empty().eval()
        fixed = getattr(network, "image_size", None)
        rule = size_rule(network, fixed if isinstance(fixed, int) else 224)
        if rule:
            yield name, rule


def timm_sizes() -> Iterator[tuple[str, list[int]]]:
    """Of timm's networks whose size is fixed."""
    from timm.models import get_pretrained_cfg, model_entrypoint

    modules: dict[str, dict[str, int]] = defaultdict(dict)
    taken = torchvision_names() | set(FAMILIES)
    for name in sorted(timm_names()):
        config: Any = get_pretrained_cfg(name)
        entry = model_entrypoint(name)
        adapts = "dynamic_img_size" in inspect.getsource(entry)
        if config is not None and config.fixed_input_size and not adapts:
            modules[entry.__module__][name] = int(config.input_size[-1])
    for module, tried in TIMM.items():
        members = modules[module]
        if size_rule(find(f"timm/{tried}").create_empty(), members[tried]) == [members[tried]] * 2:
            yield from ((f"timm/{name}" if name in taken else name, [own, own]) for name, own in members.items())


def build(tell: Callable[[str], None] = lambda line: None) -> str:
    """The file's text: a line a network that does not take every size."""
    found: dict[str, list[int]] = {}
    for each in (timm_sizes, torchvision_sizes):
        for name, rule in each():
            tell(f"{name}: {rule}")
            found[name] = rule
    versions = {name: metadata.version(name) for name in ("torchvision", "timm")}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(rule)}" for name, rule in sorted(found.items()))
    return f'{{"libraries": {json.dumps(versions)},\n"sizes": {{\n{lines}}}}}\n'


if __name__ == "__main__":
    output.install()
    torch.set_num_threads(1)
    SIZES.write_text(build(print), encoding="utf-8")
