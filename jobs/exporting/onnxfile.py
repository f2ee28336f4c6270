"""ONNX: written by torch's exporter, stripped of what tells of this machine, and run by onnxruntime."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.exporting.needs import missing
from jobs.exporting.whole import BATCH, Whole
from jobs.telemetry import load_onnxruntime
from tlbatch.errors import DataError

OPSET = 18
INPUT = "pixels"
PIECES = (1, 7)
"""Sizes of the first batches that are run: the batch axis is dynamic, and this shows it."""


def write_onnx(whole: Whole, item: Tensor, path: Path, description: Mapping[str, Any]) -> None:
    """The model as one file; ``item`` [1, …] is like what it takes.

    Its metadata have ``classes`` and ``input`` as JSON and the fields of ``description``.

    Raises StudyError where a package is missing, DataError for networks that the exporter cannot follow.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing(error) from error
    example = torch.zeros((2, *item.shape[1:]), dtype=item.dtype)
    try:
        with _quiet():
            program = torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("images")},),
                input_names=[INPUT],
                output_names=whole.outputs,
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("torch", "builtins"):
            raise
        first = (str(error).splitlines() or [""])[0]
        raise DataError(f"torch's ONNX exporter does not follow this network ({first}); pull it as safetensors") from error
    assert program is not None
    model = program.model_proto
    _strip(model)
    model.producer_name = "tlbatch"
    onnx.helper.set_model_props(model, {name: _text(value) for name, value in sorted(description.items())})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


@contextlib.contextmanager
def _quiet() -> Any:
    """The exporter's advice to its developers is nothing for users."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _strip(model: Any) -> None:
    """Without stack traces, paths of source files and version numbers: equal networks give equal bytes."""
    model.producer_version = ""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        graph.doc_string = ""
        for part in (*graph.node, *graph.value_info, *getattr(graph, "input", ()), *getattr(graph, "output", ())):
            if hasattr(part, "metadata_props"):
                del part.metadata_props[:]
            if hasattr(part, "doc_string"):
                part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    del model.metadata_props[:]


def run_onnx(path: Path, pixels: Tensor) -> Tensor:
    """[n, classes] of uint8 [n, c, size, size] by onnxruntime on the CPU, in batches of several sizes."""
    try:
        onnxruntime = load_onnxruntime()
    except ModuleNotFoundError as error:
        raise missing(error) from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pieces, start = [], 0
    for size in (*PIECES, *[BATCH] * (len(pixels) // BATCH + 1)):
        batch = pixels[start : start + size]
        if len(batch):
            pieces.append(session.run(["probabilities"], {INPUT: batch.numpy()})[0])
        start += size
    return torch.from_numpy(np.concatenate(pieces))
