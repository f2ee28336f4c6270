"""What this package adds. Free of torch: the launcher imports it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field

from tlbatch.backbones.added import AddedBackbone
from tlbatch.backbones.catalogue import LayerInfo, StageInfo, WeightInfo
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT
from tlbatch.entries import AddedAugmentation, AddedHead, AddedMetric, AddedNetwork, Measures
from tlbatch.kinds import Kind
from tlbatch.plugins import Plugin
from tlbatch.schema.base import Count, Part
from tlbatch.strategies import Strategy


class NearestMean(Part):
    """The class whose mean is nearest (Mensink et al. 2013, distance-based image classification)."""

    shrink: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="share of the way to the mean of all classes")


class Pooled(Part):
    """Target and sources trained on together."""

    weight: Annotated[float, Field(ge=0)] = Field(default=1.0, description="of a source's images in the loss")
    batch_size: Count | None = Field(default=None, description="images of each source a step; default: train.batch_size")


class Mlp(Part):
    """Dense layers with ReLU on all the values of an item."""

    units: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = Field(
        default=(64,), description="units of each layer before the classifier"
    )


class Cosine(Part):
    """A learned direction a class, held against the features by their angle."""

    scale: Annotated[float, Field(gt=0)] = Field(default=10.0, description="what the cosine is multiplied with")


class Series(Part):
    """Series of numbers in .npy files."""

    longest: Count = Field(default=4096, description="values of a series that are kept")


class SeriesInput(Part):
    """How a series is fed."""

    length: Annotated[int, Field(ge=8)] = Field(default=128, description="values; longer series are cut, shorter filled up")


class Jitter(Part):
    """Normal noise."""

    sd: Annotated[float, Field(ge=0)] = Field(default=0.1, description="in standard deviations of the series")


class Convolutions(Part):
    """Convolutions along a series."""

    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(default=(8, 16), description="filters of each layer")
    kernel: Count = Field(default=5, description="values that a filter spans")


def measure_mlp(shape: tuple[int, ...], settings: Mapping[str, Any]) -> Measures:
    widths = [math.prod(shape), *settings["units"]]
    return Measures(
        parameters=sum((before + 1) * after for before, after in pairwise(widths)),
        features=widths[-1],
        kept=4 * sum(widths),
        working=4 * max(before + after for before, after in pairwise(widths)),
    )


TINY = WeightInfo(
    name="edges",
    file="tiny.safetensors",
    url="",
    hash="ed39a443500e111dd0abb88b6635610c1f97f38b9795cd14deabfa82559587cc",
    trained_on="",
    input={**SCRATCH_INPUT, "size": 32, **NORMALIZATIONS["symmetric"]},
    package="tlbatch_example",
)

SERIES = Kind(
    name="series",
    title="series of numbers in .npy files",
    item="series",
    items="series",
    items_program="tlbatch_example.series:ITEMS",
    feed_program="tlbatch_example.series_feed:FEED",
    suffixes=frozenset({".npy"}),
    settings=Series,
    input=SeriesInput,
    defaults={"length": 128},
    shape=lambda input: (1, input["length"]),
    item_bytes=lambda input: 4 * input["length"],
    measure=lambda input: str(input["length"]),
    small=lambda input: input["length"] <= 1024,
)

PLUGIN = Plugin(
    kinds=(SERIES,),
    augmentations=(
        AddedAugmentation(
            name="jitter",
            title="normal noise",
            program="tlbatch_example.series_feed:jitter",
            kind="example:series",
            settings=Jitter,
        ),
    ),
    networks=(
        AddedNetwork(
            name="conv1d",
            title="convolutions along the series",
            program="tlbatch_example.series_feed:convolutions",
            settings=Convolutions,
        ),
        AddedNetwork(
            name="mlp",
            title="dense layers on all values",
            program="tlbatch_example.networks:mlp",
            settings=Mlp,
            measures=measure_mlp,
        ),
    ),
    metrics=(
        AddedMetric(
            name="mcc",
            title="MCC",
            program="tlbatch_example.mcc:mcc",
            lowest=-1.0,
        ),
    ),
    backbones=(
        AddedBackbone(
            name="tiny",
            title="edges and corners, written down",
            program="tlbatch_example.tiny:build",
            input={"size": 32, **NORMALIZATIONS["symmetric"]},
            weights=(TINY,),
            stages=(
                StageInfo("edges", ("edges",), parameters=608, kept=3_010_560, working=3_211_264),
                StageInfo("corners", ("corners",), parameters=1_168, kept=1_605_632, working=1_605_632),
            ),
            layers=(
                LayerInfo("edges", "edges", channels=8, stride=2, offset=0, smallest=2),
                LayerInfo("corners", "corners", channels=16, stride=4, offset=0, smallest=4),
            ),
            default="corners",
        ),
    ),
    heads=(
        AddedHead(
            name="cosine",
            title="cosine head",
            program="tlbatch_example.networks:cosine",
            settings=Cosine,
            parameters=lambda features, classes, settings: features * classes,
        ),
    ),
    strategies=(
        Strategy(
            name="nearest-mean",
            title="the class whose mean of features is nearest",
            program="tlbatch_example.nearest_mean:train",
            model="backbone",
            consumes="features",
            settings=NearestMean,
            phrase=lambda settings, layer: f"nearest class mean of the features of {layer}",
        ),
        Strategy(
            name="pooled-mean",
            title="the class whose mean of features, the sources' among them, is nearest",
            program="tlbatch_example.nearest_mean:train",
            model="backbone",
            consumes="features",
            roles=frozenset({"target", "source"}),
            settings=NearestMean,
            phrase=lambda settings, layer: f"nearest class mean, over all datasets, of the features of {layer}",
        ),
        Strategy(
            name="pooled",
            title="a scratch network on target and sources together",
            program="tlbatch_example.pooled:train",
            model="scratch",
            roles=frozenset({"target", "source"}),
            settings=Pooled,
            whole=True,
            phrase=lambda settings, layer: "trained from scratch on target and sources together",
        ),
    ),
)
