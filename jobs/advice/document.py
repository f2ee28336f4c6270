"""``advice.json``, and the ``report.json`` beside it that every reader of reports shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.advice.baselines import Ranking
from jobs.advice.choice import Choice, Contender, Rival
from jobs.advice.judging import Images, Judged, JudgedLayer, Share
from jobs.advice.recipe import recommended_runs
from jobs.reporting.document import finite
from jobs.reporting.formatting import count, number, percent, signed_points
from tlbatch.contracts.advice import AdviseParams

FORMAT = 1
COLUMNS = [
    "candidate",
    "layer",
    "probe",
    "95 % interval",
    "log loss",
    "k-NN",
    "LogME",
    "H-score",
    "LEEP",
    "NCE",
    "ImageNet top-1",
    "parameters",
]


def advice_document(
    params: AdviseParams,
    images: Images,
    judged: Sequence[Judged],
    choice: Choice,
    ranked: Sequence[Ranking],
    said: Sequence[str],
) -> dict[str, Any]:
    """JSON values only."""
    document = {
        "format": FORMAT,
        "study": params.study,
        "classes": list(params.classes),
        "images": {"read": images.n, "units": len(set(images.units.tolist())), "whole": images.whole},
        "recommended": _contender(choice.recommended) | {"how": choice.how},
        "best": choice.best.name,
        "ties": [rival.contender.name for rival in choice.ties],
        "comparisons": [_rival(rival) for rival in choice.rivals],
        "gain_over_random": choice.gain.to_json() if choice.gain else None,
        "candidates": [_candidate(each, choice) for each in judged],
        "scores": [each.__dict__ | {"title": each.title} for each in ranked],
        "runs": recommended_runs(choice),
        "sentences": list(said),
    }
    found = finite(document)
    assert isinstance(found, dict)
    return found


def report_document(params: AdviseParams, choice: Choice, judged: Sequence[Judged], said: Sequence[str]) -> dict[str, Any]:
    """First sentence, table, other sentences: what ``tlbatch report`` shows of any execution."""
    floors = [each for each in judged if each.asked.floor]
    rows = [_row(each, choice) for each in choice.contenders] + [_floor_row(each) for each in floors]
    return {
        "format": FORMAT,
        "study": params.study,
        "first_sentence": said[0],
        "sentences": list(said[1:]),
        "warnings": [],
        "best_run": None,
        "table": {"columns": COLUMNS, "rows": rows},
    }


def _row(contender: Contender, choice: Choice) -> list[str]:
    mark = " *" if contender is choice.recommended else ""
    return _cells(contender.judged, contender.layer, f"{contender.title}{mark}")


def _floor_row(floor: Judged) -> list[str]:
    return _cells(floor, floor.own, floor.asked.title)


def _cells(judged: Judged, layer: JudgedLayer, title: str) -> list[str]:
    asked = judged.asked
    interval = f"{100 * layer.probe.low:.1f} to {100 * layer.probe.high:.1f}"
    scores = [number(layer.logme), number(layer.h_score), number(judged.leep), number(judged.nce)]
    top1 = "–" if asked.top1 is None else f"{asked.top1:.1f} %" + ("†" if asked.top1_of else "")
    return [
        title,
        layer.name,
        percent(layer.probe.value),
        interval,
        number(layer.log_loss),
        percent(layer.knn.value),
        *scores,
        top1,
        count(asked.parameters),
    ]


def _candidate(judged: Judged, choice: Choice) -> dict[str, Any]:
    layer = next((each.layer.name for each in choice.contenders if each.judged is judged), judged.default)
    return {
        **judged.asked.as_json(),
        "judged_layer": layer,
        "default_layer": judged.default,
        "leep": judged.leep,
        "nce": judged.nce,
        "layers": [_layer(each) for each in judged.layers],
    }


def _layer(layer: JudgedLayer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "stage": layer.stage,
        "dim": layer.dim,
        "probe": _share(layer.probe),
        "log_loss": layer.log_loss,
        "knn": _share(layer.knn),
        "logme": layer.logme,
        "h_score": layer.h_score,
    }


def _share(share: Share) -> dict[str, float]:
    return dict(share.__dict__)


def _contender(contender: Contender) -> dict[str, Any]:
    found = contender.better_than_usual
    return {
        "name": contender.name,
        "title": contender.title,
        "asked": contender.judged.asked.asked,
        "layer": contender.layer.name,
        "usual_layer": contender.judged.default,
        "probe": _share(contender.layer.probe),
        "better_than_usual": found.to_json() if found else None,
    }


def _rival(rival: Rival) -> dict[str, Any]:
    return {
        "best_minus": rival.contender.name,
        "tie": rival.tie,
        "points": signed_points(rival.difference.value),
        **rival.difference.to_json(),
    }
