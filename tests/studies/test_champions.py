"""Champions made by people, from real executions: promoted, rolled back, and a history that tells of all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.studies.shapes import Bench
from tlbatch.champions.champion import load_champion, terms
from tlbatch.champions.decisions import apply_decision, decisions
from tlbatch.cli import main
from tlbatch.execution.launch import Outcome
from tlbatch.schedules.pins import Pins, save_pins
from tlbatch.store import open_store
from tlbatch.store.documents import sealed
from tlbatch.tasks import InputRef

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    first_run: tuple[Bench, Outcome], bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Call:
    """``tlbatch champion …`` on a copy of the store after the first run: exit code, what it printed, what went wrong."""
    monkeypatch.setenv("TLBATCH_STORE", str(bench.store))
    monkeypatch.setenv("TLBATCH_USER", "ada")

    def champion(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["champion", *arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return champion


def test_promoted_by_hand_then_another_then_back_and_back(call: Call, bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    execution = first_run[1].execution.id
    assert call("promote", "shapes", execution, "--run", "cnn")[0] == 0
    assert call("promote", "shapes", "shapes", "--run", "features", "--seed", "0")[0] == 0
    code, out, _ = call("promote", "shapes", execution, "--run", "dense-head")
    assert code == 0
    assert f"By hand: dense-head (seed 0) of execution {execution} takes the place of number 2; accuracy " in out
    code, out, _ = call("rollback", "shapes")
    assert (code, out.splitlines()[0]) == (0, "shapes is now number 4: features, seed 0")
    code, out, _ = call("rollback", "shapes")
    assert (code, out.splitlines()[0]) == (0, "shapes is now number 5: cnn, seed 0")
    code, _, err = call("rollback", "shapes")
    assert (code, err.strip()) == (2, "shapes has no champion before number 1: `tlbatch champion history shapes`")
    code, out, _ = call("promote", "shapes", "--serial", "3")
    assert (code, out.splitlines()[0]) == (0, "shapes is now number 6: dense-head, seed 0")
    chain = terms(open_store(str(bench.store)), "shapes")
    assert [(term.serial, term.run, term.restores) for term in chain] == [
        (6, "dense-head", 3),
        (5, "cnn", 1),
        (4, "features", 2),
        (3, "dense-head", None),
        (2, "features", None),
        (1, "cnn", None),
    ]
    assert [term.by for term in chain[:3]] == ["promoted by ada", "rolled back by ada", "rolled back by ada"]
    assert chain[2].models == chain[4].models
    text = call("history", "shapes")[1]
    assert [line.split()[2:4] for line in text.splitlines() if line.startswith("20")] == [
        ["number", str(n)] for n in range(6, 0, -1)
    ]


def test_a_model_that_may_know_the_pinned_images_is_crowned_with_a_warning(
    call: Call, bench: Bench, first_run: tuple[Bench, Outcome]
) -> None:
    warning = "It may have been trained on test images that shapes holds on to"
    assert warning not in call("promote", "shapes", first_run[1].execution.id, "--run", "cnn")[1]
    save_pins(open_store(str(bench.store)), "shapes", Pins(InputRef("pin", "0" * 40, "1" * 64), version=1))
    assert warning in call("promote", "shapes", first_run[1].execution.id, "--run", "features")[1]
    assert warning in call("show", "shapes")[1]


def test_what_is_shown_is_what_was_evaluated(call: Call, bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    call("promote", "shapes", first_run[1].execution.id, "--run", "features")
    text, document = call("show", "shapes")[1], json.loads(call("show", "shapes", "-o", "json")[1])
    assert first_run[1].report is not None
    reported = next(run for run in first_run[1].report["runs"] if run["name"] == "features")["metrics"]["accuracy"]
    assert document["metrics"]["accuracy"]["value"] == reported["value"]
    assert document["classes"] == ["disc", "square"]
    assert list(document["models"]) == ["model:0"]
    assert f"accuracy           {reported['value']:.3f} [{reported['low']:.3f}, {reported['high']:.3f}]" in text
    assert "promoted by ada" in text
    assert "test images        not pinned" in text
    assert document in json.loads(call("show", "-o", "json")[1])  # of all schedules


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["promote", "shapes"], "name an EXECUTION, or an earlier champion by --serial N"),
        (["promote", "shapes", "shapes"], "has 3 evaluated runs: name one with --run (cnn, dense-head, features)"),
        (["promote", "shapes", "shapes", "--run", "feature"], "has no run 'feature' (did you mean 'features'?)"),
        (["promote", "shapes", "shapes", "--run", "cnn", "--seed", "7"], "cnn has no seed 7: there are 0"),
        (["promote", "../x", "shapes", "--run", "cnn"], "'../x' is no name for a champion"),
        (["promote", "..", "shapes", "--run", "cnn"], "'..' is no name for a champion"),
        (["promote", ".", "shapes", "--run", "cnn"], "'.' is no name for a champion"),
        (["promote", "", "shapes", "--run", "cnn"], "'' is no name for a champion"),
        (["promote", "a\nb", "shapes", "--run", "cnn"], "is no name for a champion"),
        (["promote", "shapes", "--serial", "1"], "no champion 'shapes'"),
        (["show", "shapes"], "no champion 'shapes'"),
        (["rollback", "shapes", "--to", "1"], "no champion 'shapes'"),
        (["history", "shapes"], "no champion 'shapes'"),
    ],
)
def test_what_cannot_be_is_a_sentence(call: Call, arguments: list[str], sentence: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_serials_that_are_not_there_or_stand_already(call: Call, first_run: tuple[Bench, Outcome]) -> None:
    for run in ("cnn", "features"):
        call("promote", "shapes", first_run[1].execution.id, "--run", run)
    assert "no champion number 9: there are 1, 2;" in call("rollback", "shapes", "--to", "9")[2]
    assert "number 2 is what shapes stands by already" in call("rollback", "shapes", "--to", "2")[2]
    call("rollback", "shapes", "--to", "1")
    assert "number 1 is what shapes stands by already (now number 3)" in call("rollback", "shapes", "--to", "1")[2]


def test_history_tells_of_refusals_too(call: Call, bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    call("promote", "shapes", first_run[1].execution.id, "--run", "cnn")
    store = open_store(str(bench.store))
    said: dict[str, Any] = {"outcome": "refused", "sentence": "dense-head is worse.", "challenger": {"run": "dense-head"}}
    apply_decision(store, "shapes", "shapes-2", said, InputRef("decide", "d" * 40, ""), None, load_champion(store, "shapes"))
    text = call("history", "shapes")[1].splitlines()
    assert text[0].split(maxsplit=2)[2] == "refused    dense-head, execution shapes-2"
    assert text[1].strip() == "dense-head is worse."
    document = json.loads(call("history", "shapes", "-o", "json")[1])
    assert document["decisions"] == decisions(store, "shapes")
    assert [term["serial"] for term in document["terms"]] == [1]


def test_an_execution_that_is_incomplete_or_gone(call: Call, bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    execution = first_run[1].execution.id
    plan = bench.store / "executions" / execution / "plan.json"
    document = json.loads(plan.read_text())
    (bench.store / "artifacts" / "evaluate" / document["tasks"]["evaluate:features"]["key"] / "manifest.json").unlink()
    assert "evaluate:features of" in call("promote", "shapes", execution, "--run", "features")[2]
    document["tasks"]["evaluate:cnn"]["state"] = "failed"
    plan.write_bytes(sealed(document))
    assert "cnn is not evaluated (failed)" in call("promote", "shapes", execution, "--run", "cnn")[2]
