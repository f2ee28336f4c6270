"""What runs a network on a CPU: OpenVINO, which computes what torch does, in about half the time.

Measured a core, images of 224 pixels in batches of 8, BatchNorms folded (docs/speed.md): MobileNetV2 in float32 129 images a
second against torch's 71, in bfloat16 288 against 128. The choice is a rule, never a measurement: a network whose modules are
torch's, torchvision's, timm's, open_clip's or tlbatch's own is compiled; another's stays with torch, for it may branch on what
it is fed, and a compiled network cannot. So do items of fewer than ``SMALL`` values, which torch is done with before the
network were compiled. Neither depends on how many items there are or who computes them: an item's row is always the same.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.extraction.rounding import round_convolutions
from jobs.kinds.feed import Normalise
from jobs.randomness import generator
from jobs.telemetry import load_openvino

FOLLOWED = frozenset({"torch", "torchvision", "timm", "open_clip", "jobs"})
"""Packages whose networks, and what prepares their items, compute the same whatever they are fed."""
SMALL = 3 * 96 * 96
"""Values of an item. Compiling takes the time in which torch feeds a network a few hundred photographs of 224 pixels, and
some ten thousand pictures of 32."""
TOLERANCE = 1e-3
"""Of the largest value: how far the compiled network may be from torch's on noise, both in float32; else it is another one."""
TRACED = 2
"""Items that a network is followed on and held against torch: one might be no batch to it, and each costs a pass or more."""
AT_ONCE, AT_ONCE_SHORT, AT_ONCE_DENSE = 2, 4, 8
"""Items of a pass. What layers hand on of two items stays in the caches where that of eight does not (MobileNetV2 at 224
pixels: a fifth less time); so does that of four on CPUs that compute in bfloat16, whose values take half the room (a tenth
less than of eight; MobileNetV3 as much less than of two). Weights of dense layers are read once a pass, and more items share
them. Rows have the same bits either way."""
CAPABILITIES = "OPTIMIZATION_CAPABILITIES"
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


class CompiledNetwork:
    """A network compiled for passes of one shape and type: items [n, …] to float32 [n, d]. Safe to call from several threads.

    Every call is computed by a single thread, so that bits do not depend on how many there are. ``model``: OpenVINO's, of that
    shape, whose constants lie in the memory of ``network``. ``name``: engine and version. ``size``: n, items of a pass.
    """

    def __init__(self, network: nn.Module, model: Any, precision: str, threads: int) -> None:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "ENABLE_CPU_PINNING": False,
        }
        self.name = f"openvino {version('openvino')}"
        self._network, self._tensor = network, load_openvino().Tensor
        self._compiled = _core(os.getpid()).compile_model(model, "CPU", settings)
        self.size = int(self._compiled.input(0).shape[0])
        self._own = threading.local()

    def __call__(self, items: Tensor) -> NDArray[np.float32]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        fed = items.contiguous()  # named: OpenVINO does not keep what it reads
        self._own.request.set_input_tensor(self._tensor(fed.numpy(), shared_memory=True))
        self._own.request.infer()
        return np.array(self._own.request.get_output_tensor().data, np.float32)


def compiled(
    network: nn.Module, shape: tuple[int, ...], precision: str, threads: int, normalise: Normalise | None = None
) -> CompiledNetwork | None:
    """``network`` (float32, eval mode, on the CPU) for items of ``shape[1:]``; None where torch has to, which the log says.

    ``shape[0]``: the most items of a pass. ``normalise``: what makes the float32 that the network is fed of uint8 items, if
    it is to be computed with it, which ``can_follow`` says; else items are float32 as they are.

    ``precision`` bf16: weights of convolutions are rounded in place as ``rounding`` says, and CPUs that have no bfloat16
    compute with them in float32.
    """
    if _fed_values(shape, normalise) < SMALL or not any(True for _ in network.parameters()):  # a computation is no network
        return None
    try:
        if reason := _left_to_torch(network):
            raise OtherwiseError(reason)
        if precision == "bf16":
            round_convolutions(network)
        return _followed(network, normalise, (min(_at_once(network, precision), shape[0]), *shape[1:]), precision, threads)
    except OtherwiseError as error:
        print(f"forward passes are torch's, which takes about twice as long: {error}", flush=True)
        return None


def _followed(
    network: nn.Module, normalise: Normalise | None, shape: tuple[int, ...], precision: str, threads: int
) -> CompiledNetwork:
    """Compiled as it is followed on few items or, where that cannot be, on all of a pass. Raises OtherwiseError."""
    said = ""
    for traced in sorted({min(TRACED, shape[0]), shape[0]}):
        try:
            return _compile(network, normalise, shape, traced, precision, threads)
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    raise OtherwiseError(f"OpenVINO does not follow it ({said})")


def can_follow(normalise: Normalise) -> bool:
    """Whether a trace of it holds for all items: whether it is tlbatch's own and no plug-in's."""
    return str(getattr(normalise, "__module__", "")).partition(".")[0] in FOLLOWED


class OtherwiseError(Exception):
    """There is no compiled network that is the one that torch has: torch has to compute."""


def _fed_values(shape: tuple[int, ...], normalise: Normalise | None) -> int:
    """Values of what the network is fed of an item."""
    if normalise is None:
        return math.prod(shape[1:])
    return normalise(torch.zeros((1, *shape[1:]), dtype=torch.uint8)).numel()


def _at_once(network: nn.Module, precision: str) -> int:
    """Items of a pass, by where the network has most of its weights, and how large the values are that layers hand on."""
    dense = sum(part.weight.numel() for part in network.modules() if isinstance(part, nn.Linear))
    if 2 * dense > sum(weights.numel() for weights in network.parameters()):
        return AT_ONCE_DENSE
    return AT_ONCE_SHORT if precision == "bf16" and _computes_bfloat16() else AT_ONCE


@cache
def _core(process: int) -> Any:
    """OpenVINO's, its CPU plug-in loaded, for as long as the process lives. What is forked from it has its own.

    The plug-in gives the thread that loads it a stack of the plug-in's for signals, and whichever thread lets go of the last
    that holds the plug-in unmaps that stack: the next signal that the first thread handles, a child's end or being asked to
    stop, ends the process (139). So the thread that loads it is one that ends.
    """
    core = load_openvino().Core()
    with ThreadPoolExecutor(1) as loading:
        loading.submit(core.get_property, "CPU", CAPABILITIES).result()
    return core


def _computes_bfloat16() -> bool:
    """Whether OpenVINO does here; else it computes such networks in float32."""
    return "BF16" in _core(os.getpid()).get_property("CPU", CAPABILITIES)


def _compile(
    network: nn.Module, normalise: Normalise | None, shape: tuple[int, ...], traced: int, precision: str, threads: int
) -> CompiledNetwork:
    """Held against torch in float32 on ``traced`` items, then laid out for passes of ``shape`` where that is another network.

    Raises OtherwiseError where the two differ, or where an item's row depends on its place in the pass; ValueError or
    RuntimeError where OpenVINO cannot follow the network, or not from so few items.
    """
    example, noise = (_noise((traced, *shape[1:]), normalise, number) for number in range(2))
    with torch.inference_mode():
        expected = network(normalise(noise) if normalise else noise).numpy()
    model = _converted(network, example, normalise)
    fast = CompiledNetwork(network, model, "fp32", threads)
    if not _agree(expected, fast(noise)):
        raise OtherwiseError("it puts out something else when OpenVINO runs it")
    if (traced, precision) != (shape[0], "fp32"):
        model.reshape(list(shape))
        fast = CompiledNetwork(network, model, precision, threads)
    items = [place % traced for place in range(shape[0])]
    turned = items[1:] + items[:1]
    rows, again = fast(noise[items]), fast(noise[turned])
    if rows.shape != (shape[0], *expected.shape[1:]):
        raise ValueError(f"{traced} items were followed, {shape[0]} are asked for")
    if not (np.array_equal(rows, rows[items]) and np.array_equal(again, rows[turned])):
        raise OtherwiseError("what it makes of an item depends on its place in the batch when OpenVINO runs it")
    return fast


def _noise(shape: tuple[int, ...], normalise: Normalise | None, number: int) -> Tensor:
    chance = generator("engine", number)
    return torch.randint(256, shape, generator=chance, dtype=torch.uint8) if normalise else torch.randn(shape, generator=chance)


def _left_to_torch(network: nn.Module) -> str:
    """Why the rule gives this network to torch; "" where it does not."""
    packages = {type(module).__module__.partition(".")[0] for module in network.modules()}
    if others := sorted(packages - FOLLOWED):
        return f"modules of {', '.join(others)} may branch on what they are fed"
    try:
        load_openvino()
    except Exception as error:  # noqa: BLE001 - a library that does not load here may say so by anything
        return f"there is no openvino that runs here (pip install 'tlbatch[train]'): {error}"
    return ""


def _converted(network: nn.Module, example: Tensor, normalise: Normalise | None = None) -> Any:
    """OpenVINO's model of the network, with what it is fed by, for batches of the example's size and type.

    Raises OtherwiseError where it is a constant.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), _without_gradients(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is fixed in a trace: the shape is meant to be, the rest is compared below
        # A function: of a module's every part torch would make a script module first, which takes twice as long again.
        follow = (lambda x: network(normalise(x))) if normalise else (lambda x: network(x))
        traced = torch.jit.trace(follow, (example,), check_trace=False)  # type: ignore[no-untyped-call]
        # Strides and paddings are in it once a layer, two nodes of three, and OpenVINO takes up each by Python: half the time.
        torch._C._jit_pass_constant_pooling(traced.graph)  # type: ignore[attr-defined]
    decoder = TorchScriptPythonDecoder(traced)  # kept here: OpenVINO holds no reference to it
    frontend = FrontEndManager().load_by_framework("pytorch")
    loaded = frontend.load(decoder)
    model = frontend.convert(loaded)
    if not model.inputs:
        raise OtherwiseError("what it puts out does not follow from what it is fed when OpenVINO runs it")
    model.reshape(list(example.shape))
    return model


@contextmanager
def _without_gradients(network: nn.Module) -> Iterator[None]:
    """A trace takes no weights as constants that are to learn."""
    learning = [weights for weights in network.parameters() if weights.requires_grad]
    for weights in learning:
        weights.requires_grad_(False)
    try:
        yield
    finally:
        for weights in learning:
            weights.requires_grad_(True)


def _agree(expected: NDArray[np.float32], found: NDArray[np.float32]) -> bool:
    return expected.shape == found.shape and bool(np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max())
