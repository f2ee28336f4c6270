"""The export itself, from top to bottom: networks loaded, written, compared with what was evaluated, described."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from jobs.context import Context
from jobs.exporting.agreement import Agreement, Evaluated, load_evaluated
from jobs.exporting.card import Exported, write_card
from jobs.exporting.whole import Whole
from jobs.kinds import feed_of
from jobs.models.network import Network
from jobs.models.trained import load_trained
from jobs.training.outputs import unshared
from tlbatch import nouns
from tlbatch.champions.exporting import Request
from tlbatch.errors import DataError
from tlbatch.kinds import speak_of
from tlbatch.store import open_store
from tlbatch.tasks import Task

SAFETENSORS_NAME = "model.safetensors"
ONNX_NAME = "model.onnx"


def export(request: Request, out: Path, scratch: Path) -> None:
    """Raises DataError where what was exported says something else than what was evaluated, StudyError where files are gone."""
    locations = {"weights": request.weights} if request.weights else {}
    context = Context(open_store(request.store), Task("evaluate", {}, request.inputs, locations), "export", scratch)
    artifacts = [context.input(role) for role in sorted(context.roles("model:"), key=_fold)]
    networks = [load_trained(context, artifact).eval() for artifact in artifacts]
    card = artifacts[0].read_json("card.json")
    speak_of(card["input"].get("kind"))
    evaluated = load_evaluated(context, request, card)
    whole = Whole(networks, card["input"], evaluated.temperature)
    names = _write_networks(networks, out)
    checks = {"safetensors": _checked(evaluated, whole.probabilities(evaluated.items), request.tolerance)}
    if "onnx" in request.formats:
        from jobs.exporting.onnxfile import run_onnx, write_onnx

        champion = {name: str(request.champion[name]) for name in ("name", "serial", "study", "run", "seed")}
        described = {**champion, "classes": card["classes"], "input": feed_of(card["input"]).usage(card["input"]).input}
        write_onnx(whole, evaluated.items[:1], out / ONNX_NAME, described)
        checks["onnx"] = _checked(evaluated, run_onnx(out / ONNX_NAME, evaluated.items), request.tolerance)
        names.append(ONNX_NAME)
    write_card(out, Exported(request, card, whole, names, evaluated, checks))


def _fold(role: str) -> list[int]:
    return [int(part) for part in role.split(":")[1:]]


def _write_networks(networks: Sequence[Network], out: Path) -> list[str]:
    """One file a network, with the tensors' names as in a finetune artifact whose whole network was trained."""
    names = [SAFETENSORS_NAME] if len(networks) == 1 else [f"model-fold{i}.safetensors" for i in range(len(networks))]
    for name, network in zip(names, networks, strict=True):
        state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
        save_file(unshared(state), out / name, metadata={"format": "pt"})
    return names


def _checked(evaluated: Evaluated, said: torch.Tensor, tolerance: float | None) -> Agreement:
    """How far the probabilities are from the evaluated ones. Raises DataError past the tolerance."""
    agreement = evaluated.compare(said, tolerance)
    if agreement.difference > agreement.tolerance:
        raise DataError(
            f"the exported model's probabilities differ by up to {agreement.difference:.2g} from the evaluated ones on "
            f"{agreement.images} test {nouns.items()}, more than the tolerance of {agreement.tolerance:g} "
            f"({agreement.why}): nothing "
            "was written; evaluate it again on this kind of machine, or allow more with --tolerance"
        )
    return agreement
