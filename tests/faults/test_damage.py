"""Damage of every kind of stored file, and every command: a sentence or the same result, never a bug, nothing else lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Season, Ward, digests
from tests.faults.damage import (
    CODES,
    DAMAGES,
    HANGS_S,
    Said,
    Whole,
    broken,
    files_of,
    inflict,
    kind_of,
    kinds,
    named,
    silent,
    stopped_clock,
    tlbatch,
)
from tests.faults.records import record
from tests.requirements import CHAOS, chaos_only
from tests.studies.shapes import Bench
from tests.tlbatch.fsck.conftest import ID, fill
from tests.tlbatch.listed import lay_out
from tests.tlbatch.schedules.pets import STUDY as PETS
from tlbatch.champions.champion import Champion, crown
from tlbatch.champions.judged import pinned_images
from tlbatch.records.executions import Execution
from tlbatch.schedules.schedule import HERE, StoredSchedule, change_schedule
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import manifest_name
from tlbatch.store.documents import shaped
from tlbatch.tasks import InputRef, load_task

SEED = int(os.environ.get("TLBATCH_SEED") or (time.time() if CHAOS else 1))
QUICK_CASES = 20
READING_S, STEPS_S, RUNS_S, FIRINGS_S = 90.0, 60.0, 60.0, 40.0  #: how long the full versions go on drawing cases
LISTS = ("list", "report list", "schedule list", "champion show")
OTHER = "birds"
TRIES = 4


def reading(store: str, folder: Path, name: str, execution: str, task: str, study: Path) -> dict[str, tuple[str, ...]]:
    """Every command that only reads, on the schedule, champion or execution meant."""
    at = ("--store", store)
    return {
        "list": ("list", *at),
        "status": ("status", execution, *at),
        "status -o json": ("status", execution, *at, "-o", "json"),
        "report show": ("report", "show", execution, *at),
        "report list": ("report", "list", *at),
        "report pull": ("report", "pull", execution, str(folder / "pulled"), *at),
        "report open": ("report", "open", execution, "--print", *at),
        "schedule list": ("schedule", "list", *at),
        "schedule show": ("schedule", "show", name, *at),
        "schedule history": ("schedule", "history", name, *at),
        "champion show": ("champion", "show", *at),
        "champion show NAME": ("champion", "show", name, *at),
        "champion history": ("champion", "history", name, *at),
        "logs": ("logs", task, "--execution", execution, *at),
        "why": ("why", execution, *at),
        "check": ("check", str(study), *at),
        "gc --dry-run": ("gc", "--dry-run", *at),
        "fsck": ("fsck", store),
        "fsck --quick": ("fsck", store, "--quick"),
    }


def others(store: Store, like: InputRef) -> None:
    """A schedule, a champion and an execution of another study: they must go on whatever happens to the first."""
    text = PETS.replace("name: pets", f"name: {OTHER}")
    change_schedule(store, OTHER, lambda _: StoredSchedule(OTHER, text, 1.0, 1.0, where=HERE))
    crown(store, Champion(OTHER, 1, OTHER, "cnn", 0, {"model:0": like}, like, like, classes=("a",)), None)
    execution = Execution(store, f"{OTHER}-20261128-0412-abcd")
    execution.save_study(text)
    execution.save_plan({"study": OTHER, "tasks": {}})
    execution.save_status({"state": "succeeded", "study": OTHER, "tasks": {}})
    store.put(execution.name("report/report.json"), b'{"study": "birds"}')


class Reading:
    """Reading commands on one store: damage a file, ask them all, hold their answers against those of the whole store."""

    def __init__(self, whole: Whole, commands: dict[str, tuple[str, ...]]) -> None:
        self.whole, self.commands = whole, commands
        whole.restore()
        self.before = self._ask()
        wrong = [f"{name}: {said.all}" for name, said in self.before.items() if said.code != 0]
        assert not wrong, wrong
        self.codes: dict[tuple[str, int], int] = {}

    def faults(self, name: str, damage: str, chance: random.Random) -> list[str]:
        """What is wrong with the commands after ``name`` was damaged."""
        self.whole.restore()
        path = self.whole.store / name
        data = path.read_bytes()
        now = inflict(path, damage, chance)
        state, found = self.whole.state(), []
        for command, said in self._ask().items():
            wrong = broken(said) + ([f"{said.seconds:.0f} s"] if said.seconds > HANGS_S else [])
            if silent(self.before[command], said, name, data, damage, now):
                wrong.append("it says something else and not why")
            if command in LISTS and OTHER not in name and OTHER not in said.out:
                wrong.append(f"{OTHER} is not listed any more")
            found += [f"{command} ({name} {damage}, {now[:60]!r}): {each}: {said.all[-300:]}" for each in wrong]
            self.codes[damage, said.code] = self.codes.get((damage, said.code), 0) + 1
        return found + [f"({name} {damage}) changed: {each}" for each in self._lost(name, state)]

    def _lost(self, name: str, before: dict[str, tuple[int, int]]) -> list[str]:
        """What reading has changed; manifests whose own file, or whose files, are damaged may be set aside."""
        after = self.whole.state()
        aside = {each.rpartition(".bad-")[0] for each in after if ".bad-" in each}
        changed = {each for each in before if each not in after or after[each] != before[each]}
        made = {each for each in after if each not in before and ".bad-" not in each}
        named = {each for each in changed & aside if each == name or name.encode() in (self.whole.original / each).read_bytes()}
        return sorted((changed | made) - named)

    def _ask(self) -> dict[str, Said]:
        shutil.rmtree(self.whole.store.parent / "pulled", ignore_errors=True)
        with stopped_clock():
            return {name: tlbatch(*arguments) for name, arguments in self.commands.items()}


def cases(store: Path, chance: random.Random) -> Iterator[tuple[str, str, str]]:
    """(kind, name, damage) without end: every kind with one damage, then again with the next."""
    found = kinds(store)
    order = {kind: chance.sample(sorted(DAMAGES), len(DAMAGES)) for kind in found}
    for turn in range(10**6):
        for kind in chance.sample(sorted(found), len(found)):
            yield kind, chance.choice(found[kind]), order[kind][turn % len(DAMAGES)]


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No context, no cluster, a folder and a cache of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "none.yaml"))
    monkeypatch.setenv("TLBATCH_CACHE", str(tmp_path / "cache"))
    for name in ("TLBATCH_STORE", "TLBATCH_CONTEXT", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_reading_commands_name_what_is_damaged(tmp_path: Path) -> None:
    """A sample, on a store with one of everything. Mutation tried: `read` takes what is no JSON for absent."""
    store = open_store(str(tmp_path / "original"))
    refs = fill(store)
    others(store, refs["evaluate"])
    whole = Whole(tmp_path / "original", tmp_path / "store")
    study = lay_out(tmp_path, "pets", ("a", "b"))
    asked = Reading(whole, reading(str(whole.store), tmp_path, "pets", ID, "finetune", study))
    chance = random.Random(SEED)
    found = []
    for _, (_, name, damage) in zip(range(QUICK_CASES), cases(whole.original, chance), strict=False):
        found += asked.faults(name, damage, chance)
    assert not found, "\n".join([f"TLBATCH_SEED={SEED}", *found])


# -- at length, on a store that two firings of a schedule left ------------------------------------------------------------


@pytest.fixture(scope="module")
def grand(season: Season, ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The season's store, with the checkpoints of a training that was killed and a second schedule."""
    ref = season.tasks()["finetune:cnn:0"]
    ward.forget(ref)
    ward.attempt(ref, 14)
    folder = tmp_path_factory.mktemp("grand") / "store"
    shutil.copytree(ward.folder / "store", folder)
    assert ward.attempt(ref) == 0, ward.said()
    for file in files_of(season.nights.store).items():
        if manifest_name(ref.step, ref.key).rpartition("/")[0] in file[0]:
            (folder / file[0]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file[1], folder / file[0])
    others(open_store(str(folder)), season.tasks()["evaluate:cnn"])
    return folder


def told(what: str, codes: dict[tuple[str, int], int], words: dict[int, str] | None = None) -> None:
    for (damage, code), times in sorted(codes.items()):
        good = (words or {}).get(code, "the same answer, or the damage is named")
        record(what, f"a stored file: {damage}", good if code == 0 else f"exit {code} and a sentence", times)


@chaos_only
@pytest.mark.slow
def test_every_kind_of_file_and_every_reading_command(season: Season, grand: Path, tmp_path: Path) -> None:
    """Promise 9. Mutation tried: ``each_readable`` that lets an error pass."""
    whole = Whole(grand, tmp_path / "store")
    execution, study = season.second.execution.id, season.nights.study
    asked = Reading(whole, reading(str(whole.store), tmp_path, "shapes", execution, "finetune:cnn:0", study))
    chance, found = random.Random(SEED), []
    until = time.monotonic() + READING_S
    for _, name, damage in cases(grand, chance):
        found += asked.faults(name, damage, chance)
        if time.monotonic() > until:
            break
    assert not found, "\n".join([f"TLBATCH_SEED={SEED}", *found])
    told("commands that read", asked.codes)


@chaos_only
@pytest.mark.slow
def test_comparing_reports_of_damaged_runs(season: Season, grand: Path, tmp_path: Path) -> None:
    whole = Whole(grand, tmp_path / "store")
    both = (season.first.execution.id, season.second.execution.id)
    asked = Reading(whole, {"report compare": ("report", "compare", *both, "--store", str(whole.store))})
    read = [name for name in files_of(grand) if name.startswith(("artifacts/evaluate", "artifacts/prepare", "executions"))]
    chance, found = random.Random(SEED), []
    for _ in range(8):
        found += asked.faults(chance.choice(read), chance.choice(sorted(DAMAGES)), chance)
    assert not found, "\n".join([f"TLBATCH_SEED={SEED}", *found])
    told("report compare", asked.codes)


def input_files(ward: Ward, ref: InputRef) -> list[str]:
    """What a task reads: the files of its inputs, and what is under ``work/`` for it."""
    task = load_task(ward.store, ref.key)
    assert task is not None
    manifests = [ward.manifest(each) for each in task.inputs.values()]
    files = [entry.path for manifest in manifests for entry in manifest.files.values()]
    return files + [stat.name for stat in ward.store.list(f"work/{ref.key}/") if "/logs/" not in stat.name]


@chaos_only
@pytest.mark.slow
def test_steps_on_damaged_inputs(season: Season, ward: Ward) -> None:
    """Promise 9. A step ends equal (what was damaged decides nothing, or is made again), or refuses with a sentence."""
    whole, chance, codes = Whole(season.nights.store, ward.folder / "store"), random.Random(SEED), {}
    tasks, until = season.tasks(), time.monotonic() + STEPS_S
    while time.monotonic() < until:
        ref = tasks[chance.choice(sorted(name for name, each in tasks.items() if each.step != "report"))]
        whole.restore()
        ward.forget(ref)
        if chance.random() < 0.6 and ward.attempt(ref, chance.randint(3, 14)) == 0:  # else: files of half an attempt
            ward.forget(ref)
        kept = [name for name in input_files(ward, ref) if ref.step != "finetune" or "/shards/" not in name]
        own = [name for name in kept if name.startswith("work/")]
        name, damage = chance.choice(own if own and chance.random() < 0.5 else kept), chance.choice(sorted(DAMAGES))
        inflict(whole.store / name, damage, chance)
        code = ward.attempt(ref)
        said = f"TLBATCH_SEED={SEED}: {ref.step} {name} {damage}: {code}\n{ward.said()}"
        assert code in CODES, said
        assert code != 0 or ward.manifest(ref).digest == ref.digest, said
        codes[damage, code] = codes.get((damage, code), 0) + 1
    whole.restore()
    told("steps", codes, {0: "equal"})


def until_done(command: tuple[str, ...]) -> list[Said]:
    """The same command until it ends well, a few times."""
    said: list[Said] = []
    while len(said) < TRIES and not (said and said[-1].code == 0):
        said.append(tlbatch(*command))
    return said


@chaos_only
@pytest.mark.slow
def test_a_study_run_again_on_a_damaged_store(whole: Bench, undisturbed: dict[str, str], tmp_path: Path) -> None:
    """Promises 1 and 9: what was damaged and is needed is made again, or named; the rest is kept and equal."""
    copy, chance, codes = Whole(whole.store, tmp_path / "store"), random.Random(SEED), {}
    needed = [name for name in files_of(whole.store) if not name.startswith(("executions/", "work/rates"))]
    some = {kind_of(name): name for name in chance.sample(needed, len(needed))}
    until = time.monotonic() + RUNS_S
    while time.monotonic() < until:
        copy.restore()
        for path in copy.store.glob("artifacts/*/*/manifest.json"):
            if path.parts[-3] in ("evaluate", "report") or (path.parts[-3] == "finetune" and chance.random() < 0.5):
                path.unlink()  # what goes must be computed from what is damaged
        name, damage = some[chance.choice(sorted(some))], chance.choice(sorted(DAMAGES))
        if not (copy.store / name).exists():
            continue
        inflict(copy.store / name, damage, chance)
        said = until_done(("run", str(whole.study), "--store", str(copy.store), "-q", "--cores", "1"))
        words = f"TLBATCH_SEED={SEED}: {name} {damage}\n" + "\n".join(f"{each.code}: {each.all[-800:]}" for each in said)
        assert not [wrong for each in said for wrong in broken(each)], words
        if said[-1].code == 0:
            found = digests(open_store(str(copy.store)))
            assert {key: found.get(key) for key in undisturbed} == undisturbed, words
        else:
            assert named(name, said[-1].all), words
        codes[damage, said[-1].code] = codes.get((damage, said[-1].code), 0) + 1
    told("run, what follows forgotten", codes, {0: "equal"})


@chaos_only
@pytest.mark.slow
def test_a_firing_on_a_damaged_store(season: Season, grand: Path, tmp_path: Path) -> None:
    """Promise 9: no damage makes a firing pin another test set, or crown another champion."""
    whole, chance, codes = Whole(grand, tmp_path / "store"), random.Random(SEED), {}
    trigger = ("schedule", "trigger", "shapes", "--here", "--store", str(whole.store), "-q", "--cores", "1")
    ours = [name for name in files_of(grand) if "shapes" in name and not name.endswith((".svg", ".png", ".md", ".csv"))]
    before = {name: (grand / name).read_bytes() for name in ("schedules/shapes/pins.json", "champions/shapes.json")}
    until = time.monotonic() + FIRINGS_S
    for name in chance.sample(ours, len(ours)):
        whole.restore()
        damage = chance.choice(sorted(DAMAGES))
        now = inflict(whole.store / name, damage, chance)
        said = tlbatch(*trigger)
        words = f"TLBATCH_SEED={SEED}: {name} {damage}: {said.code} {said.all[-800:]}"
        assert not broken(said), words
        for kept, data in before.items():
            path = whole.store / kept
            there = path.read_bytes() if path.is_file() else b""
            assert there in (data, now) or _stands(whole.store, there, data), f"{words}\n{kept}: {there!r}"
        codes[damage, said.code] = codes.get((damage, said.code), 0) + 1
        if time.monotonic() > until:
            break
    told("schedule trigger --here", codes, {0: "nothing lost"})


def _stands(folder: Path, now: bytes, before: bytes) -> bool:
    """The same test images, the same champion: only what is counted has gone on, and who pins them (each firing's own task)."""
    new, old = json.loads(now), json.loads(before)
    if "ref" not in old:
        return bool(new["record"] == old["record"])
    store = open_store(str(folder))
    tested = [pinned_images(store, shaped(InputRef)(each["ref"])) for each in (new, old)]
    return (
        bool(tested[0]) and tested[0] == tested[1] and new["version"] == old["version"] and new["uses"]["1"] >= old["uses"]["1"]
    )
