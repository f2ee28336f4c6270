"""N-way K-shot episodes on classes that nothing was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tlbatch.errors import StudyError
from tlbatch.schema.base import Count, Part
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake

if TYPE_CHECKING:
    from tlbatch.spec.study import Run, Study

WHERE = ("evaluate", "episodes")
LEAST_LEARNT = 2


class Episodes(Part):
    """Classes held out of all training, told apart from a few labels of each, in many episodes (Vinyals et al. 2016)."""

    ways: Annotated[int, Field(ge=2, le=100)] = Field(default=5, description="classes of an episode")
    shots: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(default=(1, 5), description="labels a class")
    queries: Count = Field(default=15, description="items a class that an episode is judged on")
    count: Annotated[int, Field(ge=100, le=10_000)] = Field(default=600, description="episodes")
    classes: Annotated[int, Field(ge=4)] | tuple[str, ...] = Field(
        description="held out of all training: their names, or how many, drawn by dataset.split.seed; twice the ways at least"
    )
    heads: Annotated[tuple[Literal["prototypes", "knn", "logistic"], ...], Field(min_length=1)] = Field(
        default=("prototypes", "knn", "logistic"),
        description="fitted to the labels of each episode: class means, the nearest item, logistic regression with C = 1",
    )

    @property
    def held_out(self) -> int:
        """How many classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)


class Evaluate(Part):
    """What is measured beside the test set."""

    episodes: Episodes | None = Field(
        default=None, description="N-way K-shot episodes on classes that are held out of training"
    )


def check_episodes(study: Study) -> Iterator[Mistake]:
    """Too few classes, numbers in no order, names that are no classes, and no run that has features."""
    asked = None if study.evaluate is None else study.evaluate.episodes
    if asked is None:
        return
    if list(asked.shots) != sorted(set(asked.shots)):
        yield Mistake((*WHERE, "shots"), f"must rise: write {sorted(set(asked.shots))}")
    if len(set(asked.heads)) < len(asked.heads):
        yield Mistake((*WHERE, "heads"), "names one twice")
    if asked.held_out < 2 * asked.ways:
        text = (
            f"episodes of {asked.ways} classes need {2 * asked.ways} that are held out, not {asked.held_out}: with fewer they "
            "are ever the same, and nothing is said of others; name more, or ask for fewer ways"
        )
        yield Mistake((*WHERE, "classes"), text)
    yield from _names(asked, study.dataset.classes)
    if study.schedule is not None:
        yield Mistake(WHERE, "is for a study without a schedule: its champion learns all classes; write a study of its own")
    if not any(has_episodes(run) for run in study.runs):
        yield Mistake(WHERE, "no run learns from the dataset alone, so that there are no features to judge", None, (("runs",),))


def _names(asked: Episodes, known: Sequence[str] | None) -> Iterator[Mistake]:
    if isinstance(asked.classes, int):
        return
    for name in sorted({name for name in asked.classes if asked.classes.count(name) > 1}):
        yield Mistake((*WHERE, "classes"), f"names {name!r} twice")
    for name in asked.classes:
        if known is not None and name not in known:
            yield Mistake((*WHERE, "classes"), f"{name!r} is not among dataset.classes{suggestion(name, list(known))}")


def has_episodes(run: Run) -> bool:
    """Those that adapt to a target have no other classes; all others have features, trained or as they came."""
    return not run.strategy_entry.reads_sources


def held_out_classes(study: Study, classes: Sequence[str]) -> tuple[str, ...]:
    """Which of the dataset's classes nothing trains on; in its order. Raises StudyError where too few are left, or one is not
    there.

    A number is drawn by the split's seed and the classes' names alone.
    """
    asked = None if study.evaluate is None else study.evaluate.episodes
    if asked is None:
        return ()
    if isinstance(asked.classes, int):
        seed = study.dataset.split.seed
        ranked = sorted(classes, key=lambda name: (sha256(f"{seed}:held out:{name}".encode()).digest(), name))
        chosen = set(ranked[: asked.classes])
    else:
        chosen = set(asked.classes)
        for name in asked.classes:
            if name not in classes:
                raise StudyError(f"evaluate.episodes.classes: there is no class {name!r}{suggestion(name, list(classes))}")
    if len(classes) - len(chosen) < LEAST_LEARNT or len(chosen) < asked.held_out:
        raise StudyError(
            f"evaluate.episodes.classes: {asked.held_out} of {len(classes)} classes are to be held out, and {LEAST_LEARNT} at "
            "least are to be learnt: hold out fewer"
        )
    return tuple(name for name in classes if name in chosen)
