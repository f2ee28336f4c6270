"""Random numbers that depend on where training is, never on how it got there.

Every draw comes from a generator seeded by (seed, purpose, epoch or step). So there is no generator state to save: a training
that was stopped anywhere goes on with the very numbers it would have had.
"""

from __future__ import annotations

import hashlib

import torch


def seed_of(*parts: int | str | None) -> int:
    """A 63-bit seed from sha256 over the parts."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: int | str | None) -> torch.Generator:
    """A fresh CPU generator for one purpose."""
    return torch.Generator().manual_seed(seed_of(*parts))


def seed_layers(*parts: int | str | None) -> None:
    """Seed torch's own generators (CPU and GPUs): dropout and drop path take no other.

    Not by torch.manual_seed: without a GPU that keeps every seed, with a traceback, for when one is found.
    """
    seed = seed_of(*parts)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
