"""Classes named by texts before a CLIP network (Radford et al. 2021): no label is used, and nothing is trained.

A class is the mean of the normalised embeddings of its prompts, normalised again. An item's logits are its own normalised
embedding's cosines with the classes, times the scale that the network learnt with its weights; softmax makes probabilities of
them, which a caption's odds among the classes were trained to be. Embeddings are compared in float32, whatever the towers
compute in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.models.building import Classifier
from jobs.models.clip import clip_config, whole_clip, whole_state
from jobs.models.pretrained import Pretrained
from jobs.models.reading import fit_state
from jobs.randomness import seed_layers
from tlbatch.backbones.clip import PREFIX
from tlbatch.errors import StudyError

MARKS = 2
"""Tokens that begin and end a text."""


class PromptClassifier(nn.Module):
    """Items [n, 3, size, size] to logits [n, classes]: the image tower, and what compares its embeddings with texts."""

    def __init__(self, tower: Classifier, texts: Tensor, scale: float) -> None:
        super().__init__()
        self.tower, self.head = tower, TextsHead(texts, scale)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.tower(x))
        return logits


class TextsHead(nn.Module):
    """Embeddings [n, d] to ``scale`` times their cosines to those of texts [classes, d], each of length 1; in float32."""

    texts: Tensor

    def __init__(self, texts: Tensor, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("texts", texts)

    def forward(self, found: Tensor) -> Tensor:
        with torch.autocast(found.device.type, enabled=False):
            return self.scale * functional.normalize(found.float(), dim=-1) @ self.texts.T


def build_prompted(
    backbone: Mapping[str, Any], pretrained: Pretrained, prompts: Mapping[str, Sequence[str]]
) -> PromptClassifier:
    """The classes in the order of ``prompts``. The text tower is used once, here, and dropped.

    Raises StudyError for weights without a text tower, and for prompts that it cannot read whole.
    """
    network = load_clip(backbone, pretrained)
    texts = embed_prompts(network, backbone["name"].removeprefix(PREFIX), prompts)
    size = int(clip_config(backbone["name"].removeprefix(PREFIX))["vision_cfg"]["image_size"])
    return PromptClassifier(Classifier(network.visual, (3, size, size)), texts, float(network.logit_scale.detach().exp()))


def load_clip(backbone: Mapping[str, Any], pretrained: Pretrained) -> Any:
    """The whole network with its weights, in eval mode. Raises StudyError where they do not fit."""
    with torch.random.fork_rng(devices=[]):
        seed_layers(0, "clip")  # all of it is replaced
        network = whole_clip(backbone["name"].removeprefix(PREFIX))
    if pretrained.state is None:
        raise StudyError(f"{backbone['name']}: {pretrained.label} know no texts: name published weights or a file")
    state = whole_state(network, pretrained.state)
    fit_state(network, state, known=(), what=pretrained.label, of=f"{backbone['name']} with its text tower")
    return network


@torch.no_grad()
def embed_prompts(network: Any, model: str, prompts: Mapping[str, Sequence[str]]) -> Tensor:
    """float32 [classes, d], each of length 1. A class's texts go through the tower together: others change nothing of it."""
    from open_clip import get_tokenizer

    tokenizer = get_tokenizer(model)
    for name, texts in prompts.items():
        check_lengths(tokenizer, name, texts)
    means = [network.encode_text(tokenizer(list(texts)), normalize=True).float().mean(dim=0) for texts in prompts.values()]
    return functional.normalize(torch.stack(means), dim=-1)


def check_lengths(tokenizer: Any, name: str, texts: Sequence[str]) -> None:
    """Raises StudyError for the first text that would be cut off without a word."""
    for text in texts:
        tokens = len(tokenizer.encode(text)) + MARKS
        if tokens > tokenizer.context_length:
            raise StudyError(
                f"described: the prompt {text[:40]!r}… of {name} has {tokens} tokens, and the network reads "
                f"{tokenizer.context_length}: shorten it, as what is left out would say nothing"
            )
