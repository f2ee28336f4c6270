"""What the domains looked like before: of features their own, of a network that adapts those of its control."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from jobs.reporting.views.adaptation import _before, domains_seen


class Model(dict[str, Any]):
    """A finetune artifact with these documents."""

    def read_json(self, name: str) -> Any:
        return self[name]


def run(name: str, **told: Any) -> Any:
    return SimpleNamespace(name=name, first_model=Model({"adaptation.json": told} if told else {}))


def found(own: Any, *controls: Any) -> Any:
    return SimpleNamespace(run=own, contrasts=[SimpleNamespace(b=each) for each in controls])


NETWORK: dict[str, Any] = {"method": "dann", "distance": {"after": 0.2}, "places": {"after": {"target": [[2, 2]]}}}
ALONE: dict[str, Any] = {"method": "source_only", "distance": {"after": 1.8}, "places": {"after": {"target": [[1, 1]]}}}


def test_a_network_is_held_against_its_first_control_that_tells() -> None:
    each = found(run("dann", **NETWORK), run("target-supervised"), run("source-only", **ALONE))
    assert domains_seen(each) == {
        "method": "dann",
        "distance": {"before": 1.8, "after": 0.2},
        "places": {"before": {"target": [[1, 1]]}, "after": {"target": [[2, 2]]}},
    }
    assert _before(each) == "(those of source-only) "


def test_features_bring_their_own_and_nobody_elses_are_taken() -> None:
    told = {**NETWORK, "distance": {"before": 1.0, "after": 0.2}, "places": {"before": {}, "after": {}}}
    each = found(run("coral", **told), run("source-only", **ALONE))
    assert domains_seen(each) == told
    assert _before(each) == ""


def test_without_any_there_is_nothing_or_what_was_after_alone() -> None:
    assert domains_seen(found(run("pooled"), run("source-only", **ALONE))) == {}
    assert domains_seen(found(run("dann", **NETWORK), run("target-supervised"))) == NETWORK
