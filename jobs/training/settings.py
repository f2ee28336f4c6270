"""What a finetune task asks for, decoded from its parameters (written by tlbatch.planning.make)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.training.trainer import Recipe
from tlbatch.contracts.data import LearntTask
from tlbatch.contracts.models import FinetuneParams, Weights
from tlbatch.plugins import check_used
from tlbatch.schema.base import Part
from tlbatch.spec.added import added_name
from tlbatch.spec.model import fitted_head
from tlbatch.spec.train import Train
from tlbatch.strategies import Strategy, settings_of, strategy_of


@dataclass(frozen=True)
class Settings:
    """``params`` are the task's; the other fields are what the strategy and the training loop want of them.

    ``strategy_entry`` describes the strategy; ``own`` is what is set of it; ``fitted``: the head that is fitted at once, by
    name (None: it is trained).
    """

    params: FinetuneParams
    strategy_entry: Strategy
    own: Part | None
    fitted: str | None

    @staticmethod
    def of(params: FinetuneParams) -> Settings:
        """Raises StudyError for a strategy that is not there as the study was planned with it."""
        check_used(params.plugins)
        entry, head = strategy_of(params.strategy), params.model.head or {}
        own = entry.settings.of(settings_of(params.strategy)) if entry.settings else None
        fitted = None if added_name(head) else fitted_head(head)
        return Settings(params, entry, own, fitted if fitted in entry.heads else None)

    @property
    def train(self) -> Train:
        return self.params.train

    @property
    def model(self) -> Mapping[str, Any]:
        """As ``jobs.models`` builds it, and as cards have it."""
        return self.params.model.as_json()

    @property
    def input(self) -> Mapping[str, Any]:
        return self.params.input

    @property
    def classes(self) -> list[str]:
        return list(self.params.classes)

    @property
    def tasks(self) -> tuple[LearntTask, ...]:
        """Several that are learnt together, the main one first; empty where there is one."""
        return self.params.tasks

    @property
    def seed(self) -> int:
        return self.params.seed

    @property
    def on_features(self) -> bool:
        return self.strategy_entry.on_features

    @property
    def backbone(self) -> Mapping[str, Any] | None:
        """None for a scratch model."""
        backbone = self.params.model.backbone
        return None if backbone is None else backbone.as_json()

    @property
    def labels_read(self) -> int | None:
        """How many labels of the target's training images are read, a class; None: all, and those of validation."""
        return self.strategy_entry.labels_read(settings_of(self.params.strategy))

    @property
    def weights(self) -> Weights | None:
        """Which weights the backbone starts from; None for a scratch model."""
        backbone = self.params.model.backbone
        return None if backbone is None else backbone.weights

    @property
    def fresh(self) -> bool:
        """Whether all that learns starts from random weights: a head, a scratch model, a network without weights."""
        return self.on_features or self.weights is None or self.weights.kind == "random"

    @property
    def bf16(self) -> bool:
        """Whether the network computes in bfloat16. Heads on cached features never do: nothing would be saved."""
        return self.params.precision == "bf16" and not self.on_features

    @property
    def lr_candidates(self) -> list[float]:
        """The rates to try; empty where the study names one."""
        return list(self.train.lr_candidates) if self.train.lr == "auto" else []

    @property
    def chooses(self) -> bool:
        """Whether validation images decide anything: the rate, or which epoch is kept."""
        train = self.train
        by_epoch = train.select == "best" or train.early_stopping is not None or train.schedule == "plateau"
        return bool(self.lr_candidates) or (by_epoch and self.fitted is None)

    def recipe(self, lr: float) -> Recipe:
        return Recipe(self.train, self.classes, self.seed, lr, self.bf16)
