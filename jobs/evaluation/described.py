"""Classes that a network has no output for, known by their descriptions: convex combinations of semantic embeddings.

Norouzi et al. (2014), "Zero-shot learning by convex combination of semantic embeddings" (ConSE): an item is embedded as the
mean of the embeddings of the likeliest outputs, weighted by their probabilities; the class whose own embedding is nearest by
cosine is named. An output's embedding, and a class', is that of its text: TF-IDF over the texts of all 1,000 outputs (names and
WordNet's definitions), or the mean of given word vectors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.metrics.calibration import softmax
from jobs.statistics.estimate import Estimate
from jobs.statistics.predictions import Floats, Predictions
from jobs.statistics.shares import exact_share_interval, mean_of_shares
from tlbatch import nouns
from tlbatch.contracts.evaluation import DescribedParams
from tlbatch.errors import StudyError

SHARPNESS = 20.0
"""Cosines times this are the logits: there are no labels to fit a temperature on, so how sure it is means little."""
WORD = re.compile(r"[^\W\d_]{2,}")


def imagenet_texts() -> list[str]:
    """Names and definition of each of the 1,000 outputs, in their order; timm's copy of WordNet's."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [str(info.index_to_description(index, detailed=True)) for index in range(len(info.label_names()))]  # type: ignore[no-untyped-call]


def texts_of(
    classes: Sequence[str], mapping: Mapping[str, Sequence[int]], given: Mapping[str, str], outputs: Sequence[str]
) -> list[str]:
    """What is known of each class: its name and the study's text, else the texts of its outputs."""
    return [
        f"{name.replace('_', ' ')}: {given[name]}" if name in given else "; ".join(outputs[index] for index in mapping[name])
        for name in classes
    ]


def by_terms(outputs: Sequence[str], classes: Sequence[str]) -> tuple[Floats, Floats]:
    """TF-IDF of the outputs' texts [1,000, terms] and of the classes' [c, terms], English stop words left out."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms = TfidfVectorizer(stop_words="english")
    embedded = terms.fit_transform(outputs).toarray()
    return np.asarray(embedded), np.asarray(terms.transform(classes).toarray())


def by_vectors(path: Path, outputs: Sequence[str], classes: Sequence[str]) -> tuple[Floats, Floats]:
    """Means of the vectors of each text's words [1,000, d] and [c, d]; words without a vector are passed over.

    The file has a word and its numbers in each line, with a heading of two numbers or without. Raises StudyError for others.
    """
    words = [WORD.findall(text.lower()) for text in (*outputs, *classes)]
    found = _read_vectors(path, {word for each in words for word in each})
    if not found:
        raise StudyError("described.vectors: no word of the texts has a vector there: is it a text file of word vectors?")
    size = len(next(iter(found.values())))
    means = [np.mean([found[word] for word in each if word in found] or [np.zeros(size)], axis=0) for each in words]
    return np.array(means[: len(outputs)]), np.array(means[len(outputs) :])


def _read_vectors(path: Path, wanted: set[str]) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            word, *values = line.rstrip().split(" ")
            if word not in wanted or len(values) < 2:
                continue
            try:
                vector = np.array(values, dtype=np.float64)
            except ValueError:
                vector = np.array([np.nan])
            if not np.isfinite(vector).all() or any(len(vector) != len(other) for other in found.values()):
                raise StudyError(f"described.vectors: line {number} is no word with as many numbers as the others have")
            found.setdefault(word, vector)
    return found


def class_probabilities(
    logits: Floats,
    mapping: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    asked: DescribedParams,
    vectors: Path | None,
) -> Floats:
    """[n, c] of ``logits`` [n, 1,000]. Outputs that mean an unseen class say nothing.

    Raises StudyError where a text says nothing either, and for networks and files that are of something else.
    """
    outputs = imagenet_texts()
    if logits.shape[1] != len(outputs):
        raise StudyError(f"described: the network has {logits.shape[1]} outputs, and not ImageNet's {len(outputs)}")
    texts = texts_of(classes, mapping, asked.texts, outputs)
    embedded, own = by_terms(outputs, texts) if vectors is None else by_vectors(vectors, outputs, texts)
    silent = [name for name, row in zip(classes, own, strict=True) if not row.any()]
    if silent:
        raise StudyError(f"described: no word of the text of {silent[0]} is known: say more of it in described.texts")
    hidden = [index for name in asked.unseen for index in mapping.get(name, ())]
    return softmax(SHARPNESS * cosines(combined(logits, embedded, hidden, asked.top), own))


def combined(logits: Floats, embedded: Floats, hidden: Sequence[int], top: int) -> Floats:
    """[n, d] of each item: sum of p · embedding over the ``top`` likeliest outputs but ``hidden`` ones, p scaled to sum 1."""
    scores = logits.astype(np.float64).copy()
    scores[:, list(hidden)] = -np.inf
    top = min(top, scores.shape[1] - len(set(hidden)))
    places = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    p = softmax(np.take_along_axis(scores, places, axis=1))
    return np.asarray(np.einsum("nt,ntd->nd", p, embedded[places]))


def cosines(items: Floats, classes: Floats) -> Floats:
    """[n, c]; 0 where an item has no direction."""
    lengths = np.linalg.norm(items, axis=1, keepdims=True)
    directions = np.divide(items, lengths, out=np.zeros_like(items), where=lengths > 0)
    return np.asarray(directions @ (classes / np.linalg.norm(classes, axis=1, keepdims=True)).T)


# -- how well -----------------------------------------------------------------------------------------------------------


def judge_unseen(predictions: Predictions, classes: Sequence[str], unseen: Sequence[str]) -> dict[str, Any]:
    """Mean recall of unseen classes and of seen ones, and their harmonic mean, all classes being possible answers.

    {value, low, high} each (generalised zero-shot learning: Xian et al. 2019), with 95 % intervals: Clopper and Pearson's of
    the recalls, at their effective numbers of items, joined by MOVER; of the harmonic mean, which rises with both, from their
    ends. ``seen`` and ``harmonic`` are null where every class is unseen or none of the others was tested.
    """
    new = set(unseen)
    of_unseen = _mean_recall(predictions, [place for place, name in enumerate(classes) if name in new])
    of_seen = _mean_recall(predictions, [place for place, name in enumerate(classes) if name not in new])
    both = None
    if of_unseen is not None and of_seen is not None:
        both = {end: _harmonic(of_unseen[end], of_seen[end]) for end in ("value", "low", "high")}
    return {"classes": list(unseen), "chance": 1 / len(classes), "unseen": of_unseen, "seen": of_seen, "harmonic": both}


def _mean_recall(predictions: Predictions, places: Sequence[int]) -> dict[str, float] | None:
    """Over those of these classes that were tested; None where none was."""
    parts = []
    for place in places:
        of = predictions.labels == place
        if of.any():
            right = predictions.right[of]
            low, high = exact_share_interval(right, predictions.groups[of])
            parts.append(Estimate(float(right.mean()), low, high, len(right), "Clopper-Pearson"))
    if not parts:
        return None
    low, high = mean_of_shares(parts)
    return {"value": float(np.mean([part.value for part in parts])), "low": low, "high": high}


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def sentence_of(document: Mapping[str, Any]) -> str:
    """For the task's log."""
    unseen = document["unseen"]
    right = "none was tested" if unseen is None else f"{unseen['value']:.1%} of their {nouns.items()} right"
    return f"{len(document['classes'])} classes by description: {right}"
