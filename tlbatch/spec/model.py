"""What is trained: a scratch CNN or a backbone with a head, how images are fed, and how training images are varied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag

from tlbatch.schema.base import Count, Part, Positive
from tlbatch.spec.added import AddedName, AddedSettings, whose

Dropout = Annotated[float, Field(ge=0, lt=1)]


class Scratch(Part):
    """A plain CNN: 3x3 convolution + ReLU + 2x2 max pooling for each of ``channels``, flatten, then ``dense`` layers."""

    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(16, 64, 128), description="filters of each convolution"
    )
    kernel: Count = Field(default=3, description="side of the filters in pixels")
    padding: Literal["valid", "same"] = Field(default="valid", description="same: a convolution keeps height and width")
    batch_norm: bool = Field(default=False, description="batch normalisation after each convolution")
    dense: tuple[Count, ...] = Field(default=(512,), description="units of each layer before the classifier")
    dropout: Dropout = Field(default=0.0, description="after every dense layer")


Number = TypeVar("Number", int, float)


def _ascending(tried: tuple[Number, ...]) -> tuple[Number, ...]:
    """Each once: in which order they were written changes nothing."""
    return tuple(sorted(set(tried)))


class Logistic(Part):
    """Multinomial logistic regression on standardised features, C chosen by stratified cross-validation on train."""

    c: Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_ascending)] = Field(
        default=(0.0001, 0.001, 0.01, 0.1, 1.0, 10.0), description="tried inverse strengths of the L2 penalty"
    )
    folds: Annotated[int, Field(ge=2, le=20)] = Field(default=5, description="of the cross-validation")


class Prototypes(Part):
    """The nearest class: cosine to the mean of each class's normalised features, times ``scale`` (Snell et al. 2017)."""

    scale: Positive = Field(default=10.0, description="of the cosines, before the softmax")


class Knn(Part):
    """The classes of the nearest training images by cosine, one vote each; equal votes: the nearer ones."""

    k: Count | Annotated[tuple[Count, ...], Field(min_length=1), AfterValidator(_ascending)] = Field(
        default=(1, 3, 5, 9, 15), description="neighbours; of several the best by stratified cross-validation on train"
    )
    folds: Annotated[int, Field(ge=2, le=20)] = Field(default=5, description="of the cross-validation")


def _left_out(value: object) -> bool:
    """Heads that came later are not in parameters that do not ask for them: keys stay what they were."""
    return value is None


class Head(Part):
    """Dense layers (ReLU) with dropout before the classifier; ``dense: []`` is a linear head. Or one that is fitted at once."""

    dense: tuple[Count, ...] = Field(default=(), description="units of each layer before the classifier")
    dropout: Dropout = Field(default=0.0, description="after every dense layer; with none, before the classifier")
    batch_norm: bool = Field(default=False, description="batch normalisation after every dense layer")
    logistic: Logistic | None = Field(default=None, description="instead of dense layers; only with strategy: features")
    prototypes: Prototypes | None = Field(
        default=None, description="likewise: the nearest class mean, for few labels", exclude_if=_left_out
    )
    knn: Knn | None = Field(default=None, description="likewise: the nearest training images", exclude_if=_left_out)

    @property
    def fitted(self) -> str | None:
        """Which head it is that is fitted at once, without epochs; None: dense layers."""
        return next((name for name in FITTED if getattr(self, name) is not None), None)


FITTED = ("logistic", "prototypes", "knn")
"""Heads that are fitted to features at once: no epochs, no learning rate, nothing chosen on validation."""


def fitted_head(head: Mapping[str, Any] | None) -> str | None:
    """The same of a head as a plan or a card has it; None for dense layers and those of plug-ins."""
    return next((name for name in FITTED if (head or {}).get(name) is not None), None)


if TYPE_CHECKING:
    Added = str | dict[str, dict[str, Any]]
    ChosenScratch = Scratch | Added
    ChosenHead = Head | Added
else:
    Added = Annotated[AddedName | AddedSettings, Tag("added")]
    ChosenScratch = Annotated[Annotated[Scratch, Tag("own")] | Added, Discriminator(whose)]
    ChosenHead = Annotated[Annotated[Head, Tag("own")] | Added, Discriminator(whose)]


class FromRun(Part):
    """A model of an earlier study in the same store: its network without its head."""

    from_: str = Field(alias="from", pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", description="<study>/<run>")
    seed: int | None = Field(default=None, description="which repeat; default: the run's first")


class Model(Part):
    """Either ``scratch`` or ``backbone``."""

    scratch: ChosenScratch | None = Field(
        default=None,
        description="a CNN of your own measures, or a plug-in's network {plugin:name: {its settings}}, from random weights",
    )
    backbone: str | FromRun | None = Field(
        default=None,
        description="a name of `tlbatch backbones`, any image model of torchvision or timm, a CLIP network (open_clip/…), a "
        "plug-in's, or a model of yours",
    )
    weights: str = Field(
        default="default",
        description="default | random | a named weight of the library | URL or path of a safetensors or state-dict file",
    )
    layer: str | None = Field(default=None, description="stage or layer whose output is used; default: the last")
    pool: Literal["avg", "max", "flatten"] = Field(default="avg", description="how a layer's maps become a vector")
    head: ChosenHead = Field(default=Head(), description="what is trained on top; of a plug-in: {plugin:name: {its settings}}")

    @property
    def own_head(self) -> Head | None:
        """None where a plug-in's is named."""
        return self.head if isinstance(self.head, Head) else None
