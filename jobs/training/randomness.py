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
    """Seed torch's own generators (every device): dropout and drop path take no other."""
    torch.manual_seed(seed_of(*parts))
