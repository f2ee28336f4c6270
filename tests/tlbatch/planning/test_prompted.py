"""Which rows CLIP networks have without labels, what is part of their keys, and which prompts are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.tlbatch.planning.test_make import IMAGES, OWN
from tlbatch.backbones.catalogue import info_of
from tlbatch.backbones.prompts import DEFAULT_TEMPLATES, spoken
from tlbatch.errors import StudyError
from tlbatch.memory import forecast_mib
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.described import described_rows
from tlbatch.planning.make import make_plan
from tlbatch.planning.prompted import prompted_rows
from tlbatch.planning.resolve import _seen
from tlbatch.planning.resolved import ListedData, ResolvedStudy, ZeroLabel
from tlbatch.planning.runs import resolve_runs
from tlbatch.planning.weights import ResolvedWeights, named_weight, resolve_weights
from tlbatch.spec import parse_study
from tlbatch.store import Store

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: by-prompt
dataset: {{url: images, split: {{train: 8, validation: 4, test: 4}}}}
runs:
  - {{name: one, model: {{backbone: {backbone}, weights: {weights}, head: {{logistic: {{}}}}}}}}
{more}
"""
CLASSES = ("n02088364-beagle", "sea_lion")
B32 = "open_clip/ViT-B-32"


def rows(
    described: str = "",
    *,
    backbone: str = B32,
    weights: str = "default",
    given: Mapping[str, Any] | None = None,
    classes: tuple[str, ...] = CLASSES,
) -> list[ZeroLabel]:
    more = f"described: {described}" if described else ""
    study = parse_study(STUDY.format(backbone=backbone, weights=weights, more=more)).study
    kind = {"kind": "random", "seed": 0} if weights == "random" else {"kind": "named", "name": "laion"}
    found = ResolvedWeights(kind, None, OWN, trained_on="LAION-2B, captioned web images", **(given or {}))
    return prompted_rows(study, classes, resolve_runs(study, lambda run: found, "fp32"))


def test_every_clip_network_is_asked_with_default_templates_unasked() -> None:
    """So no study with one can say that its labels paid without having held them against none."""
    [row] = rows()
    assert row.name == "open-clip-vit-b-32-no-labels"
    assert row.trained_on == "LAION-2B, captioned web images"
    assert row.prompted is not None
    assert row.prompted.unseen == ()
    assert row.prompted.prompts["sea_lion"] == tuple(each.replace("{}", "sea lion") for each in DEFAULT_TEMPLATES)
    assert rows(weights="random") == []


def test_the_default_templates_are_those_that_open_clip_has() -> None:
    from open_clip import SIMPLE_IMAGENET_TEMPLATES

    assert [each("X") for each in SIMPLE_IMAGENET_TEMPLATES] == [each.replace("{}", "X") for each in DEFAULT_TEMPLATES]


@pytest.mark.parametrize(
    ("name", "words"),
    [("n02088364-beagle", "beagle"), ("sea_lion", "sea lion"), ("n02088364", "beagle"), ("Shih-Tzu", "Shih-Tzu"), ("_", "_")],
)
def test_names_are_said_as_words(name: str, words: str) -> None:
    assert spoken(name) == words


def test_given_prompts_stand_and_templates_serve_the_others() -> None:
    [row] = rows("{prompts: {sea_lion: [a sea lion, a seal]}, templates: ['a picture of a {}'], unseen: [sea_lion]}")
    assert row.prompted is not None
    assert row.prompted.prompts == {"n02088364-beagle": ("a picture of a beagle",), "sea_lion": ("a sea lion", "a seal")}
    assert row.prompted.unseen == ("sea_lion",)


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        ("{prompts: {sealion: [a sea lion]}}", "described: 'sealion' is no class of the dataset.*'sea_lion'"),
        ("{prompts: {sea_lion: [a seal]}}", "no prompt for n02088364-beagle: write some, or give described.templates"),
        (f"{{templates: ['{'word ' * 76}{{}}']}}", "has 77 words, and the text tower reads 75 tokens"),
        ("{templates: ['a {}'], unseen: [seal]}", "'seal' is no class"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(described: str, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        rows(described)


@pytest.mark.parametrize(
    ("described", "place", "sentence"),
    [
        ("{templates: [a photo]}", "described.templates", "'a photo' has no {}, which the class's name takes"),
        ("{templates: []}", "described.templates", "is empty: write one"),
        ("{prompts: {beagle: ['']}}", "described.prompts.beagle", "has an empty prompt"),
        ("{prompts: {beagle: []}}", "described.prompts.beagle", "has no prompt"),
        ("{prompts: {quol: [a quoll]}}", "described.prompts", "'quol' is no class of this study"),
        ("{prompts: {quoll: [a quoll]}}", "described.prompts", "no prompt for beagle"),
    ],
)
def test_check_refuses_with_the_place(described: str, place: str, sentence: str) -> None:
    text = STUDY.format(backbone=B32, weights="default", more=f"described: {described}")
    with pytest.raises(StudyError) as found:
        parse_study(text.replace("url: images,", "url: images, classes: [beagle, quoll],"))
    assert place in str(found.value)
    assert sentence in str(found.value)


def test_networks_that_read_no_texts_here_say_so_where_they_are_asked() -> None:
    siglip = "open_clip/ViT-B-16-SigLIP"
    assert rows(backbone=siglip) == []
    with pytest.raises(StudyError, match="needs the tokenizer timm/ViT-B-16-SigLIP, which is no part of tlbatch"):
        rows("{templates: ['a {}']}", backbone=siglip)
    assert rows(given={"texts": False}) == []
    with pytest.raises(StudyError, match="one: its weights' file has no text tower"):
        rows("{templates: ['a {}']}", given={"texts": False})
    with pytest.raises(StudyError, match="no run has a CLIP network"):
        rows("{templates: ['a {}']}", backbone="mobilenet_v2")


def test_prompts_ask_no_network_of_imagenet(directory_store: Store) -> None:
    """A class without an output needs no text there."""
    study = parse_study(STUDY.format(backbone=B32, weights="default", more="described: {templates: ['a {}']}")).study
    given = ResolvedWeights({"kind": "named"}, None, OWN)
    assert described_rows(study, ("beagle", "quoll"), resolve_runs(study, lambda run: given, "fp32"), directory_store) == []


def node_of(described: str = "") -> tuple[Any, ResolvedStudy]:
    more = f"described: {described}" if described else ""
    study = parse_study(STUDY.format(backbone=B32, weights="default", more=more)).study
    given = ResolvedWeights({"kind": "file", "sha256": "ab" * 32}, "/w", {**OWN, "size": 224})
    runs = resolve_runs(study, lambda run: given, "fp32")
    zero = prompted_rows(study, CLASSES, runs)
    resolved = ResolvedStudy(study, ListedData("u", CLASSES, "d"), runs, resolve_controls(runs, IMAGES), zero)
    return next(node for node in make_plan(resolved) if node.name == f"evaluate:{zero[0].name}"), resolved


def test_prompts_and_the_weights_hash_are_part_of_the_key() -> None:
    (one, _), (other, _) = node_of(), node_of("{templates: ['a {}']}")
    assert one.params["prompted"] != other.params["prompted"]
    assert one.params["backbone"]["weights"]["sha256"] == "ab" * 32
    assert other.params["prompted"]["prompts"]["sea_lion"] == ["a sea lion"]


def test_memory_counts_both_towers() -> None:
    node, resolved = node_of()
    both = forecast_mib(node, resolved)
    node.params.pop("prompted")
    image = forecast_mib(node, resolved)
    assert both is not None
    assert image is not None
    assert 200 < both - image < 300, "63 million parameters more, once"


def test_web_images_are_said_to_be_unknown() -> None:
    study = parse_study(STUDY.format(backbone=B32, weights="default", more="")).study
    given = ResolvedWeights({"kind": "named", "name": "x"}, None, OWN, trained_on="LAION-2B, captioned web images")
    runs = resolve_runs(study, lambda run: given, "fp32")
    data = ListedData("u", CLASSES, "d")
    found = _seen(data, False, given.trained_on, runs)
    assert found["level"] == "unknown"
    assert "LAION-2B" in found["why"]
    assert "nobody compared" in found["why"]
    first = _seen(data, True, "ImageNet-1k", runs)
    assert first["level"] == "same classes"
    assert "ImageNet-1k has these classes" in first["why"]
    assert "LAION-2B" in first["why"]


def test_weights_of_the_other_activation_name_their_network() -> None:
    """OpenAI's weights in a network with the plain GELU run, and say something else."""
    info = info_of(B32)
    assert info is not None
    with pytest.raises(StudyError, match=r"'openai' were trained with the other activation.*open_clip/ViT-B-32-quickgelu"):
        named_weight(info, "openai")
    with pytest.raises(
        StudyError, match="unknown weights 'openai' of open_clip/ViT-B-32: they belong to open_clip/ViT-B-32-quick"
    ):
        parse_study(STUDY.format(backbone=B32, weights="openai", more=""))
    assert named_weight(info, "default").name == "laion2b_s34b_b79k"
    assert named_weight(info, "laion2b_s34b_b79k").file == "CLIP-ViT-B-32-laion2B-s34B-b79K-open_clip_model.safetensors"


def test_networks_in_field_use_are_known() -> None:
    for name, tag in (
        ("ViT-B-32-quickgelu", "openai"),
        ("ViT-B-16", "laion2b_s34b_b88k"),
        ("ViT-L-14-quickgelu", "openai"),
        ("RN50-quickgelu", "openai"),
        ("MobileCLIP-S1", "datacompdr"),
    ):
        info = info_of(f"open_clip/{name}")
        assert info is not None
        weight = named_weight(info, tag)
        assert weight.url.startswith("https://huggingface.co/")
        assert weight.trained_on
        assert weight.input["interpolation"] in ("bicubic", "bilinear")
        assert weight.input["crop"] == 1.0


def test_resolving_needs_no_file_of_published_weights(directory_store: Store) -> None:
    study = parse_study(STUDY.format(backbone=B32, weights="laion2b_s34b_b79k", more="")).study
    found = resolve_weights(study.runs[0], directory_store)
    assert found.params["name"] == "laion2b_s34b_b79k"
    assert found.own_input["mean"] == [0.48145466, 0.4578275, 0.40821073]
