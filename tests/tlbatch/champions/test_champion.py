"""Champions: moved by compare-and-swap, with a history that is complete whatever happens."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections import Counter
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest

from tlbatch.champions.champion import BeatenError, Champion, champion_names, crown, find_champion, load_champion, terms
from tlbatch.champions.decisions import apply_decision, decisions, record_decision
from tlbatch.champions.promoting import bring_back
from tlbatch.errors import StudyError
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import FileEntry, Manifest, manifest_name
from tlbatch.store.documents import DamagedError, sealed
from tlbatch.tasks import InputRef

MODEL = InputRef("finetune", "a" * 40, "a" * 64)
DECIDED, PINS = InputRef("decide", "d" * 40, "d" * 64), InputRef("pin", "b" * 40, "b" * 64)
ROUNDS = 50


def evaluation(store: Store, key: str = "e" * 40) -> InputRef:
    """An evaluation as far as a champion reads it: its classes."""
    path = f"artifacts/evaluate/{key}/one/metrics.json"
    data = json.dumps({"classes": ["cat", "dog"]}).encode()
    store.put(path, data)
    manifest = Manifest("evaluate", key, {"metrics.json": FileEntry(path, len(data), hashlib.sha256(data).hexdigest())})
    store.put(manifest_name("evaluate", key), manifest.to_json())
    return InputRef("evaluate", key, manifest.digest)


def champion(serial: int = 1, **fields: Any) -> Champion:
    made: dict[str, Any] = {"study": "pets", "run": "head", "seed": 0, "models": {"model:0": MODEL}, "evaluation": MODEL}
    return Champion("pets", serial, **{**made, "by": f"execution {serial}", **fields})


def decision(store: Store, outcome: str = "promoted", run: str = "head") -> dict[str, Any]:
    """What the decide step writes, as far as it is resolved here."""
    challenger = {
        "run": run,
        "seed": 3,
        "models": {"model:3": MODEL.__dict__},
        "evaluation": evaluation(store).__dict__,
        "metrics": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}},
    }
    return {"outcome": outcome, "sentence": f"{run} is {outcome}.", "challenger": challenger, "test": {"version": 2}}


def files(store: Store) -> list[str]:
    return [stat.name for stat in store.list("champions/")]


def resolve(store: Store, execution: str, said: dict[str, Any], seen: Any = None) -> Champion | None:
    return apply_decision(store, "pets", execution, said, DECIDED, PINS, seen or load_champion(store, "pets"), lambda: 1e9)


def test_one_after_the_other_and_the_history_is_theirs(store: Store) -> None:
    assert load_champion(store, "pets") == (None, None)
    assert terms(store, "pets") == []
    etag = None
    for serial in (1, 2, 3):
        crowned = crown(store, champion(serial, before=serial - 1 or None), etag)
        present, etag = load_champion(store, "pets")
        assert present == crowned
    assert [(term.serial, term.before) for term in terms(store, "pets")] == [(3, 2), (2, 1), (1, None)]
    assert [term.previous for term in terms(store, "pets")[:-1]] == [term.record for term in terms(store, "pets")[1:]]
    assert champion_names(store) == ["pets"]


def test_who_saw_an_older_champion_is_beaten_and_leaves_nothing(store: Store) -> None:
    crown(store, champion(1), None)
    _, etag = load_champion(store, "pets")
    crown(store, champion(2), etag)
    before = files(store)
    for stale in (etag, None):
        with pytest.raises(BeatenError, match=r"the champion of pets changed meanwhile: it is now number 2 \(execution 2\)"):
            crown(store, champion(2, run="other"), stale)
    assert files(store) == before


def test_a_swap_lost_at_the_last_moment_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process comes between our record and our swap."""
    put, raced = store.put, list[bool]()

    def racing(name: str, data: bytes, **condition: Any) -> str:
        if name == "champions/pets.json" and not raced:
            raced.append(True)
            crown(store, champion(1, run="faster"), None)
        return put(name, data, **condition)

    monkeypatch.setattr(store, "put", racing)
    with pytest.raises(BeatenError, match="number 1"):
        crown(store, champion(1, run="slower"), None)
    assert [term.run for term in terms(store, "pets")] == ["faster"]
    assert len(files(store)) == 2


@pytest.mark.parametrize(
    ("now", "said"), [({}, ""), ({"test_version": 2}, " on other test images"), ({"study": "cats"}, " on other test images")]
)
def test_without_the_evaluations_the_version_tells_test_sets_apart(store: Store, now: dict[str, Any], said: str) -> None:
    """Two firings pin the same images under keys of their own. ``now``: how the later champion differs."""
    for serial, (value, fields) in enumerate(((0.8, {}), (0.9, now)), 1):
        pins = InputRef("pin", str(serial) * 40, str(serial) * 64)
        made = champion(serial, before=serial - 1 or None, pins=pins, metrics={"accuracy": {"value": value}}, **fields)
        crown(store, made, load_champion(store, "pets")[1])
    assert bring_back(store, "pets", None, "ada").sentence.endswith(f"; accuracy 0.800, against 0.900{said}. No test was made.")


def scored(store: Store, key: str, ids: str, labels: list[int]) -> InputRef:
    """An evaluation of these images."""
    path = f"artifacts/evaluate/{key * 40}/one/predictions.json"
    data = json.dumps({"ids": list(ids), "labels": labels, "classes": ["cat", "dog"]}).encode()
    store.put(path, data)
    entry = FileEntry(path, len(data), hashlib.sha256(data).hexdigest())
    manifest = Manifest("evaluate", key * 40, {"predictions.json": entry})
    store.put(manifest_name("evaluate", key * 40), manifest.to_json())
    return InputRef("evaluate", key * 40, manifest.digest)


@pytest.mark.parametrize(
    ("ids", "labels", "said"),
    [
        ("abc", [0, 0, 1], ""),
        ("cab", [1, 0, 0], ""),
        ("abd", [0, 0, 1], " on other test images"),
        ("abc", [0, 1, 1], " on other"),
    ],
)
def test_test_images_are_compared_by_content_whatever_made_them(store: Store, ids: str, labels: list[int], said: str) -> None:
    """A study without pins, on the very same images, counts as of the same. What breaks it: origins compared, as it was."""
    first = champion(1, pins=PINS, metrics={"accuracy": {"value": 0.8}}, evaluation=scored(store, "1", "abc", [0, 0, 1]))
    other = {"study": "cats", "pins": None, "test_version": 1, "metrics": {"accuracy": {"value": 0.9}}}
    crown(store, first, None)
    second = champion(2, before=1, **other, evaluation=scored(store, "2", ids, labels))
    crown(store, second, load_champion(store, "pets")[1])
    sentence = bring_back(store, "pets", None, "ada").sentence
    assert (" on other test images" in sentence) == bool(said)


def test_a_record_is_read_leniently_and_a_newer_format_refused(store: Store) -> None:
    crowned = crown(store, champion(1, pins=PINS, decided=DECIDED, restores=None, classes=("cat", "dog")), None)
    document = json.loads(store.get(crowned.record))
    assert Champion.from_json(json.dumps({**document, "later": 1}).encode()) == crowned
    few = {name: document[name] for name in ("name", "serial", "study", "run", "seed", "models", "evaluation")}
    assert Champion.from_json(json.dumps(few).encode()).classes == ()
    with pytest.raises(StudyError, match="format 2, this tlbatch reads up to 1; upgrade it"):
        Champion.from_json(json.dumps({**document, "format": 2}).encode())


def test_who_is_not_there_is_a_sentence(store: Store) -> None:
    with pytest.raises(StudyError, match=r"no champion 'pets' .*a schedule's first firing"):
        find_champion(store, "pets")
    crowned = crown(store, champion(1), None)
    assert find_champion(store, "pets")[0] == crowned
    with pytest.raises(StudyError, match=r"no champion 'pest' .*did you mean 'pets'\?\); there: pets"):
        find_champion(store, "pest")
    with pytest.raises(StudyError, match=r"no champion '\.\./x'"):
        find_champion(store, "../x")


def test_a_damaged_pointer_and_a_lost_record_are_sentences(store: Store) -> None:
    crowned = crown(store, champion(1), None)
    store.delete([crowned.record])
    with pytest.raises(DamagedError, match=r"it is gone, a champion's record\): restore it"):
        load_champion(store, "pets")
    store.put("champions/pets.json", b"{ cut off")
    with pytest.raises(DamagedError, match=r"pets\.json is damaged \(it is not JSON\): `tlbatch fsck"):
        load_champion(store, "pets")


@pytest.mark.parametrize("outcome", ["first", "promoted"])
def test_a_settled_decision_crowns_and_is_recorded(store: Store, outcome: str) -> None:
    crowned = resolve(store, "pets-1", decision(store, outcome))
    assert crowned is not None
    assert crowned == load_champion(store, "pets")[0]
    assert (crowned.serial, crowned.run, crowned.seed, crowned.test_version) == (1, "head", 3, 2)
    assert (crowned.classes, crowned.pins, crowned.decided, crowned.crowned) == (("cat", "dog"), PINS, DECIDED, 1e9)
    assert (crowned.by, crowned.sentence) == ("execution pets-1", f"head is {outcome}.")
    assert crowned.metrics["accuracy"]["low"] == 0.8
    (recorded,) = decisions(store, "pets")
    assert (recorded["execution"], recorded["outcome"], recorded["settled"]) == ("pets-1", outcome, {"serial": 1})


@pytest.mark.parametrize("outcome", ["refused", "same"])
def test_what_crowns_nobody_is_recorded_too(store: Store, outcome: str) -> None:
    assert resolve(store, "pets-1", decision(store, outcome)) is None
    assert load_champion(store, "pets") == (None, None)
    assert [document["outcome"] for document in decisions(store, "pets")] == [outcome]


def test_beaten_meanwhile_is_recorded_with_a_sentence(store: Store) -> None:
    seen = load_champion(store, "pets")
    resolve(store, "pets-1", decision(store, "first"), seen)
    assert resolve(store, "pets-2", decision(store, "first", run="late"), seen) is None
    said = next(document for document in decisions(store, "pets") if document["execution"] == "pets-2")
    assert said["outcome"] == "beaten"
    assert said["sentence"].startswith("late is first. It was not crowned: the champion of pets changed meanwhile: it is now")
    assert [term.run for term in terms(store, "pets")] == ["head"]


def test_a_driver_that_starts_anew_resolves_once(store: Store) -> None:
    seen, said = load_champion(store, "pets"), decision(store, "first")
    crowned = resolve(store, "pets-1", said, seen)
    (name,) = [name for name in files(store) if "/decisions/" in name]
    for later in (seen, load_champion(store, "pets")):
        assert resolve(store, "pets-1", said, later) == crowned
        assert resolve(store, "pets-1", {**said, "outcome": "same"}, later) == crowned
    store.put(name, sealed({**json.loads(store.get(name)), "settled": None}))  # it died before it wrote this
    assert resolve(store, "pets-1", {**said, "outcome": "same"}, load_champion(store, "pets")) == crowned
    (recorded,) = decisions(store, "pets")
    assert (recorded["settled"], recorded["outcome"]) == ({"serial": 1}, "first")
    assert len(terms(store, "pets")) == 1


def test_decisions_are_the_newest_first(store: Store) -> None:
    for when in (1.0, 3e9, 2e9):
        record_decision(store, "pets", f"pets-{when:g}", {"outcome": "refused"}, lambda now=when: now)  # type: ignore[misc]
    assert [document["execution"] for document in decisions(store, "pets")] == ["pets-3e+09", "pets-2e+09", "pets-1"]


def _drive(url: str, who: str, together: Barrier, results: Any) -> None:
    """One of two drivers: each round both see the same champion and resolve a promotion at the same moment."""
    store = open_store(url)
    said = decision(store, run=who)
    for number in range(ROUNDS):
        seen = load_champion(store, "pets")
        together.wait()
        made = resolve(store, f"{who}-{number}", said, seen)
        results.put((number, who if made is not None else None))
        together.wait()


def test_of_two_drivers_that_promote_at_once_exactly_one_wins_fifty_times(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(2), context.Queue()
    drivers = [context.Process(target=_drive, args=(store.url, who, together, results)) for who in ("one", "two")]
    for driver in drivers:
        driver.start()
    said = [results.get(timeout=60) for _ in range(2 * ROUNDS)]
    for driver in drivers:
        driver.join(30)
    winners = {number: [who for n, who in said if n == number and who] for number in range(ROUNDS)}
    assert all(len(won) == 1 for won in winners.values())
    history = list(reversed(terms(store, "pets")))
    assert [term.serial for term in history] == list(range(1, ROUNDS + 1))
    assert [term.run for term in history] == [winners[number][0] for number in range(ROUNDS)]
    assert Counter(document["outcome"] for document in decisions(store, "pets")) == {"promoted": ROUNDS, "beaten": ROUNDS}
    records = {name for name in files(store) if "/decisions/" not in name}
    assert records == {"champions/pets.json", *(term.record for term in history)}
