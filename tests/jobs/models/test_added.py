"""Networks, heads and backbones of plug-ins, built in this process: of any shape, seeded, and each fault a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from jobs.models.building import build_backbone, build_network
from jobs.models.heads import build_head
from jobs.models.pretrained import Pretrained
from tlbatch import plugins
from tlbatch.backbones.added import AddedBackbone
from tlbatch.backbones.catalogue import LayerInfo, StageInfo, described, other
from tlbatch.backbones.preprocessing import SCRATCH_INPUT
from tlbatch.entries import AddedHead, AddedNetwork
from tlbatch.errors import StudyError

RANDOM = Pretrained("random weights", seed=3)
HERE = "tests.jobs.models.test_added"
INPUT = {**SCRATCH_INPUT, "size": 12}


def dense(shape: tuple[int, ...], settings: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 6), nn.ReLU())


def conv1d(shape: tuple[int, ...], settings: Any) -> nn.Module:
    return nn.Sequential(nn.Conv1d(shape[0], 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AdaptiveAvgPool1d(1))


class Unusual(nn.Module):
    """Parameters of its own, a module that is used but never called, and a recurrent part."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(shape[0], 1))
        self.mix = nn.Linear(shape[0], shape[0])
        self.run = nn.GRU(shape[0], 5, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = nn.functional.linear((x * self.scale).transpose(1, 2), self.mix.weight)
        return self.run(mixed)[1][0]  # type: ignore[no-any-return]


def unusual(shape: tuple[int, ...], settings: Any) -> nn.Module:
    return Unusual(shape)


def nothing(shape: tuple[int, ...], settings: Any) -> nn.Module:
    return nn.Flatten()


def no_module(*given: Any) -> Any:
    return 3


def fails(*given: Any) -> Any:
    raise KeyError("units")


def one_short(features: int, classes: int, settings: Any) -> nn.Module:
    return nn.Linear(features, classes - 1)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3))


def network(name: str) -> AddedNetwork:
    return AddedNetwork(name.replace("_", "-"), "", f"{HERE}:{name}")


def backbone(name: str, program: str = "small", **more: Any) -> AddedBackbone:
    return AddedBackbone(name, "", f"{HERE}:{program}", {"size": 12}, **more)


STAGES = (StageInfo("first", ("0", "1", "2"), 120, 1, 1), StageInfo("second", ("3",), 296, 1, 1))
LAYERS = (LayerInfo("act", "first", 4, 1, -2, 3, path="2"), LayerInfo("3", "second", 8, 1, -4, 5))
OURS = plugins.Plugin(
    networks=tuple(map(network, ("dense", "conv1d", "unusual", "nothing", "no_module", "fails"))),
    heads=(AddedHead("short", "", f"{HERE}:one_short"), AddedHead("fails", "", f"{HERE}:fails")),
    backbones=(
        backbone("plain"),
        backbone("known", stages=STAGES, layers=LAYERS, default="3"),
        backbone("wrong", stages=STAGES, layers=(LayerInfo("5", "second", 8, 1, -4, 5),), default="5"),
        backbone(
            "lost", stages=(StageInfo("first", ("9",), 1, 1, 1),), layers=(LayerInfo("9", "first", 8, 1, 0, 1),), default="9"
        ),
    ),
)


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{HERE}.OURS", OURS)
    monkeypatch.setattr(plugins, "installed", lambda: {"ours": plugins.Installed("ours", "ours", "1", f"{HERE}:OURS")})


def built(name: str, fed: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> Any:
    monkeypatch.setattr("jobs.models.building.fed_shape", lambda input: fed)
    return build_network({"scratch": {f"ours:{name}": {}}}, INPUT, 3, None, seed=seed, init="glorot")


@pytest.mark.parametrize(
    ("name", "fed", "dim"),
    [
        ("dense", (3, 12, 12), 6),
        ("dense", (2, 50), 6),
        ("dense", (7,), 6),
        ("conv1d", (2, 50), 4),
        ("unusual", (4, 20), 5),
        ("nothing", (2, 5), 10),
    ],
)
def test_items_of_any_shape(name: str, fed: tuple[int, ...], dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features, a classifier on them, and stages that hold every parameter once; all of it learns."""
    found = built(name, fed, monkeypatch)
    assert (found.backbone.dim, found(torch.zeros(2, *fed)).shape) == (dim, (2, 3))
    held = [id(p) for stage in found.stages for p in found.parameters_of(stage.name)]
    assert sorted(held) == sorted(map(id, found.parameters()))
    found.train_mode()
    found(torch.randn(8, *fed)).sum().backward()
    assert all(p.grad is not None for n, p in found.named_parameters() if n not in ("backbone.body.network.mix.bias",))


@pytest.mark.parametrize("name", ["dense", "conv1d", "unusual"])
def test_first_values_are_a_function_of_the_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was drawn before."""
    first = built(name, (4, 20), monkeypatch).state_dict()
    torch.rand(3)
    again, another = built(name, (4, 20), monkeypatch).state_dict(), built(name, (4, 20), monkeypatch, seed=1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], another[key]) for key in first)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda m: built("no-module", (3, 8, 8), m), "ours:no-module is a int and no torch.nn.Module"),
        (lambda m: built("fails", (3, 8, 8), m), "ours:fails failed at test_added.py:"),
        (lambda m: built("conv1d", (3, 8, 8), m), "ours:conv1d failed at"),
        (
            lambda m: build_head(4, 3, {"ours:short": {}}, seed=0, init="torch"),
            "logits of shape (2, 2) for two items of 3 classes",
        ),
        (lambda m: build_head(4, 3, {"ours:fails": {}}, seed=0, init="torch"), "KeyError: 'units'"),
        (lambda m: cut("ours:wrong"), "ours:wrong: layer 5 (5) is in no stage"),
        (lambda m: cut("ours:lost"), "ours:lost has no module 9, 9"),
        (lambda m: cut("ours:other"), "plug-in ours has no such name among its backbones"),
    ],
)
def test_what_does_not_fit_is_a_sentence(build: Callable[[Any], Any], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError) as error:
        build(monkeypatch)
    assert sentence in str(error.value)


def cut(name: str, layer: str | None = None, pretrained: Pretrained = RANDOM) -> Any:
    return build_backbone({"backbone": {"name": name}, "layer": layer}, INPUT, pretrained)


def test_a_backbone_is_divided_as_it_says_or_as_it_is_found() -> None:
    assert [described(f"ours:{name}") is None for name in ("known", "plain")] == [False, True]
    assert other("ours:plain") is not None
    known, plain = cut("ours:known"), cut("ours:plain")
    assert [stage.name for stage in known.stages] == ["first", "second"]
    assert [stage.name for stage in plain.stages] == ["0", "3"]
    assert known.dim == plain.dim == 8
    early = cut("ours:known", "act")
    assert (early.dim, [stage.name for stage in early.stages]) == (4, ["first"])


def test_its_weights_take_the_place_of_first_values_and_random_ones_have_statistics() -> None:
    state = {name: torch.full_like(tensor, 2) for name, tensor in small().state_dict().items()}
    loaded = cut("ours:known", pretrained=Pretrained("these", state))
    assert all((tensor == 2).all() for tensor in loaded.body.state_dict().values())
    random, again = cut("ours:known"), cut("ours:known")
    assert all(torch.equal(random.body.state_dict()[key], again.body.state_dict()[key]) for key in state)
    assert not torch.equal(random.body.state_dict()["1.running_var"], torch.ones(4))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"networks": [network("dense")]}, "its networks are a list and no tuple of AddedNetwork"),
        ({"networks": (3,)}, "3 among its networks is no tlbatch.entries.AddedNetwork"),
        ({"networks": (network("dense"), network("dense"))}, "two of its networks are called dense"),
        ({"networks": (AddedNetwork("Dense", "", f"{HERE}:dense"),)}, "'Dense' among its networks is no name"),
        ({"networks": (AddedNetwork("dense", "", "dense"),)}, "is 'dense' and not 'package.module:function'"),
        ({"networks": (AddedNetwork("dense", "", "tlbatch_gone.x:y"),)}, "is in no module that is installed"),
        ({"backbones": (AddedNetwork("dense", "", f"{HERE}:dense"),)}, "is no tlbatch.backbones.added.AddedBackbone"),
    ],
)
def test_malformed_entries_are_sentences(entries: Any, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{HERE}.OURS", plugins.Plugin(**entries))
    with pytest.raises(StudyError) as error:
        plugins.find("networks", "ours:dense")
    assert str(error.value).startswith("plug-in ours of ours 1: ")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"stages": STAGES}, "both stages and layers"),
        ({"stages": STAGES, "layers": LAYERS, "default": "5"}, "is none of its layers"),
        ({"stages": STAGES[:1], "layers": LAYERS, "default": "3"}, "in stage second, which it does not have"),
    ],
)
def test_a_backbone_that_contradicts_itself_is_refused(more: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        backbone("known", **more)
