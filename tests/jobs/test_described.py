"""Classes known by their descriptions: ConSE as its paper has it, hidden outputs say nothing, intervals that cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import softmax
from statsmodels.stats.proportion import proportion_confint

from jobs.evaluation.described import (
    by_terms,
    by_vectors,
    class_probabilities,
    combined,
    cosines,
    imagenet_texts,
    judge_unseen,
    texts_of,
)
from jobs.statistics.predictions import Predictions
from tlbatch.backbones.imagenet import class_mapping, known_outputs
from tlbatch.backbones.imagenet import classes as outputs
from tlbatch.contracts.evaluation import DescribedParams
from tlbatch.errors import StudyError
from tlbatch.spec import parse_study

BREEDS = ("beagle", "samoyed", "dingo")
ASKED = DescribedParams(unseen=BREEDS, texts={}, vectors=None, top=10)


def logits(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 1000)) * 4


def test_it_is_the_papers_formula() -> None:
    """f(x) = 1/Z sum over the T likeliest outputs of p(y|x) s(y), and the class of the nearest embedding by cosine."""
    chance, said = np.random.default_rng(1), logits(20)
    embedded, own, hidden = chance.normal(size=(1000, 7)), chance.normal(size=(3, 7)), [5, 17]
    expected = []
    for row in softmax(said, axis=1):
        row[hidden] = 0
        top = np.argsort(row)[-10:]
        expected.append((row[top, None] * embedded[top]).sum(axis=0) / row[top].sum())
    found = combined(said, embedded, hidden, 10)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(cosines(found, own), 1 - cdist(np.array(expected), own, "cosine"), rtol=1e-9)


def test_outputs_of_unseen_classes_say_nothing() -> None:
    """Breaks when a hidden output gets in by its probability or among the likeliest ten."""
    said, mapping = logits(8), known_outputs(BREEDS)
    other = said.copy()
    other[:, [index for found in mapping.values() for index in found]] = 50.0
    ours, theirs = (class_probabilities(each, mapping, BREEDS, ASKED, None) for each in (said, other))
    np.testing.assert_array_equal(ours, theirs)


def test_a_network_sure_of_terriers_names_the_terrier() -> None:
    """Real texts: what an unseen class is like is what its description says."""
    said = np.full((3, 1000), -10.0)
    places = {name: index for index, (_, names) in enumerate(outputs()) for name in names}
    for row, likely in enumerate(("basset", "malamute", "dhole")):
        said[row, next(index for name, index in places.items() if likely in name.lower())] = 10.0
    p = class_probabilities(said, known_outputs(BREEDS), BREEDS, ASKED, None)
    assert [BREEDS[place] for place in p.argmax(axis=1)] == list(BREEDS)


def test_texts_are_of_the_outputs_in_their_order() -> None:
    texts = imagenet_texts()
    assert len(texts) == 1000
    for text, (_, names) in zip(texts, outputs(), strict=True):
        assert names[0].lower() in text.lower()
    own = texts_of(("quoll", "beagle"), {"beagle": [162]}, {"quoll": "small spotted marsupial"}, texts)
    assert own[0] == "quoll: small spotted marsupial"
    assert own[1] == texts[162]
    terms, of = by_terms(texts, own)
    likeliest = " ".join(texts[index] for index in np.argsort(-(terms @ of[0]))[:10])
    assert "koala" in likeliest


def test_vectors_are_means_of_words(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\nsmall 1 0\nhound 0 2\nunused 7 7\n")
    embedded, own = by_vectors(path, ["a small hound", "nothing of it"], ["hound"])
    np.testing.assert_allclose(embedded, [[0.5, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(own, [[0.0, 2.0]])


@pytest.mark.parametrize("text", ["", "no vectors here\n", "small 1 x\n", "small 1 0\nhound 1 0 3\n", "small nan 1\n"])
def test_other_files_are_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(StudyError, match=r"described\.vectors: "):
        by_vectors(path, ["small hound"], ["small"])


def test_a_class_whose_text_says_nothing_is_a_sentence() -> None:
    asked = ASKED.model_copy(update={"unseen": ("zzyzx",), "texts": {"zzyzx": "qqq"}})
    with pytest.raises(StudyError, match="no word of the text of zzyzx is known"):
        class_probabilities(logits(2), {}, ("zzyzx",), asked, None)


def predictions(recalls: tuple[float, ...], n: int, chance: np.random.Generator) -> Predictions:
    labels = np.repeat(np.arange(len(recalls)), n)
    right = chance.random(len(labels)) < np.array(recalls)[labels]
    p = np.full((len(labels), len(recalls)), 0.1)
    p[np.arange(len(labels)), np.where(right, labels, (labels + 1) % len(recalls))] = 0.9
    return Predictions(labels, p / p.sum(axis=1, keepdims=True), np.arange(len(labels)))


def test_one_unseen_class_has_the_exact_interval() -> None:
    found = judge_unseen(predictions((0.4, 0.9), 50, np.random.default_rng(0)), ("a", "b"), ("a",))
    right = round(found["unseen"]["value"] * 50)
    low, high = proportion_confint(right, 50, method="beta")
    assert (found["unseen"]["low"], found["unseen"]["high"]) == (pytest.approx(low), pytest.approx(high))
    a, b = found["unseen"]["value"], found["seen"]["value"]
    assert found["harmonic"]["value"] == pytest.approx(2 / (1 / a + 1 / b))


@pytest.mark.parametrize("n", [10, 40])
def test_intervals_cover(n: int) -> None:
    """1,000 simulated test sets: each of the three holds the truth 93 times in a hundred or more."""
    recalls, chance = (0.1, 0.5, 0.8, 0.95), np.random.default_rng(3)
    truth = {"unseen": 0.3, "seen": 0.875, "harmonic": 2 * 0.3 * 0.875 / 1.175}
    held = dict.fromkeys(truth, 0)
    for _ in range(1000):
        found = judge_unseen(predictions(recalls, n, chance), ("a", "b", "c", "d"), ("a", "b"))
        for name, value in truth.items():
            held[name] += found[name]["low"] <= value <= found[name]["high"]
    assert min(held.values()) >= 930, held


def test_mapping_asks_for_all_and_known_outputs_for_what_there_is() -> None:
    assert class_mapping([*BREEDS, "quoll"]) is None
    assert set(known_outputs([*BREEDS, "quoll"])) == set(BREEDS)


STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: by-text
dataset: {url: images, classes: [beagle, quoll], split: {train: 8, validation: 4, test: 4}}
runs: [{name: one, model: {backbone: efficientnet_lite0, head: {logistic: {}}}}]
described: DESCRIBED
"""


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        ("{unseen: [beagel]}", "'beagel' is no class of this study \\(did you mean 'beagle'"),
        ("{texts: {quol: spotted}}", "'quol' is no class of this study"),
        ("{texts: {quoll: ' '}}", "is empty: say what the class looks like"),
        ("{top: 0}", "top"),
    ],
)
def test_wrong_names_are_refused_with_their_place(described: str, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        parse_study(STUDY.replace("DESCRIBED", described))
