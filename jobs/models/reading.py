"""Weight files: read without running code, converted to the library's names, fitted into a network."""

from __future__ import annotations

import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jobs.finite import finite
from jobs.models.clip import image_part
from jobs.models.families import LITE_REPEATS, TENSORFLOW
from tlbatch.backbones.clip import PREFIX
from tlbatch.errors import StudyError

State = dict[str, Tensor]
PREFIXES = ("", "module.", "model.", "backbone.body.", "backbone.", "encoder.", "network.")
NESTED = ("state_dict", "model", "model_state_dict", "net")
SHOWN = 3


def read_state(path: Path) -> State:
    """The tensors of a safetensors or state-dict file. Raises StudyError for what is neither; never runs pickled code."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if start[8:9] == b"{" and not start.startswith(b"PK"):
            from safetensors.torch import load_file

            return dict(load_file(path))
        if start.startswith(b"PK") and _is_script(path):
            raise StudyError(
                f"weights {path}: a TorchScript archive, which holds code and is not opened; take its safetensors file "
                "(`tlbatch backbones NAME` says where published ones are), or save its state_dict() from where you trust it"
            )
        return _tensors(torch.load(path, map_location="cpu", weights_only=True), path)
    except FileNotFoundError:
        raise StudyError(f"weights {path}: no such file") from None
    except pickle.UnpicklingError as error:
        raise StudyError(
            f"weights {path}: holds more than tensors (it is not opened, as that could run its code); save the network's "
            "state_dict() alone, best as safetensors"
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise StudyError(f"weights {path}: neither a safetensors file nor a state dict ({_first_line(error)})") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise StudyError(f"weights {path}: a damaged safetensors file ({_first_line(error)})") from error


def _is_script(path: Path) -> bool:
    """Whether a zip archive is a TorchScript program: these have constants and code beside their tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _tensors(loaded: Any, path: Path) -> State:
    for name in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise StudyError(f"weights {path}: not a state dict (names to tensors)")
    return {str(name): tensor for name, tensor in loaded.items()}


def convert_lite(state: State, repeats: Sequence[int]) -> State:
    """An EfficientNet-Lite as TensorFlow's port to PyTorch names it, in timm's names. Other states stay as they are.

    ``repeats``: blocks in each of its seven stages.
    """
    if "_conv_stem.weight" not in state:
        return state
    places = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    other = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    other |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    converted = {}
    for name, tensor in state.items():
        part, *rest = name.split(".")
        if part == "_blocks":
            stage, block = places[int(rest[0])]
            names = first if stage == 0 else other  # the first stage expands nothing
            converted[".".join(["blocks", str(stage), str(block), names[rest[1]], *rest[2:]])] = tensor
        else:
            converted[".".join([outer[part], *rest])] = tensor
    return converted


def convert_densenet(state: State) -> State:
    """Torchvision's DenseNets as they were published (norm.1 for norm1). Other states stay as they are."""
    inner = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..+)$")
    return {inner.sub(r"\1\2", name): tensor for name, tensor in state.items()}


CONVERSIONS: dict[str, Callable[[State], State]] = {
    **{
        name: partial(convert_lite, repeats=repeats)
        for ours, repeats in LITE_REPEATS.items()
        for name in (ours, f"{TENSORFLOW}{ours}")  # timm's own name leads to the same network
    },
    **dict.fromkeys(("densenet121", "densenet161", "densenet169", "densenet201"), convert_densenet),
}
"""By backbone: from the names of a published file to the library's."""


def convert(name: str, network: nn.Module, state: State) -> State:
    """A published state in the names that ``network`` (timm's networks know how themselves) has now."""
    if name in CONVERSIONS:
        return CONVERSIONS[name](state)
    if name.startswith(PREFIX):
        return image_part(state)
    own = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if own is None or not type(network).__module__.startswith("timm."):
        return state
    converted: State = own(state, network)
    return converted


def fit_state(network: nn.Module, state: State, *, known: Iterable[str], what: str, of: str) -> None:
    """Load ``state`` into ``network`` (maybe empty, on the meta device), which must be covered whole.

    ``known``: names that the state may hold besides (what was cut off). Raises StudyError that names a few of the keys
    that do not fit; ``what`` are the weights, ``of`` is the backbone, in words.
    """
    expected, known = network.state_dict(), set(known)
    state = _without_prefix(state, known | set(expected))
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [name for name in expected if name not in state and name not in optional]
    foreign = [name for name in state if name not in expected and name not in known]
    shapes = [
        f"{name} is {list(state[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if missing or foreign or shapes:
        raise StudyError(_misfit(missing, foreign, shapes, len(expected), what, of))
    for name in expected:
        if name in state and state[name].is_floating_point():
            finite(state[name], f"values of {name}", f"{what} are damaged, or come from a training that diverged", StudyError)
    zero = torch.zeros((), dtype=torch.long)
    for name, tensor in list(expected.items()):
        expected[name] = _like(state.get(name, zero), tensor)
    network.load_state_dict(expected, assign=True)  # the dictionary that torch made: it also holds the layout's version


def _like(tensor: Tensor, expected: Tensor) -> Tensor:
    """Floats as float32, in memory of their own."""
    return tensor.detach().to(expected.dtype).clone(memory_format=torch.contiguous_format)


def _without_prefix(state: State, names: set[str]) -> State:
    """Drop the prefix that a wrapper left on every name, if that makes more of them known; a head beside stays out."""
    best, most = "", -1
    for prefix in PREFIXES:
        fitting = sum(name.startswith(prefix) and name.removeprefix(prefix) in names for name in state)
        if fitting > most:
            best, most = prefix, fitting
    if not best:
        return state
    inside = {name.removeprefix(best): tensor for name, tensor in state.items() if name.startswith(best)}
    beside = {name: tensor for name, tensor in state.items() if not name.startswith((best, "head."))}
    return inside | beside


def _misfit(missing: list[str], foreign: list[str], shapes: list[str], expected: int, what: str, of: str) -> str:
    parts = []
    if missing:
        parts.append(f"{_some(missing)} {'is' if len(missing) == 1 else 'are'} missing ({len(missing)} of {expected} expected)")
    if foreign:
        parts.append(f"{_some(foreign)} {'is' if len(foreign) == 1 else 'are'} no part of it")
    if shapes:
        parts.append(_some(shapes, "; "))
    return f"{what} do not fit {of}: {'; '.join(parts)}"


def _some(names: list[str], between: str = ", ") -> str:
    more = f"{between}…" if len(names) > SHOWN else ""
    return between.join(names[:SHOWN]) + more
