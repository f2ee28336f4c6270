"""Parameters of the tasks that judge: ``evaluate`` of each kind of run, and ``decide``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tlbatch.contracts.base import Open, Parameters
from tlbatch.contracts.data import Divided
from tlbatch.contracts.models import Backbone


class EvaluateParams(Divided):
    """What evaluations of every kind of run have: ``trained``, ``zero_label``, ``champion`` and ``extended``.

    ``plugins``: what it was planned with.
    """

    run_kind: Literal["trained", "zero_label", "champion", "extended"]
    precision: str
    plugins: dict[str, dict[str, str]] = Field(default_factory=dict)


class EvaluateRunParams(EvaluateParams):
    """``redraw``: whether seeds draw training images of their own. ``metrics``: of plug-ins, beside tlbatch's own.

    ``label_errors``: whether the run's own models judge the labels that they have not learnt; controls need not, what a report
    shows are the best run's, and on cached features the task ``suspects`` does.
    """

    seeds: tuple[int, ...]
    folds: int | None
    redraw: bool
    metrics: tuple[str, ...] = ()
    label_errors: bool = True


class Judge(Parameters):
    """Cached features that may judge labels (input ``features:<name>``). ``runs``: those of the study that learnt from them."""

    name: str
    runs: tuple[str, ...]


class SuspectsParams(Divided):
    """``judges``: in the study's order; of several the one whose run is best on validation judges. ``redraw``: the seed whose
    training images are meant, where seeds draw their own.
    """

    redraw: int | None
    judges: tuple[Judge, ...]


class DescribedParams(Parameters):
    """``unseen``: classes that are known by their texts alone; the outputs that mean them are not used. ``texts``: as the study
    has them; of other classes those of their outputs. ``vectors``: sha256 of a file of word vectors (location ``vectors``).
    ``top``: outputs that speak for an item.
    """

    unseen: tuple[str, ...]
    texts: dict[str, str]
    vectors: str | None
    top: int


class PromptedParams(Parameters):
    """``prompts``: class -> texts whose embeddings' mean stands for it. ``unseen``: classes that are judged apart; () where
    the study asks for none.
    """

    prompts: dict[str, tuple[str, ...]]
    unseen: tuple[str, ...] = ()


class EvaluateZeroLabelParams(EvaluateRunParams):
    """``mapping``: class -> the backbone's own outputs that mean it; with ``described``, only of classes that have any; with
    ``prompted``, none: the backbone is a CLIP's, and texts name the classes."""

    backbone: Backbone
    input: dict[str, Any]
    mapping: dict[str, tuple[int, ...]]
    described: DescribedParams | None = Field(default=None, exclude_if=lambda asked: asked is None)
    prompted: PromptedParams | None = Field(default=None, exclude_if=lambda asked: asked is None)


class EvaluateChampionParams(EvaluateParams):
    """``fresh``: whether it judges images that train later; not where it may have trained on them."""

    fresh: bool = True


class EvaluateExtendedParams(EvaluateParams):
    """A champion that got a class more. ``label``: the class; ``seed``: the champion's."""

    label: str
    seed: int


class RuleParams(Open):
    """What a schedule asks of a challenger: its fields of these names (tlbatch.spec.resources.Schedule)."""

    promote_on: str
    promote: str = "not_worse"
    min_gain: float = 0.0
    alpha: float = 0.05
    class_bound: float | dict[str, float] | None = None


class ArtifactParams(Parameters):
    """An artifact by step, key and digest."""

    step: str
    key: str
    digest: str


class ChampionParams(Parameters):
    """The champion. ``models``: ``model:<seed>[:<fold>]`` to its artifact. ``added``: classes it got without training."""

    serial: int
    run: str
    seed: int
    models: dict[str, ArtifactParams]
    added: tuple[str, ...] = ()


class StreamParams(Open):
    """What challengers before scored on which version of the test images (``stream`` of jobs.decide)."""

    metric: str
    classes: tuple[str, ...]
    version: int


class DecidedTask(Parameters):
    """One of several tasks: what is asked of it, what challengers before scored on it, and the champion's model of it."""

    name: str
    rule: RuleParams
    stream: StreamParams | None = None
    champion: ChampionParams | None


class DecideParams(Parameters):
    """``uses``: version of the test set -> tests it has served. ``runs``: the study's own, in order.

    ``tasks``: where a model has several, the main one first, and of each what there is above; the rest is the main one's then,
    and the lines of a run are called ``<run>-<task>``.
    """

    rule: RuleParams
    uses: dict[str, int]
    stream: StreamParams | None = None
    runs: tuple[str, ...]
    champion: ChampionParams | None
    tasks: tuple[DecidedTask, ...] = ()
