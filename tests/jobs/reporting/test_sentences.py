"""What the report claims, and what it must not claim."""

from __future__ import annotations

import pytest

from jobs.reporting.analysis import Analysis, analyse
from jobs.reporting.document import build_document
from jobs.reporting.sentences import contrast_sentence
from jobs.reporting.sources import load_sources
from tests.jobs.reporting.conftest import BuildStudy
from tests.jobs.reporting.drawn import StudyOnDisk, Trained

CLASSES = ["cat", "dog"]
SCRATCH = Trained("cnn", 1.0)
FEATURES = Trained("features", 3.5, pretrained=True, strategy="features")


def analysis_of(study: StudyOnDisk) -> Analysis:
    return analyse(load_sources(study.context()))


def said(analysis: Analysis) -> str:
    return " ".join([analysis.findings.first_sentence, *analysis.findings.sentences])


def test_help_is_said_first_with_the_tests_words(build_study: BuildStudy) -> None:
    found = analysis_of(build_study(CLASSES, [SCRATCH, FEATURES]))
    sentence = found.findings.first_sentence
    assert sentence.startswith("Transfer helped: this model, features")
    for words in (
        "of 400 test images",
        "points more than cnn",
        "95 % interval of the difference +",
        "exact McNemar test, p < 0.001",
    ):
        assert words in sentence
    assert found.findings.verdict == "helped"


def test_harm_is_called_harm(build_study: BuildStudy) -> None:
    found = analysis_of(
        build_study(CLASSES, [Trained("cnn", 3.5), Trained("features", 1.0, pretrained=True, strategy="features")])
    )
    assert found.findings.first_sentence.startswith("Transfer harmed: this model, features")
    assert "points fewer than cnn" in found.findings.first_sentence
    assert found.findings.best is not None
    assert found.findings.best.name == "cnn"


def test_no_difference_is_not_dressed_up(build_study: BuildStudy) -> None:
    found = analysis_of(
        build_study(CLASSES, [Trained("cnn", 2.0), Trained("features", 2.05, pretrained=True, strategy="features")])
    )
    sentence = found.findings.first_sentence
    assert sentence.startswith("No difference shown: this model")
    assert "not told apart from" in sentence
    assert "smallest difference this test could show with 80 % power" in sentence
    assert "helped" not in said(found)
    assert "harmed" not in said(found)


@pytest.mark.promise(6)
def test_one_seed_is_a_model_three_are_a_method(build_study: BuildStudy) -> None:
    """Fails when a method needs four seeds."""
    seeds = (0, 1, 2)
    runs = [Trained("cnn", 1.0, seeds=seeds), Trained("features", 3.5, pretrained=True, strategy="features", seeds=seeds)]
    three = analysis_of(build_study(CLASSES, runs))
    assert "this method, features" in three.findings.first_sentence
    assert "t test over 3 seeds" in three.findings.first_sentence
    assert "this model" not in three.findings.first_sentence


@pytest.mark.promise(6)
def test_two_seeds_are_not_yet_a_method(build_study: BuildStudy) -> None:
    """Fails when two seeds are enough to speak of a method."""
    runs = [Trained("cnn", 0.5, seeds=(0, 1)), Trained("features", 4.5, pretrained=True, strategy="features", seeds=(0, 1))]
    assert "this method" not in said(analysis_of(build_study(CLASSES, runs)))


@pytest.mark.promise(6)
def test_a_study_that_does_not_beat_no_labels_says_so_first(build_study: BuildStudy) -> None:
    """Fails when only a loss against no labels is said first."""
    zero = Trained("no-labels", 3.6, pretrained=True, zero_label=True)
    found = analysis_of(build_study(CLASSES, [SCRATCH, FEATURES, zero]))
    sentence = found.findings.first_sentence
    assert sentence.startswith("Not shown to beat no labels at all: the best run, features")
    assert "does not beat no-labels" in sentence
    assert "transfer helped: this model, features" in sentence
    assert found.findings.beats_no_labels is False


def test_worse_than_no_labels(build_study: BuildStudy) -> None:
    zero = Trained("no-labels", 6.0, pretrained=True, zero_label=True)
    runs = [Trained("cnn", 0.5), Trained("features", 1.5, pretrained=True, strategy="features"), zero]
    assert analysis_of(build_study(CLASSES, runs)).findings.headline == "Worse than no labels at all"


def test_labels_that_paid_are_said_to_pay(build_study: BuildStudy) -> None:
    zero = Trained("no-labels", 1.5, pretrained=True, zero_label=True)
    found = analysis_of(build_study(CLASSES, [SCRATCH, FEATURES, zero]))
    assert found.findings.headline == "Transfer helped"
    assert "The labels paid: features beats no-labels" in said(found)


def test_prompts_are_the_bar_and_are_named(build_study: BuildStudy) -> None:
    """Fails when a row by prompts is called the backbone's own head, or is no bar for the best run."""
    prompts = {name: [f"a photo of a {name}.", name] for name in CLASSES}
    zero = Trained("clip-no-labels", 6.0, pretrained=True, zero_label=True, prompts=prompts)
    found = analysis_of(build_study(CLASSES, [SCRATCH, FEATURES, zero]))
    sentence = found.findings.first_sentence
    assert "does not beat clip-no-labels" in sentence
    assert "prompts to its network used without a single label" in sentence
    first = CLASSES[0]
    expected = (
        f"clip-no-labels: texts name the classes (2 prompts a class), no labels used, read by mobilenet_v2, weights V1; {first}"
    )
    assert f"{expected}, for one, is “a photo of a {first}.”, “{first}”." in said(found)


def test_without_a_pretrained_run_nothing_is_claimed(build_study: BuildStudy) -> None:
    found = analysis_of(build_study(CLASSES, [SCRATCH, Trained("cnn2", 2.0)]))
    assert found.findings.first_sentence.startswith("Whether transfer helps was not tested: no run of this study starts from")
    assert found.findings.verdict == "not tested"


def test_without_a_control_nothing_is_claimed(build_study: BuildStudy) -> None:
    found = analysis_of(build_study(CLASSES, [FEATURES]))
    assert "neither a control" in found.findings.first_sentence


@pytest.mark.promise(7)
def test_the_best_run_is_named_by_validation_not_by_test(build_study: BuildStudy) -> None:
    """Fails when the best run is the one with the best test score."""
    lucky = Trained("lucky-on-test", 4.0, validation_margin=0.5)
    found = analysis_of(build_study(CLASSES, [Trained("steady", 2.0), lucky]))
    assert "Best run by validation: steady" in said(found)
    assert "its best run by validation, steady" in found.findings.first_sentence


def test_the_control_that_counts_is_the_best_on_validation(build_study: BuildStudy) -> None:
    random = Trained("features-random", 0.3, control_for=("features",), strategy="features")
    found = analysis_of(build_study(CLASSES, [Trained("cnn", 1.0, validation_margin=2.0), FEATURES, random]))
    assert "points more than cnn, trained from scratch" in found.findings.first_sentence


def test_a_control_trained_whole_is_called_what_it_is(build_study: BuildStudy) -> None:
    random = Trained("features-random", 1.5, control_for=("features",), strategy={"finetune": {"unfreeze": "all"}})
    found = analysis_of(build_study(CLASSES, [Trained("cnn", 0.1), FEATURES, random]))
    assert "points more than features-random, the same network from random weights" in found.findings.first_sentence


def test_what_to_transfer_decides_is_said_in_words(build_study: BuildStudy) -> None:
    seeds = (0, 1, 2, 3, 4)
    runs = [
        Trained("from-scratch", 3.0, seeds=seeds),
        Trained("convolution-features", 3.6, pretrained=True, strategy="features", layer="conv2", seeds=seeds),
        Trained("penultimate-features", 2.4, pretrained=True, strategy="features", layer="dense1", seeds=seeds),
    ]
    found = analysis_of(build_study([str(i) for i in range(10)], runs))
    sentence = next(s for s in found.findings.sentences if s.startswith("What to transfer decides"))
    assert "convolution-features (head on the features of layer conv2) helped" in sentence
    assert "penultimate-features (head on the features of layer dense1) harmed" in sentence
    assert "convolution-features beats penultimate-features by" in sentence


def test_signs_alone_do_not_decide(build_study: BuildStudy) -> None:
    runs = [
        Trained("from-scratch", 2.0),
        Trained("low", 2.1, pretrained=True, strategy="features", layer="conv2"),
        Trained("high", 2.0, pretrained=True, strategy="features", layer="dense1"),
    ]
    found = analysis_of(build_study(CLASSES, runs, n_test=100))
    signs = {c.accuracy.value > 0 for c in found.contrasts if "control" in c.kinds}
    assert "What to transfer decides" not in said(found)
    assert ("What to transfer may decide, but this test does not show it" in said(found)) == (len(signs) == 2)


@pytest.mark.promise(4)
def test_pixels_are_not_taken_for_layers(build_study: BuildStudy) -> None:
    """Two runs that differ in how images are fed say nothing on what to transfer. Fails when ``mismatch`` does not compare
    sizes: the report warns of nothing.
    """
    wrong = Trained("wrongly-fed", 1.2, pretrained=True, strategy="features", mismatched=True)
    found = analysis_of(build_study(CLASSES, [Trained("cnn", 0.5), wrong, FEATURES]))
    assert "What to transfer" not in said(found)
    assert "How images are fed decides too: with the same features of mobilenet_v2, features beats wrongly-fed" in said(found)
    assert any("size 150 instead of 224" in warning for warning in found.warnings)


@pytest.mark.promise(7)
def test_seen_in_pretraining_is_said_and_warned_of(build_study: BuildStudy) -> None:
    """Fails when the report leaves that sentence out."""
    seen = {"level": "same classes", "why": "ImageNet has these classes, and may have these very images"}
    found = analysis_of(build_study(CLASSES, [SCRATCH, FEATURES], seen=seen))
    assert "Test images may have been seen in pretraining: ImageNet has these classes" in said(found)
    assert any("pretraining" in warning for warning in found.warnings)


def test_more_comparisons_ask_for_more_proof(build_study: BuildStudy) -> None:
    runs = [SCRATCH, FEATURES, *(Trained(f"cnn{i}", 1.0 + i / 50) for i in range(6))]
    found = analysis_of(build_study(CLASSES, runs))
    pairs = [(c.a.name, c.b.name) for c in found.contrasts]
    assert len(pairs) == len(set(pairs)) >= 7  # each against the one before; features against the best scratch run
    assert all(c.p_adjusted >= c.accuracy.p for c in found.contrasts)
    assert max(c.p_adjusted for c in found.contrasts) <= 1.0


NOTHING = Trained("features-random", 0.0, control_for=("features",), strategy="features")
DOUBT = ", not shown to be above chance (50.0 %)"


def test_a_control_at_chance_is_said_in_the_sentence_that_uses_it(build_study: BuildStudy) -> None:
    found = analysis_of(build_study(CLASSES, [FEATURES, NOTHING]))
    assert f"{DOUBT})" in found.findings.first_sentence
    assert "Not shown to be above chance, which is naming the commonest class (50.0 %" in said(found)
    document = {run["name"]: run["above_chance"] for run in build_document(found)["runs"]}
    assert document["features-random"]["shown"] is False
    assert (document["features"]["shown"], document["features"]["rate"]) == (True, 0.5)


def test_what_is_above_chance_is_not_doubted(build_study: BuildStudy) -> None:
    assert "above chance" not in said(analysis_of(build_study(CLASSES, [SCRATCH, FEATURES])))


def test_a_run_at_chance_is_doubted_too(build_study: BuildStudy) -> None:
    runs = [Trained("cnn", 0.0), Trained("features", 0.0, pretrained=True, strategy="features")]
    assert found_doubts(analysis_of(build_study(CLASSES, runs)).findings.first_sentence) == 2


def found_doubts(sentence: str) -> int:
    return sentence.count(DOUBT)


def test_a_deterministic_method_is_not_trained_three_times(build_study: BuildStudy) -> None:
    """Three seeds of a logistic head are three times the same model: one, against the spread of the other method."""
    seeds = (0, 1, 2)
    fixed = Trained("features", 3.5, pretrained=True, strategy="features", seeds=seeds, deterministic=True)
    found = analysis_of(build_study(CLASSES, [Trained("cnn", 1.0, seeds=seeds), fixed]))
    words = said(found)
    assert "features gives the same model with every seed: deterministic, and counts as trained once." in words
    assert "Each other run was trained 3 times" in words
    assert "features (head on the features of the last layer), classifies" in words
    assert "right (mean of 3 seeds)" not in words.split("points more than")[0]
    assert found.contrasts[0].accuracy.seeds == 3


def test_deterministic_methods_alone_are_one_model_each(build_study: BuildStudy) -> None:
    seeds = (0, 1, 2)
    runs = [
        Trained("cnn", 1.0, seeds=seeds, deterministic=True),
        Trained("features", 3.5, pretrained=True, strategy="features", seeds=seeds, deterministic=True),
    ]
    found = analysis_of(build_study(CLASSES, runs))
    assert "this model, features" in found.findings.first_sentence
    assert "exact McNemar test" in found.findings.first_sentence
    assert "trained 3 times" not in said(found)
    assert "cnn and features give the same model with every seed" in said(found)


def test_methods_are_spoken_of_on_these_training_images_unless_they_were_redrawn(build_study: BuildStudy) -> None:
    seeds = (0, 1, 2)
    plain = [Trained("cnn", 1.0, seeds=seeds), Trained("features", 3.5, pretrained=True, strategy="features", seeds=seeds)]
    assert "as they learn from these training images (repeat.redraw: train" in said(analysis_of(build_study(CLASSES, plain)))


def test_methods_on_redrawn_images_are_spoken_of_without_reserve(build_study: BuildStudy) -> None:
    seeds = (0, 1, 2)
    found = analysis_of(
        build_study(CLASSES, [Trained(name, 1.0 + 2 * i, seeds=seeds, redraw=True) for i, name in enumerate(("a", "b"))])
    )
    assert "so they speak of the methods." in said(found)


def test_one_value_is_no_range(build_study: BuildStudy) -> None:
    found = analysis_of(build_study(CLASSES, [SCRATCH, FEATURES]))
    sentence = next(s for s in found.findings.sentences if s.startswith("The smallest difference"))
    assert "depending on the pair" not in sentence
    assert sentence.startswith("The smallest difference that 400 test images could show (80 % power, at 5 %):")


@pytest.mark.promise(6)
def test_what_the_correction_takes_back_is_said(build_study: BuildStudy) -> None:
    """An interval that leaves out zero beside "no difference shown" has its reason told. Fails when the verdict is by the
    p-value before the correction.
    """
    runs = [SCRATCH, *(Trained(f"cnn{i}", 1.0 + 0.4 * (i % 2)) for i in range(8))]
    found = analysis_of(build_study(CLASSES, runs))
    assert any(contrast.accuracy.only_before_correction for contrast in found.contrasts)
    for contrast in found.contrasts:
        d = contrast.accuracy
        told = "that of this pair alone" in contrast_sentence(contrast)
        assert told == (not d.low <= 0 <= d.high and contrast.verdict == "no difference shown")
        assert (contrast.verdict != "no difference shown") == (not d.low_adjusted <= 0 <= d.high_adjusted)
