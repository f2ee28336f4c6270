"""CLIP networks: what they say of pictures and texts is what open_clip's own code says, and nothing is cut off or unpickled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from jobs import evaluate, finetune
from jobs.data.index import load_index, read_stored
from jobs.evaluation.prompted import build_prompted, embed_prompts, load_clip
from jobs.extraction import engine
from jobs.kinds.image.pixels import load_pixels, normaliser
from jobs.models.building import build_backbone, build_network
from jobs.models.pretrained import Pretrained
from jobs.models.reading import read_state
from tests.clips import DIM, SIZE, TINY, add_tiny, forget, save_tiny
from tests.jobs.conftest import HEAD, Bench
from tests.jobs.test_evaluate import context_of, finished, task_of
from tests.jobs.test_evaluate_engine import agrees, whatever_the_threads
from tests.noise import noise
from tlbatch.backbones.clip import clip_backbone
from tlbatch.backbones.prompts import DEFAULT_TEMPLATES, prompts_of
from tlbatch.errors import Stopped, StudyError
from tlbatch.store.artifacts import file_sha256

torch.set_num_threads(1)
PROMPTS = {
    "left": ("a photo of the left.", "left"),
    "right": ("on the right hand",),
    "top": ("the top of a hill, seen from afar",),
}


@pytest.fixture(autouse=True)
def _tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TLBATCH_THREADS", "1")
    add_tiny(tmp_path, monkeypatch)
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "tiny.safetensors")


def fed() -> dict[str, Any]:
    info = clip_backbone(TINY)
    assert info is not None
    return dict(info.input)


def pretrained(path: Path) -> Pretrained:
    return Pretrained("the test's weights", read_state(path))


BACKBONE = {"name": TINY, "weights": {"kind": "named", "name": "web"}}


# -- as open_clip has it ------------------------------------------------------------------------------------------------


def test_pictures_and_texts_are_embedded_as_by_open_clip(weights: Path) -> None:
    """Its own factory, tokenizer and zero-shot classifier on the same file; breaks with another scale or normalisation."""
    theirs, _, _ = open_clip.create_model_and_transforms("tiny", pretrained=str(weights))
    theirs.eval()
    x = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    body = build_backbone({"backbone": BACKBONE}, fed(), pretrained(weights))
    with torch.no_grad():
        torch.testing.assert_close(body(x), theirs.encode_image(x), rtol=1e-5, atol=1e-6)
        ours = build_prompted(BACKBONE, pretrained(weights), PROMPTS)
        tokenizer = open_clip.get_tokenizer("tiny")
        names, templates = ["quoll", "sea lion"], list(DEFAULT_TEMPLATES)
        expected = open_clip.build_zero_shot_classifier(theirs, tokenizer, names, templates).T
        found = embed_prompts(load_clip(BACKBONE, pretrained(weights)), "tiny", prompts_of(names, {}, None))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        rows = [
            torch.nn.functional.normalize(theirs.encode_text(tokenizer(list(t)), normalize=True).mean(0), dim=0)
            for t in PROMPTS.values()
        ]
        logits = theirs.logit_scale.exp() * theirs.encode_image(x, normalize=True) @ torch.stack(rows).T
        torch.testing.assert_close(ours(x), logits, rtol=1e-5, atol=1e-5)
    assert body.dim == DIM


def test_pictures_are_fed_as_by_open_clips_transform(tmp_path: Path, weights: Path) -> None:
    """Resizing is torch's on bytes and not PIL's: levels differ by one here and there, by a few at sharp edges."""
    _, _, transform = open_clip.create_model_and_transforms("tiny", pretrained=str(weights))
    for number, size in enumerate(((90, 61), (40, 70), (32, 32))):
        picture = noise(f"photograph {number}", size, 60.0).convert("RGB")
        path = tmp_path / "p.png"
        picture.save(path)
        ours = normaliser(fed())(load_pixels(path.read_bytes(), fed())[None])[0]
        apart = (ours - transform(picture)).abs() * 0.27 * 255
        assert apart.mean() < 0.6
        assert apart.max() < 4


def test_half_precision_changes_the_towers_and_not_the_cosines(weights: Path) -> None:
    """Logits of 14 times a cosine in bfloat16 would be multiples of 1/16."""
    ours = build_prompted(BACKBONE, pretrained(weights), PROMPTS)
    x = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        said = ours(x)
    assert said.dtype == torch.float32
    assert (said * 16 - (said * 16).round()).abs().max() > 0.01


# -- the step -----------------------------------------------------------------------------------------------------------


def asked(bench: Bench, path: Path, **given: Any) -> Any:
    file = {"kind": "file", "sha256": file_sha256(path)}
    params = {
        "run_kind": "zero_label",
        "backbone": {"name": TINY, "weights": file},
        "input": fed(),
        "mapping": {},
        "prompted": {"prompts": PROMPTS, **given},
    }
    task = task_of(bench, {}, **params)
    task.locations["weights"] = str(path)
    return task


def test_the_step_says_of_test_pictures_what_open_clip_says(bench: Bench, weights: Path) -> None:
    context = context_of(bench, asked(bench, weights, unseen=["top"]), "e")
    artifact = finished(context, evaluate.run, "evaluate")
    predictions, metrics = artifact.read_json("predictions.json"), artifact.read_json("metrics.json")
    theirs, _, transform = open_clip.create_model_and_transforms("tiny", pretrained=str(weights))
    entries = {entry.id: entry for entry in load_index(context.input("dataset"))}
    expected = []
    for id_ in predictions["ids"]:
        with torch.no_grad():
            picture = picture_of(context, entries[id_])
            image = theirs.eval().encode_image(transform(picture)[None], normalize=True)
            texts = embed_prompts(theirs, "tiny", PROMPTS)
            expected.append((theirs.logit_scale.exp() * image @ texts.T).softmax(dim=1)[0].numpy())
    np.testing.assert_allclose(predictions["probabilities"]["0"], expected, atol=0.01)
    assert metrics["temperature"] is None
    assert metrics["described"]["classes"] == ["top"]
    assert metrics["described"]["seen"] is not None
    assert context.made["forward_passes"] == len(predictions["ids"]) == 12


def picture_of(context: Any, entry: Any) -> Image.Image:
    import io

    return Image.open(io.BytesIO(read_stored(context.input("dataset"), entry))).convert("RGB")


def test_killed_and_run_again_it_is_the_same(bench: Bench, weights: Path) -> None:
    task = asked(bench, weights)
    calls = iter(range(100))
    with pytest.raises(Stopped):
        evaluate.run(context_of(bench, task, "killed", stop=lambda: next(calls) >= 3))
    again = finished(context_of(bench, task, "again"), evaluate.run, "evaluate")
    other = Bench(bench.root / "other")
    assert finished(context_of(other, asked(other, weights), "anew"), evaluate.run, "evaluate").digest == again.digest


def test_the_towers_go_through_the_engine_and_say_what_torch_says(
    bench: Bench, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "SMALL", 0)
    whatever_the_threads(bench, asked(bench, weights), "openvino", monkeypatch)
    agrees(bench, asked(bench, weights), 1e-5, monkeypatch, capsys)


def test_other_prompts_are_another_task(bench: Bench, weights: Path) -> None:
    other = asked(bench, weights)
    other.params["prompted"] = {"prompts": {**PROMPTS, "left": ("left",)}}
    assert other.key != asked(bench, weights).key


# -- what cannot be -----------------------------------------------------------------------------------------------------


def test_a_prompt_that_would_be_cut_off_is_a_sentence(weights: Path) -> None:
    long = "supercalifragilisticexpialidocious " * 9
    with pytest.raises(
        StudyError, match=r"the prompt 'supercali.* of left has \d+ tokens, and the network reads 77: shorten it"
    ):
        build_prompted(BACKBONE, pretrained(weights), {**PROMPTS, "left": (long,)})


def test_weights_without_a_text_tower_are_a_sentence(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "image.safetensors", only="visual.")
    with pytest.raises(StudyError, match=r"do not fit open_clip/tiny with its text tower: .* missing"):
        build_prompted(BACKBONE, pretrained(path), PROMPTS)
    assert build_backbone({"backbone": BACKBONE}, fed(), pretrained(path)).dim == DIM, "its pictures can be used"


def test_a_torchscript_archive_is_not_opened(tmp_path: Path) -> None:
    """OpenAI's own files are such; they hold code."""
    path = tmp_path / "clip.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(StudyError, match="a TorchScript archive, which holds code and is not opened"):
        read_state(path)


def test_random_weights_know_no_texts() -> None:
    with pytest.raises(StudyError, match="random weights know no texts"):
        build_prompted(BACKBONE, Pretrained("random weights", seed=0), PROMPTS)


# -- as a backbone ------------------------------------------------------------------------------------------------------


def test_stages_are_frozen_and_trained_as_in_any_backbone(weights: Path) -> None:
    """The projection belongs to the last stage, not to the stem, where a rule for parameters without a module would put it."""
    model = {"backbone": BACKBONE, "layer": None, "pool": "avg", "head": HEAD}
    network = build_network(model, fed(), 3, pretrained(weights), seed=0, init="torch")
    assert [stage.name for stage in network.stages] == ["stem", "block1", "block2", "last", "head"]
    network.freeze(["last", "head"])
    learning = [name for name, p in network.backbone.body.named_parameters() if p.requires_grad]
    assert sorted(learning) == ["ln_post.bias", "ln_post.weight", "proj"]
    network(torch.randn(2, 3, SIZE, SIZE)).sum().backward()


def test_a_layer_of_tokens_has_the_size_that_the_catalogue_says(weights: Path) -> None:
    info = clip_backbone(TINY)
    assert info is not None
    for layer in info.layers:
        for pool in ("avg", "flatten"):
            body = build_backbone({"backbone": BACKBONE, "layer": layer.name, "pool": pool}, fed(), pretrained(weights))
            said = layer.shape(SIZE)
            assert said is not None
            assert body.dim == (np.prod(said) if pool == "flatten" else said[0]), (layer.name, pool)


def test_it_is_fine_tuned(bench: Bench, weights: Path) -> None:
    file = {"kind": "file", "sha256": file_sha256(weights)}
    model = {"backbone": {"name": TINY, "weights": file}, "layer": None, "pool": "avg", "head": HEAD}
    params = bench.params(model=model, finetune={"unfreeze": ["last"]}, input=fed(), train={"epochs": 1})
    context = bench.context(params, "tuned")
    context.task.locations["weights"] = str(weights)
    card = finished(context, finetune.run, "finetune").read_json("card.json")
    assert card["model"]["backbone"]["name"] == TINY
