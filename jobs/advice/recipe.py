"""The runs of a study that does what is advised, and measures it: beside what is recommended, what it is held against. Pure."""

from __future__ import annotations

from typing import Any

from jobs.advice.choice import Choice

SCRATCH = {"name": "from-scratch", "model": {"scratch": {"channels": [16, 64, 128], "dense": [512]}}}
FINETUNED = {
    "name": "finetuned",
    "strategy": {"finetune": {"unfreeze": "all", "warm_up": 1, "lr_decay": 0.5}},
    "train": {"epochs": 10, "optimizer": "adamw", "lr": 3e-4, "schedule": "cosine", "early_stopping": {"patience": 3}},
}


def recommended_runs(choice: Choice) -> list[dict[str, Any]]:
    """As a study's ``runs``; the backbone is filled in by who knows the study (``candidate``: its number there).

    Features of what is recommended in any case; fine-tuned where that is advised; from scratch where nothing else is; and
    features of the dearer ones that it ties with, so that the tie is settled.
    """
    own = choice.recommended
    layer = {} if own.better_than_usual is None else {"layer": own.layer.name}
    features = {"name": "features", "model": {"candidate": own.judged.asked.asked, **layer, "head": {"logistic": {}}}}
    runs: list[dict[str, Any]] = [features]
    if choice.how == "finetune":
        runs.append(FINETUNED | {"model": {"candidate": own.judged.asked.asked, "head": {"dropout": 0.2}}})
    if choice.how == "scratch":
        runs.insert(0, SCRATCH)
    if own is not choice.best:
        best = choice.best.judged.asked
        model: dict[str, Any] = {"candidate": best.asked, "head": {"logistic": {}}}
        runs.append({"name": f"features-{best.name}"[:40].rstrip("-"), "model": model})
    return runs
