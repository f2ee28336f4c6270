"""The study: one YAML file, validated and immutable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag, create_model

from tlbatch.kinds.image import Augmentation, Input
from tlbatch.schema.base import Name, Part
from tlbatch.spec.added import AddedName, AddedSettings, whose
from tlbatch.spec.advise import Advise
from tlbatch.spec.curve import Curve
from tlbatch.spec.dataset import Dataset, Repeat, Source
from tlbatch.spec.described import Described
from tlbatch.spec.episodes import Evaluate
from tlbatch.spec.model import Model
from tlbatch.spec.resources import Resources, Schedule, StudyResources
from tlbatch.spec.train import Train
from tlbatch.strategies import STRATEGIES, Strategy, default_strategy, strategy_of


def _with_settings(strategy: Strategy) -> type[Part]:
    """``{finetune: {…}}``: a strategy's name over its settings."""
    fields: dict[str, Any] = {strategy.name: (strategy.settings, ...)}
    return create_model(f"{strategy.name.capitalize()}Strategy", __base__=Part, **fields)


if TYPE_CHECKING:
    Chosen = str | Part | dict[str, dict[str, Any]]
    Fed = Input | dict[str, dict[str, Any]]
    Varied = str | Augmentation | dict[str, dict[str, Any]]
else:
    _PLAIN = tuple(each.name for each in STRATEGIES.values() if each.settings is None)
    _OWN = Union[(Literal[_PLAIN], *(_with_settings(each) for each in STRATEGIES.values() if each.settings))]
    _ADDED = AddedName | AddedSettings
    Chosen = Annotated[Annotated[_OWN, Tag("own")] | Annotated[_ADDED, Tag("added")], Discriminator(whose)]
    Fed = Annotated[Annotated[Input, Tag("own")] | Annotated[AddedSettings, Tag("added")], Discriminator(whose)]
    Varied = Annotated[Annotated[str | Augmentation, Tag("own")] | Annotated[_ADDED, Tag("added")], Discriminator(whose)]


AddedMetricName = Annotated[
    AddedName, Field(description="a plug-in's metric, plugin:name (tlbatch's own are computed for every study)")
]


class Run(Part):
    """One model trained one way. Scratch models need no strategy; a backbone's default is ``features``."""

    name: Name
    model: Model
    strategy: Chosen | None = Field(
        default=None, description="how it learns, with its settings; default: scratch for a scratch model, else features"
    )
    input: Fed = Field(default=Input(), description="how items are fed; of a plug-in's kind of data: {kind: {its settings}}")
    augmentation: Varied | None = Field(
        default=None, description="name of one of the study's, its fields, or a plug-in's: {plugin:name: {its settings}}"
    )
    views: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="with features: extra augmented views of each training image, extracted once"
    )
    train: Train = Train()
    precision: Literal["auto", "fp32", "bf16"] | None = Field(default=None, description="default: the study's")
    control: Literal["full", "cheap", "none"] | None = Field(default=None, description="default: the study's")
    resources: Resources = Resources()

    @property
    def strategy_entry(self) -> Strategy:
        """The entry of its strategy: what is named, else what its model implies. Raises StudyError (a plug-in's)."""
        if self.strategy is None:
            return default_strategy("scratch" if self.model.backbone is None else "backbone")
        if isinstance(self.strategy, str | dict):
            return strategy_of(self.strategy)
        return STRATEGIES[next(iter(type(self.strategy).model_fields))]

    @property
    def strategy_settings(self) -> Part | None:
        """What is set of its strategy; None where nothing may be."""
        if self.strategy is None or self.strategy_entry.settings is None:
            return None
        if isinstance(self.strategy, str | dict):
            given = self.strategy[self.strategy_entry.name] if isinstance(self.strategy, dict) else {}
            return self.strategy_entry.settings.of(given)
        own: Part = getattr(self.strategy, self.strategy_entry.name)
        return own


class Study(Part):
    """A dataset, the runs to compare on it, how to train, what resources, optionally a schedule."""

    api_version: Literal["tlbatch/v1"] = Field(alias="apiVersion", description="the form of this file")
    kind: Literal["Study"] = Field(description="what this file is")
    name: Name
    description: str = Field(default="", description="a line that the report shows")
    dataset: Dataset
    sources: dict[Name, Source] = Field(
        default_factory=dict, description="name -> another labelled dataset, for strategies that learn from such"
    )
    repeat: Repeat = Repeat()
    control: Literal["full", "cheap", "none"] = Field(
        default="cheap",
        description="what a pretrained run is held against: the same architecture trained from random weights "
        "(full), the same head on the frozen random backbone (cheap), or only the study's scratch runs (none)",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="of what networks compute in; auto is decided when the plan is made"
    )
    metrics: tuple[AddedMetricName, ...] = Field(
        default=(), description="of plug-ins (plugin:name), computed beside tlbatch's own, which every study gets"
    )
    augmentations: dict[str, Augmentation] = Field(default_factory=dict, description="name -> changes, for runs to name")
    runs: Annotated[tuple[Run, ...], Field(min_length=1, description="what is compared, in this order")]
    advise: Advise | None = Field(
        default=None, description="instead of training the runs: advice which backbone to take (`tlbatch advise` writes it)"
    )
    curve: Curve | None = Field(default=None, description="asks how many labels it takes: accuracy with few labels a class")
    described: Described | None = Field(
        default=None,
        description="asks what a pretrained network knows of classes without labels, by texts or prompts",
    )
    evaluate: Evaluate | None = Field(default=None, description="what is measured beside the test set")
    resources: StudyResources = StudyResources()
    schedule: Schedule | None = Field(default=None, description="when the study runs again, and what promotes a model")
