"""A trained network from its finetune artifact, for evaluating and predicting."""

from __future__ import annotations

from jobs.context import Context
from jobs.models.building import build_network
from jobs.models.fitted_heads import make_room
from jobs.models.network import Network
from jobs.models.pretrained import BODY, Pretrained, load_pretrained, load_source
from jobs.models.reading import State, fit_state, read_state
from tlbatch.plugins import check_used
from tlbatch.store.artifacts import Artifact


def load_trained(context: Context, artifact: Artifact) -> Network:
    """The network of a finetune artifact in eval mode, built from its card: model, input, classes.

    Where only a head was trained, its backbone's weights are found as ``load_pretrained`` does, so the task needs the
    same ``source`` input and weights location as the training had. Raises StudyError where a plug-in is not as it was then.
    """
    card = artifact.read_json("card.json")
    check_used(card.get("plugins") or {})
    state = read_state(artifact.path("model.safetensors"))
    pretrained = _pretrained(context, artifact, card["model"], any(name.startswith(BODY) for name in state))
    network = build_network(card["model"], card["input"], len(card["classes"]), pretrained, seed=0, init="torch")
    if card["model"].get("scratch") is not None:
        _fit(network, state)
    else:
        of_head = {name.removeprefix("head."): t for name, t in state.items() if name.startswith("head.")}
        make_room(network.head, of_head)
        _fit(network.head, of_head)
    return network.eval()


def _pretrained(context: Context, artifact: Artifact, model: dict[str, object], whole: bool) -> Pretrained | None:
    backbone = model.get("backbone")
    if not isinstance(backbone, dict):
        return None
    return load_source(context, artifact) if whole else load_pretrained(context, backbone)


def _fit(part: object, state: State) -> None:
    from torch import nn

    assert isinstance(part, nn.Module)
    fit_state(part, state, known=(), what="the trained weights", of="the network of their card")
