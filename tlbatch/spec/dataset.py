"""Where the images are, what their labels are, and how they are divided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tlbatch.kinds import KINDS
from tlbatch.schema.base import Fraction, Name, Part
from tlbatch.spec.added import AddedName, AddedSettings, name_and_settings, whose

Amount = Annotated[int | float, Field(ge=0)]
if TYPE_CHECKING:
    _Kind = str | dict[str, dict[str, Any]]
else:
    _OWN = Literal[tuple(KINDS)]
    _Kind = Annotated[Annotated[_OWN, Tag("own")] | Annotated[AddedName | AddedSettings, Tag("added")], Discriminator(whose)]


class CsvLabels(Part):
    """Labels in a CSV (or TSV) file beside the images, one line an image."""

    csv: str = Field(description="path of the file, relative to the dataset's url")
    id: str = Field(default="id", description="column with the image's name, with or without folder and extension")
    label: str = Field(default="label", description="column with the class")
    tasks: dict[Name, str] | None = Field(
        default=None,
        description="instead of label, for several tasks: task -> column with its class, empty where it is not known; "
        "the first is the main one, by which parts are stratified",
    )
    split: str | None = Field(default=None, description="column with train, validation or test")
    group: str | None = Field(default=None, description="column whose equal values stay in one part (a patient, a burst)")


def rest_trains(train: float | None, validation: float, test: float) -> bool:
    """Whether all that neither validates nor tests trains: ``train`` is not said, or the three are fractions of one whole."""
    given = (train, validation, test)
    return train is None or (all(isinstance(each, float) for each in given) and sum(given) > 1 - 1e-9)  # type: ignore[arg-type]


class Split(Part):
    """Counts (integers) or fractions of the whole, stratified; or what the data already has.

    An image's place is the rank of sha256(seed, content hash) within its class, so it does not depend on file names.
    """

    train: Amount | None = Field(default=None, description="default: what validation and test leave")
    validation: Amount = Field(default=0.15, description="what epochs, learning rates and temperatures are chosen on")
    test: Amount = Field(default=0.15, description="what results are measured on, once, at the end")
    seed: int = Field(default=42, description="another seed is another split")
    folds: Annotated[int, Field(ge=2, le=20)] | None = Field(
        default=None, description="k-fold over train and validation together, for fewer than 500 labels"
    )
    folders: dict[Literal["train", "validation", "test"], str] | None = Field(
        default=None,
        description="ready-made folders, each with a folder per class: {train: train, validation: val, test: test}",
    )
    group: str | None = Field(
        default=None, description="regular expression on the path; what its first group matches stays in one part"
    )


class Images(Part):
    """What datasets of every role have."""

    url: str = Field(description="s3://bucket/prefix or a folder, relative to the study file; ${NAME:-default} is expanded")
    kind: _Kind | None = Field(
        default=None,
        description="of data: image, or a plug-in's as plugin:name or {plugin:name: {its settings}}; default: image",
    )
    labels: CsvLabels | None = Field(default=None, description="default: each folder is a class")
    classes: tuple[str, ...] | None = Field(default=None, description="use only these classes, in this order")
    aliases: dict[str, str] = Field(
        default_factory=dict, description="label -> the class it is merged into, for labels that mean the same: {Cat: cat}"
    )
    follow_links: bool = Field(default=False, description="take what links lead to outside of the dataset's folder")
    stored_size: Annotated[int, Field(ge=32, le=4096)] = Field(default=512, description="shorter side in pixels at most")
    max_bad: Fraction = Field(default=0.05, description="share of unreadable files past which prepare stops (exit 65)")
    near_duplicates: bool = Field(default=True, description="find recompressed, scaled, cropped, mirrored and rotated copies")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, the main one first; empty where there is the one that goes without a name."""
        return tuple(self.labels.tasks or ()) if self.labels else ()

    @property
    def kind_name(self) -> str | None:
        """None: pictures."""
        return None if self.kind in (None, "image") else name_and_settings(self.kind)[0]


class Dataset(Images):
    """A folder per class, ready-made train/validation/test folders, or a CSV with files; local or s3://."""

    split: Split = Split()


class SourceSplit(Part):
    """Of a source: nothing of it tests. What its data calls its own test part is not read."""

    validation: Amount = Field(
        default=0, description="held out of training: what epochs and rates are chosen on where target labels may not be read"
    )
    seed: int = Field(default=42, description="another seed is another split")
    folders: dict[Literal["train", "validation", "test"], str] | None = Field(
        default=None, description="ready-made folders, each with a folder per class"
    )
    group: str | None = Field(
        default=None, description="regular expression on the path; what its first group matches stays in one part"
    )


class Source(Images):
    """Another labelled dataset that runs learn from. A dataset without a test set of its own; nothing is judged on it."""

    split: SourceSplit = SourceSplit()


class Repeat(Part):
    """Seeds of every run. Three or more let the report speak of methods; ``redraw: train`` draws other training images too."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        default=(0,), description="every run is trained once with each"
    )
    redraw: Literal["none", "train"] = Field(
        default="none", description="train: every seed draws its own training images; validation and test stay"
    )
