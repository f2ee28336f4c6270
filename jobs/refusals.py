"""What torch refuses at run time, by where it was raised: sizes it cannot compute with, memory it does not get."""

from __future__ import annotations

import traceback

from tlbatch.errors import NO_ROOM
from tlbatch.steps import STEPS, more_memory

LAYERS = ("/torch/nn/", "/torchvision/models/", "/torchvision/ops/", "/timm/")
"""Code of a network's layers: what is raised there, in a forward pass, is about the sizes that the study asks for."""


def refused(error: BaseException, step: str) -> tuple[int, str] | None:
    """Exit code and sentence, torch's own words in it; None for what is none of its refusals (then it is a bug)."""
    kind, said = type(error).__name__, (str(error).splitlines() or [type(error).__name__])[0][:300]
    if kind in ("OutOfMemoryError", "AcceleratorError") and "memory" in str(error):
        return 75, f"the GPU's memory is taken ({said}); free it" + (
            " or lower train.micro_batch_size" if STEPS[step].saves else ""
        )
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return 75, f"no space left on this machine ({error}): make room, or raise resources.scratch"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)):
        return 137, f"out of memory ({said}): {more_memory(step)}"
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, (RuntimeError, ValueError, AssertionError)) and any(
        _in_layers(frame.filename) for frame in frames[-2:]
    ):
        return 2, (
            f"the network cannot compute with what the study asks for ({kind}: {said}): fix input.size or train.batch_size; "
            "--debug shows where"
        )
    return None


def _in_layers(file: str) -> bool:
    return any(part in file.replace("\\", "/") for part in LAYERS)
