"""What attempts and shards of a task leave for each other: done once, it is not done again."""

from __future__ import annotations

from pathlib import Path

from jobs.context import Context
from tlbatch.store.artifacts import file_sha256


class StoredParts:
    """Files in ``work/<key>/checkpoints/<folder>/``, each named by a mark and its content's hash: saved twice, it is one.

    They go with the task's other checkpoints when it commits.
    """

    def __init__(self, context: Context, folder: str, suffix: str) -> None:
        self._context, self._suffix = context, suffix
        self.prefix = f"work/{context.task.key}/checkpoints/{folder}/"

    def names(self) -> list[str]:
        """Of all that are there now, sorted."""
        return [stat.name for stat in self._context.store.list(self.prefix)]

    def save(self, path: Path, mark: str = "") -> str:
        """Store a local file; returns its name. ``mark``: what its name begins with, and ends in ``-`` unless it is empty."""
        name = f"{self.prefix}{mark}{file_sha256(path)}{self._suffix}"
        self._context.store.upload(path, name)
        return name

    def fetch(self, name: str) -> Path:
        """A copy of our own, checked. Raises NotFoundError, and ValueError where it is not what was written."""
        target = self._context.scratch / "parts" / name.rpartition("/")[2]
        target.parent.mkdir(exist_ok=True)
        self._context.store.download(name, target)
        if file_sha256(target) != target.stem.rpartition("-")[2]:
            target.unlink()
            raise ValueError(f"{name} is damaged")
        return target
