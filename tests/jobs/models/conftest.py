"""Contexts and finetune artifacts for the tests of jobs.models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from jobs.context import Context
from jobs.models.network import Network
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, Manifest, artifact_files, commit, open_artifact
from tlbatch.tasks import InputRef, Task, task_name

torch.set_num_threads(1)

MakeContext = Callable[..., Context]


@pytest.fixture
def make_context(directory_store: Store, tmp_path: Path) -> MakeContext:
    """``make_context(source=ref, weights=location)`` -> a context of a finetune task in the directory store."""

    def make(source: InputRef | None = None, weights: str | None = None, **params: Any) -> Context:
        inputs = {"source": source} if source else {}
        task = Task("finetune", params, inputs, {"weights": weights} if weights else {})
        return Context(directory_store, task, "a1", tmp_path / "scratch")

    return make


PutTrained = Callable[..., InputRef]


@pytest.fixture
def put_trained(directory_store: Store, tmp_path: Path) -> PutTrained:
    """``put_trained(network, model, input, head_only=…, source=ref)`` commits a finetune artifact as the step leaves it."""

    def put(
        network: Network,
        asked: dict[str, Any],
        given: dict[str, Any],
        *,
        head_only: bool = False,
        source: InputRef | None = None,
    ) -> InputRef:
        params = {"model": asked, "input": given, "head_only": head_only}
        task = Task("finetune", params, {"source": source} if source else {})
        directory_store.put(task_name(task.key), task.to_json())
        folder = tmp_path / f"made-{task.key[:8]}"
        folder.mkdir()
        state = {n: t.contiguous() for n, t in network.state_dict().items() if n.startswith("head.") or not head_only}
        save_file(state, folder / "model.safetensors")
        classes = [f"class{i}" for i in range(network.head[-1].out_features)]  # type: ignore[index]
        card = {"model": asked, "input": given, "classes": classes, "trained_on": ""}
        (folder / "card.json").write_text(json.dumps(card))
        files = {path.name: path for path in folder.iterdir()}
        entries = artifact_files(files, "finetune", task.key, "a1")
        for name, path in files.items():
            directory_store.upload(path, entries[name].path)
        manifest = commit(directory_store, Manifest("finetune", task.key, entries), "a1")
        return InputRef("finetune", task.key, manifest.digest)

    return put


@pytest.fixture
def open_trained(directory_store: Store, tmp_path: Path) -> Callable[[InputRef], Artifact]:
    def open_it(ref: InputRef) -> Artifact:
        artifact = open_artifact(directory_store, ref.step, ref.key, tmp_path / "cache")
        assert artifact is not None
        return artifact

    return open_it
