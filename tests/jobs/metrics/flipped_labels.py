"""Flipped labels, and who finds them: jobs.metrics.label_errors and cleanlab, fed with the same out-of-fold probabilities.

``python -m tests.jobs.metrics.flipped_labels SHARED [FEATURES]`` measures on the photographs of SHARED (data/dog-breeds,
data/dogs-vs-cats; MobileNetV2's features at 160 pixels, kept in the folder FEATURES where one is given) and prints the table of
docs/statistics.md: about four minutes of one core for features, eight for the rest.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.metrics.label_errors import CS, odds_of, out_of_fold, rank
from jobs.statistics.predictions import Floats, Ints

SHARES, SEEDS, SHOWN = (0.02, 0.05, 0.1, 0.2), (0, 1, 2), 50
OURS = "ours: log odds"
DATA = (("dog-breeds", 200), ("dogs-vs-cats", 600))  #: and photographs a class
SIZE = 160


@dataclass(frozen=True)
class Flipped:
    """Labels [n] of which those at ``wrong`` [n] are not the true ones."""

    labels: Ints
    wrong: NDArray[np.bool_]


def flip(truth: Ints, share: float, seed: int, alike: Ints | None = None) -> Flipped:
    """A share of labels drawn at random, each moved to any other class, or to the one ``alike`` [classes] names for its own."""
    chance, classes = np.random.default_rng(seed), int(truth.max()) + 1
    places = chance.choice(len(truth), round(share * len(truth)), replace=False)
    labels = truth.copy()
    away = (truth[places] + chance.integers(1, classes, len(places))) % classes
    labels[places] = away if alike is None else alike[truth[places]]
    return Flipped(labels, labels != truth)


def probabilities_of(features: NDArray[np.float32], labels: Ints) -> Floats:
    """[n, classes] out of fold, all that ``out_of_fold`` looks at, every image a unit."""
    n, classes = len(labels), int(labels.max()) + 1
    whole = np.empty((len(CS), n, classes))

    def also(place: int, held: Ints, probabilities: Floats) -> None:
        whole[place, held] = probabilities

    odds = out_of_fold(features, labels, classes, np.arange(n), also=also)
    (chosen,) = [each for each in whole if (each[np.arange(n), labels] == odds.p_label).all()]
    return np.asarray(chosen)


def most_alike(probabilities: Floats, truth: Ints) -> Ints:
    """[classes] for each the other class that its images look most like, by mean probability."""
    means = np.stack([probabilities[truth == label].mean(axis=0) for label in range(probabilities.shape[1])])
    np.fill_diagonal(means, -1.0)
    return np.asarray(means.argmax(axis=1))


def suspicion(probabilities: Floats, labels: Ints) -> dict[str, Floats]:
    """Score -> [n], the higher the more suspect: ours and all of cleanlab's."""
    from cleanlab.rank import get_label_quality_scores

    scores = {OURS: odds_of(probabilities, labels).log}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        for adjusted in (False, True) if method != "confidence_weighted_entropy" else (False,):
            quality = get_label_quality_scores(labels, probabilities, method=method, adjust_pred_probs=adjusted)
            scores[f"cleanlab: {method}{', adjusted' if adjusted else ''}"] = -quality
    return scores


def lists(probabilities: Floats, labels: Ints) -> dict[str, Ints]:
    """List -> places, the most suspect first, as a user gets them."""
    from cleanlab.filter import find_label_issues

    found = {
        "ours: list": np.array(
            [suspect.place for suspect in rank(odds_of(probabilities, labels), labels, len(labels))], dtype=np.int64
        )
    }
    for kind in ("prune_by_noise_rate", "both", "confident_learning", "predicted_neq_given"):
        options = {"filter_by": kind, "return_indices_ranked_by": "normalized_margin", "n_jobs": 1}
        found[f"cleanlab: find_label_issues, {kind}"] = find_label_issues(labels, probabilities, **options)
    return found


def measures(scores: Floats, wrong: NDArray[np.bool_]) -> dict[str, float]:
    """Precision among the first k (k: how many are wrong), average precision, ROC AUC, wrong ones among the first SHOWN."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    order = np.argsort(-scores, kind="stable")
    return {
        "p@k": float(wrong[order[: wrong.sum()]].mean()),
        "ap": float(average_precision_score(wrong, scores)),
        "auc": float(roc_auc_score(wrong, scores)),
        "shown": float(wrong[order[:SHOWN]].sum()),
    }


def list_measures(places: Ints, wrong: NDArray[np.bool_]) -> dict[str, float]:
    """How long the list is, how much of it is wrong, how much of what is wrong it has; wrong ones among the first SHOWN."""
    hits = wrong[places]
    return {
        "length": float(len(places)),
        "precision": float(hits.mean()) if len(places) else 1.0,
        "recall": float(hits.sum() / wrong.sum()),
        "p@k": float(hits[: wrong.sum()].sum() / wrong.sum()),
        "shown": float(hits[:SHOWN].sum()),
    }


def photographs(shared: Path, kept: Path | None) -> Iterator[tuple[str, NDArray[np.float32], Ints]]:
    """Data set, features [n, 1280], true classes [n]."""
    for name, per_class in DATA:
        file = kept / f"{name}.npz" if kept else None
        if file is None or not file.is_file():
            found = _features(shared, name, per_class)
            if file is None:
                yield name, *found
                continue
            np.savez(file, X=found[0], y=found[1])
        stored = np.load(file)
        yield name, stored["X"], stored["y"]


def _features(shared: Path, name: str, per_class: int) -> tuple[NDArray[np.float32], Ints]:
    import torch
    from PIL import Image, ImageOps
    from safetensors.torch import load_file
    from torchvision.models import mobilenet_v2
    from torchvision.transforms.functional import normalize, to_tensor

    network = mobilenet_v2()
    network.load_state_dict(load_file(shared / "weights/mobilenet_v2_torchvision_norm.safetensors"))
    network.eval()
    folders = sorted(path for path in (shared / "data" / name).iterdir() if path.is_dir())
    rows, labels = [], []
    for label, folder in enumerate(folders):
        for path in sorted(folder.iterdir())[:per_class]:
            image = ImageOps.fit(Image.open(path).convert("RGB"), (SIZE, SIZE), Image.Resampling.BILINEAR)
            pixels = normalize(to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
            with torch.inference_mode():
                rows.append(network.features(pixels[None]).mean((2, 3))[0].numpy())
            labels.append(label)
    return np.stack(rows), np.array(labels, dtype=np.int64)


def long_tail(features: NDArray[np.float32], truth: Ints) -> tuple[NDArray[np.float32], Ints]:
    """All of the first class, ever fewer of the next, a tenth of the last."""
    counts = np.geomspace(1.0, 0.1, int(truth.max()) + 1)
    keep = np.concatenate([np.flatnonzero(truth == k)[: round(float(c) * (truth == k).sum())] for k, c in enumerate(counts)])
    return features[keep], truth[keep]


Settings = tuple[str, float, NDArray[np.float32], Ints, Ints | None]


def settings(shared: Path, kept: Path | None) -> Iterator[Settings]:
    """What is flipped how, share, features, truth, and the classes to flip to."""
    for name, features, truth in photographs(shared, kept):
        clean = probabilities_of(features, truth)
        print(
            f"{name}: {len(truth)} photographs, accuracy out of fold {(clean.argmax(axis=1) == truth).mean():.3f}", flush=True
        )
        for share in SHARES:
            yield f"{name}, to any other", share, features, truth, None
            if clean.shape[1] > 2:
                yield f"{name}, to the most alike", share, features, truth, most_alike(clean, truth)
        if clean.shape[1] > 2:
            for share in (0.05, 0.2):
                yield f"{name}, 200 to 20 a class, to any other", share, *long_tail(features, truth), None


Rows = dict[str, list[Mapping[str, float]]]


def measure(shared: Path, kept: Path | None) -> None:
    kinds: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    for kind, share, features, truth, alike in settings(shared, kept):
        found = judge(features, truth, share, SEEDS, alike)
        print(f"\n{kind}, {share:.0%} of {len(truth)}: mean of {len(SEEDS)} draws")
        print(table(found), flush=True)
        for name, rows in found.items():
            kinds[kind][name] += rows
    for kind, found in kinds.items():
        print(f"\n{kind}, all shares alike\n{table(found)}")


def judge(features: NDArray[np.float32], truth: Ints, share: float, seeds: Sequence[int], alike: Ints | None) -> Rows:
    """Score or list -> its measures, one a draw."""
    rows: Rows = defaultdict(list)
    for seed in seeds:
        drawn = flip(truth, share, seed, alike)
        p = probabilities_of(features, drawn.labels)
        for name, scores in suspicion(p, drawn.labels).items():
            rows[name].append(measures(scores, drawn.wrong))
        for name, places in lists(p, drawn.labels).items():
            rows[name].append(list_measures(places, drawn.wrong))
    return rows


def mean(rows: Sequence[Mapping[str, float]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    lines = []
    for name, rows in found.items():
        lines.append(f"  {name:50}" + "  ".join(f"{key} {mean(rows, key):.3f}" for key in rows[0]))
    return "\n".join(lines)


if __name__ == "__main__":
    measure(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
