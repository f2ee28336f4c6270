"""CLIP networks by open_clip: image towers as backbones, and whole networks, whose texts name classes (Radford et al. 2021).

Weights are read by jobs.models.reading alone: open_clip's own loader may fetch files, and open ones that hold code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from jobs.models.infer_stages import derive_division
from jobs.models.stages import PRE_LOGITS, Division, Layer, Stage
from tlbatch.errors import StudyError

VISUAL = "visual."
TEXT_PARTS = ("text_projection", "positional_embedding", "token_embedding", "transformer", "ln_final")
"""What of a text tower lies beside the image tower in files that were made before text towers had a name of their own."""
NO_WEIGHTS = frozenset({"input_resolution", "context_length", "vocab_size", "text.transformer.embeddings.position_ids"})
"""Names in published files of what is no weight."""
State = dict[str, Tensor]


def clip_config(model: str) -> dict[str, Any]:
    """open_clip's description of a network. Raises StudyError for a name that its installed version does not have."""
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(model)
    if config is None:
        raise StudyError(f"this version of open_clip ({open_clip.__version__}) has no network {model!r}: take another backbone")
    return config


def image_tower(model: str) -> nn.Module:
    """Pictures [n, 3, size, size] to embeddings [n, d]; first values by torch's generator."""
    from open_clip.model import _build_vision_tower

    config = clip_config(model)
    tower: nn.Module = _build_vision_tower(config["embed_dim"], config["vision_cfg"], config.get("quick_gelu", False))
    return tower


def whole_clip(model: str) -> nn.Module:
    """Both towers and the scale of their cosines (``encode_image``, ``encode_text``, ``logit_scale``, ``logit_bias``)."""
    from open_clip import CLIP, CustomTextCLIP

    config = clip_config(model)
    kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    network: nn.Module = kind(**config)
    return network.eval()


# -- stages -------------------------------------------------------------------------------------------------------------


def divide_tower(tower: nn.Module, size: int) -> Division:
    """Stages and layers of an image tower; the last layer is the embedding. ``tower`` may be on the meta device."""
    from open_clip.transformer import VisionTransformer

    if not isinstance(tower, VisionTransformer):
        return derive_division(tower, 3, size)[0]
    blocks = [Stage(f"block{i}", (f"transformer.resblocks.{i - 1}",)) for i in range(1, len(tower.transformer.resblocks) + 1)]
    stem = Stage("stem", _there(tower, ("class_embedding", "positional_embedding", "conv1", "patch_dropout", "ln_pre")))
    last = Stage("last", _there(tower, ("attn_pool", "attn_pool_contrastive", "ln_post", "proj")))
    layers = [Layer(block.name, block.layers[0], block.name) for block in blocks]
    return Division((stem, *blocks, last), (*layers, Layer(PRE_LOGITS, "", last.name)), PRE_LOGITS)


def _there(tower: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if getattr(tower, name, None) is not None)


# -- weights ------------------------------------------------------------------------------------------------------------


def image_part(state: Mapping[str, Tensor]) -> State:
    """What of a whole CLIP network's state is the image tower's, in its names; a tower's own state stays as it is."""
    found = {name.removeprefix(VISUAL): tensor for name, tensor in plain(state).items() if name.startswith(VISUAL)}
    return found or dict(state)


def plain(state: Mapping[str, Tensor]) -> State:
    """Without what a wrapper put before every name."""
    if state and all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return dict(state)


def whole_state(network: nn.Module, state: Mapping[str, Tensor]) -> State:
    """A file's state in the names and shapes that ``network`` (``whole_clip``) has, as open_clip's ``load_checkpoint`` does."""
    from open_clip.convert import convert_state_dict

    found: State = {name: tensor for name, tensor in plain(state).items() if name not in NO_WEIGHTS}
    found = convert_state_dict(network, found)
    if "positional_embedding" in found and not hasattr(network, "positional_embedding"):
        found = {f"text.{name}" if name.startswith(TEXT_PARTS) else name: tensor for name, tensor in found.items()}
    own = network.state_dict()
    for name in ("logit_scale", "logit_bias"):
        if name in found and name in own:
            found[name] = found[name].reshape(own[name].shape)
    if "logit_bias" in own and "logit_bias" not in found:
        found["logit_bias"] = torch.zeros_like(own["logit_bias"])
    return found
