"""What this package adds. Free of torch: the launcher imports it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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


PLUGIN = Plugin(
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
