"""What this package adds. Free of torch: the launcher imports it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlbatch.plugins import Plugin
from tlbatch.schema.base import Part
from tlbatch.strategies import Strategy


class NearestMean(Part):
    """The class whose mean is nearest (Mensink et al. 2013, distance-based image classification)."""

    shrink: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="share of the way to the mean of all classes")


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
    ),
)
