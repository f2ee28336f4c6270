"""The study: one YAML file, validated and immutable."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlbatch.spec.base import Name, Part
from tlbatch.spec.dataset import Dataset, Repeat
from tlbatch.spec.model import Augmentation, FinetuneStrategy, Input, Model
from tlbatch.spec.resources import Resources, Schedule, StudyResources
from tlbatch.spec.train import Train

Strategy = Literal["features", "scratch"] | FinetuneStrategy


class Run(Part):
    """One model trained one way. Scratch models need no strategy; a backbone's default is ``features``."""

    name: Name
    model: Model
    strategy: Strategy | None = None
    input: Input = Input()
    augmentation: str | Augmentation | None = Field(default=None, description="name of one of the study's, or its fields")
    views: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="with features: extra augmented views of each training image, extracted once"
    )
    train: Train = Train()
    precision: Literal["auto", "fp32", "bf16"] | None = None
    control: Literal["full", "cheap", "none"] | None = Field(default=None, description="default: the study's")
    resources: Resources = Resources()


class Study(Part):
    """A dataset, the runs to compare on it, how to train, what resources, optionally a schedule."""

    api_version: Literal["tlbatch/v1"] = Field(alias="apiVersion")
    kind: Literal["Study"]
    name: Name
    description: str = ""
    dataset: Dataset
    repeat: Repeat = Repeat()
    control: Literal["full", "cheap", "none"] = Field(
        default="cheap",
        description="what a pretrained run is held against: the same architecture trained from random weights "
        "(full), the same head on the frozen random backbone (cheap), or only the study's scratch runs (none)",
    )
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    augmentations: dict[str, Augmentation] = Field(default_factory=dict)
    runs: Annotated[tuple[Run, ...], Field(min_length=1)]
    resources: StudyResources = StudyResources()
    schedule: Schedule | None = None
