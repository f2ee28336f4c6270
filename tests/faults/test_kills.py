"""Killed (SIGKILL) at any write, and gone on with: the output of an undisturbed run, bit for bit, for every step."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.clips import save_full
from tests.faults.conftest import Season, Ward, open_ward
from tests.faults.records import record
from tests.requirements import CHAOS, chaos_only
from tests.studies.kept import KeptBackend
from tests.studies.shapes import draw_shapes
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.prediction.model import choose_model
from tlbatch.prediction.parts import clear
from tlbatch.prediction.pictures import list_pictures
from tlbatch.prediction.request import STEP, Prediction, begin
from tlbatch.spec import parse_study
from tlbatch.steps import STEPS
from tlbatch.store import open_store
from tlbatch.tasks import InputRef, task_name

KILLED = -9
PROMPTS = """\
apiVersion: tlbatch/v1
kind: Study
name: prompts
dataset: {{url: images, split: {{train: 8, validation: 4, test: 8}}, near_duplicates: false}}
control: none
precision: fp32
runs:
  - name: clip
    model: {{backbone: open_clip/ViT-B-32, weights: {weights}, head: {{prototypes: {{}}}}}}
described: {{templates: ["a {{}}.", "a drawing of a {{}}."]}}
"""
MOST = 1000  #: writes of a task: far more than any here makes


@dataclass(frozen=True)
class Case:
    """A task: how to start anew, one attempt (killed before or after its n-th write; 0: not), whether its output is equal.

    ``document``: the object name of its task document.
    """

    name: str
    document: str
    forget: Callable[[], None]
    attempt: Callable[[int, str], int]
    equal: Callable[[], bool]
    said: Callable[[], str]

    def kill(self, at: int, when: str) -> bool:
        """Whether that write was met."""
        code = self.attempt(at, when)
        assert code in (KILLED, 0), self.said()
        return code == KILLED

    def check(self, where: str) -> None:
        assert self.attempt(0, "before") == 0, self.said()
        assert self.equal(), f"{self.name}: {where}"


def tasks_of(season: Season, step: str) -> list[str]:
    return sorted(name for name, ref in season.tasks().items() if ref.step == step)


@pytest.mark.slow
@pytest.mark.parametrize("step", [step for step in STEPS if step != STEP])
def test_killed_at_writes_and_resumed_equals_uninterrupted(season: Season, ward: Ward, step: str) -> None:
    """Promise 2. Mutation tried: checkpoints that leave out the optimizer's state; the digest of finetune differs.

    With TLBATCH_CHAOS=1 at every write of the first task of each step, and of others at ever sparser ones. The first trainings
    are of a network that adapts, of a head on features that were aligned, and of a network alone.
    """
    names = tasks_of(season, step)[:3]
    assert names, f"no task of step {step} in the two nights: a step that is never killed"
    for number, name in enumerate(names):
        case = task_case(ward, name, season.tasks()[name])
        how = (at_every_write if number == 0 else ever_sparser) if CHAOS else one_after_the_other
        boundaries = how(case)
        assert boundaries, f"{name}: no write was met"
        record(f"step {step}", "SIGKILL before and after writes to the store", "equal", boundaries)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("evaluate:on-features-size", ("task",)),  # before its training is forgotten here, whose files it reads
        ("together:on-features:0", ("tasks", ("train", "task_weights"))),
        ("together:unfrozen:0", ("tasks", "strategy", ("train", "task_weights"))),
        ("evaluate:mobilenet-v2-described", ("described",)),
        ("episodes", ()),
        ("evaluate:extended", ()),
    ],
)
def test_what_several_tasks_and_few_labels_ask_for_is_killed_too(
    season: Season, ward: Ward, name: str, asks: tuple[str | tuple[str, str], ...]
) -> None:
    """Promise 2, of those methods by name: the table above takes the first tasks of each step.

    Mutations tried: the learnt uncertainties, or the sums of each task, are left out of the checkpoint; both trainings differ.
    """
    found = [each for each in season.tasks() if each == name or each.startswith(f"{name}:")]
    assert found, f"no task {name} in the season; it has {', '.join(season.tasks())}"
    ref = season.tasks()[found[0]]
    case = task_case(ward, name, ref)
    params = json.loads(ward.store.get(task_name(ref.key)))["params"]
    for asked in asks:
        value = params[asked] if isinstance(asked, str) else params[asked[0]][asked[1]]
        assert value, f"{name} does not ask for {asked}: {params}"
    boundaries = (at_every_write if CHAOS else one_after_the_other)(case)
    assert boundaries, f"{name}: no write was met"
    record(f"{name}", "SIGKILL before and after writes to the store", "equal", boundaries)


@chaos_only
def test_prompts_are_killed_too(tmp_path: Path) -> None:
    """Promise 2, of a CLIP network of full size (seeded weights): its features, and the row that no label is read for."""
    weights = save_full("ViT-B-32", tmp_path / "clip.safetensors")
    draw_shapes(tmp_path / "images", 10)
    store = open_store(str(tmp_path / "store"))
    asked = parse_study(PROMPTS.format(weights=weights), folder=tmp_path)
    outcome = run_study(asked, store, KeptBackend(store, 1), Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    refs = {work.name: work.ref for work in outcome.works if work.ref is not None}
    named = [name for name in refs if name.startswith("extract:") or name.endswith("-no-labels")]
    assert len(named) == 2, sorted(refs)
    with open_ward(store, tmp_path / "ward") as ward:
        for name in named:
            boundaries = one_after_the_other(task_case(ward, name, refs[name]))
            assert boundaries, f"{name}: no write was met"
            record(f"{name}, CLIP", "SIGKILL before and after writes to the store", "equal", boundaries)


@pytest.mark.slow
def test_a_prediction_killed_at_writes_and_gone_on_with_is_the_same(season: Season, ward: Ward) -> None:
    """Its output is no artifact but a folder: every byte of it. With TLBATCH_CHAOS=1 at every write."""
    case = prediction_case(season, ward)
    boundaries = (at_every_write if CHAOS else one_after_the_other)(case)
    assert boundaries
    record(f"step {STEP}", "SIGKILL before and after writes to the stores", "equal", boundaries)


def task_case(ward: Ward, name: str, ref: InputRef) -> Case:
    """First undisturbed, in this store: equal to what the study's own run left, but for a report, which tells times."""
    ward.forget(ref)
    assert ward.attempt(ref) == 0, ward.said()
    again = replace(ref, digest=ward.manifest(ref).digest)
    assert again == ref or ref.step == "report"
    return Case(
        name,
        task_name(ref.key),
        lambda: ward.forget(ref),
        lambda at, when: ward.attempt(ref, at, when),
        lambda: ward.manifest(ref).digest == again.digest,
        ward.said,
    )


def prediction_case(season: Season, ward: Ward) -> Case:
    """Of eight pictures and a file that is none, in parts of three, by a head on features."""
    pictures = ward.folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for number, path in enumerate(sorted(season.nights.images.rglob("*.*"))[:8]):
        (pictures / f"{number}{path.suffix}").write_bytes(path.read_bytes())
    (pictures / "none.jpg").write_bytes(b"no picture")
    model = season.tasks()[next(name for name in tasks_of(season, "finetune") if "dense-head" in name)]
    chosen = choose_model(f"{ward.store.url}/artifacts/finetune/{model.key}", ward.store.url)
    out = open_store(str(ward.folder / "predicted"))
    prediction = Prediction(chosen, str(pictures), out, list_pictures(str(pictures)), chunk=3)
    ref = InputRef(STEP, prediction.task.key, "")

    def forget() -> None:
        clear(out)
        ward.forget(ref)
        begin(prediction)

    def content() -> dict[str, bytes]:
        return {stat.name: out.get(stat.name) for stat in out.list()}

    forget()
    assert ward.attempt(ref) == 0, ward.said()
    whole = content()
    assert {"summary.json", "bad.jsonl"} <= whole.keys()
    assert sum(name.startswith("predictions/") for name in whole) == 3
    return Case(
        STEP, task_name(ref.key), forget, lambda at, when: ward.attempt(ref, at, when), lambda: content() == whole, ward.said
    )


def one_after_the_other(case: Case) -> int:
    """One life after the other ends at a write of its own, nothing is cleaned between; then one that lives."""
    chance, killed = random.Random(case.name), 0
    case.forget()
    for at in (1, 2, chance.randint(3, 6), chance.randint(3, 9)):
        killed += case.kill(at, chance.choice(["before", "after"]))
    case.check("killed four times")
    return killed


def at_every_write(case: Case) -> int:
    """Each write in turn, before and after; the next life must end equally."""
    return _kill_along(case, lambda at: at + 1)


def ever_sparser(case: Case) -> int:
    """The first writes in turn, then ever fewer up to the last, before and after."""
    chance = random.Random(case.name)
    return _kill_along(case, lambda at: at + chance.randint(1, 1 + at // 2))


def _kill_along(case: Case, after: Callable[[int], int]) -> int:
    killed = 0
    for when in ("before", "after"):
        at, met = 0, True
        while met:
            at = after(at)
            assert at < MOST, f"{case.name} writes without end"
            case.forget()
            met = case.kill(at, when)
            case.check(f"killed {when} write {at}")
            killed += met
    return killed
