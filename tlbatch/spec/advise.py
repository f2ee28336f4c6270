"""What ``advise:`` asks in a study: which backbone, and which layer of it, before anything is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlbatch.schema.base import Count, Part
from tlbatch.spec.model import FromRun

FEWEST_IMAGES = 20


class Candidate(Part):
    """One backbone to judge. Its images are fed as its weights were trained."""

    backbone: str | FromRun = Field(description="as a run's model has it")
    weights: str = Field(default="default", description="as a run's model has them; random ones are the floor")


class Advise(Part):
    """In place of the runs: one forward pass a candidate over training and validation images, and what follows from it."""

    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)] = Field(description="the backbones to judge")
    images: Annotated[int, Field(ge=FEWEST_IMAGES)] | None = Field(
        default=None, description="at most so many training and validation images, the same share of each class; default: all"
    )
    seconds: Count | None = Field(
        default=None,
        description="at most so many images as one core is expected to take this long for, all candidates together",
    )
    pinned: str | None = Field(
        default=None,
        description="key of a schedule's pin artifact, which divides the images; `tlbatch advise` names it",
    )
    layers: Literal["last", "stages", "all"] = Field(
        default="last", description="which layers are judged: the ends of the last three stages, of every stage, or every layer"
    )
