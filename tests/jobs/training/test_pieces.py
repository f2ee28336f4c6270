"""Batches that go through the network in pieces: the steps of whole batches, held against loops that are not ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.strategies.finetune import phases_of
from jobs.training.batches import TARGET, Feed
from jobs.training.group import Alone
from jobs.training.learning import Learning
from jobs.training.objective import Counts, Forward, Objective
from jobs.training.phases import EVERYTHING, Phases
from jobs.training.pieces import in_words, pieces_of
from jobs.training.protocol import HEAD
from jobs.training.trainer import Recipe, Trainer
from tests.jobs.conftest import SCRATCH
from tests.jobs.training.test_trainer import Stage, TinyFeed, TinyNetwork, _recipe
from tlbatch.errors import StudyError
from tlbatch.spec.train import Train
from tlbatch.strategies.finetune import Finetune

torch.set_num_threads(1)


# -- which rows make a piece ---------------------------------------------------------------------------------------------


def test_pieces_hold_every_row_once_are_even_and_as_few_as_can_be() -> None:
    for n in range(1, 70):
        for most in range(1, 70):
            pieces = pieces_of(n, most)
            sizes = [piece.stop - piece.start for piece in pieces]
            assert [row for piece in pieces for row in range(piece.start, piece.stop)] == list(range(n))
            assert max(sizes) - min(sizes) <= 1
            if most == 2 and n % 2:
                assert max(sizes) == min(3, n)
            else:
                assert max(sizes) <= most
                assert len(pieces) == -(-n // most)
            assert min(sizes) > 1 or most == 1 or n == 1, "statistics of one image are none"


# -- the same steps ------------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """Two convolution stages and a head, without chance or statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.low, self.high, self.head = self.layers()
        self.stages = (Stage("low"), Stage("high"), Stage(HEAD))

    def layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        low = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh())
        high = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2))
        return low, high, nn.Sequential(nn.Flatten(), nn.Linear(24, 3))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.high(self.low(x)))
        return found

    def parameters_of(self, stage: str) -> Iterable[nn.Parameter]:
        return getattr(self, stage).parameters()

    def modules_of(self, stage: str) -> Iterable[nn.Module]:
        return [getattr(self, stage)]

    def freeze(self, unfrozen: Iterable[str]) -> None:
        for stage in self.stages:
            getattr(self, stage.name).requires_grad_(stage.name in set(unfrozen))

    def train_mode(self, batch_norm: str, batch_size: int) -> None:
        self.train()


class Dropping(Plain):
    """Dropout of values and of channels, and GroupNorm, which knows no other rows."""

    def layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        low = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Dropout2d(0.3))
        high = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(2))
        return low, high, nn.Sequential(nn.Flatten(), nn.Dropout(0.4), nn.Linear(24, 3))


class Patches(nn.Module):
    """A small transformer of patches, with drop path."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.ops import StochasticDepth

        self.cut = nn.Conv2d(1, 8, 2, stride=2)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
        self.drop = StochasticDepth(0.3, "row")

    def forward(self, x: Tensor) -> Tensor:
        patches = self.cut(x).flatten(2).transpose(1, 2)
        kept: Tensor = (patches + self.drop(self.layer(patches))).mean(dim=1)
        return kept


class Attending(Plain):
    def layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return nn.Identity(), Patches(), nn.Linear(8, 3)


class Keeping(TinyNetwork):
    """BatchNorm that keeps its statistics, as below 32 images, and dropout."""

    def train_mode(self, batch_norm: str, batch_size: int) -> None:
        super().train_mode(batch_norm, batch_size)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


NETWORKS = {"plain": Plain, "dropout": Dropping, "drop path and attention": Attending, "statistics kept": Keeping}
LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {},
    "weighted by class": {"class_weights": {"a": 3.0, "c": 0.2}},
    "smoothed, balanced": {"label_smoothing": 0.2, "class_weights": "balanced"},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0, "label_smoothing": 0.1},
    "both": {"mixup": 0.4, "cutmix": 1.0, "class_weights": {"b": 2.0}},
}


class Uneven(TinyFeed):
    """Uneven classes, so that weights matter."""

    def __init__(self, n: int = 37) -> None:
        super().__init__(n)
        self.train_labels = torch.tensor([0, 1, 0, 2, 0])[torch.arange(n) % 5]


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Losses in float64, too: what is left is the order of sums."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(network: nn.Module, recipe: Recipe, feed: Feed | Learning | None = None, group: Alone | None = None) -> Trainer:
    given = {} if group is None else {"group": group}
    trainer = Trainer(network, feed or Uneven(), recipe, **given)
    trainer.run()
    return trainer


def asked(**train: Any) -> Recipe:
    return _recipe(**{"optimizer": "sgd", "lr": 0.1, "epochs": 2, "select": "last", **train})


def assert_same(one: Trainer, other: Trainer) -> None:
    for name, tensor in other.judged.state_dict().items():
        torch.testing.assert_close(one.judged.state_dict()[name], tensor, rtol=1e-10, atol=1e-12, msg=name)
    for ours, theirs in zip(one.place.epochs, other.place.epochs, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-6)
        assert ours["train_accuracy"] == theirs["train_accuracy"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_whole_trainings_in_pieces_are_those_of_whole_batches(network: str, loss: str, float64: None) -> None:
    """37 images in batches of 8, the last of 5, in pieces of at most 3: 2, 3 and 3, and 2 and 3. With momentum and clipping.

    Fails when pieces weigh the same, when each is clipped, when their chance is not by the row's place in the batch, or when
    they are mixed among themselves.
    """
    common = {**LOSSES[loss], "clip_norm": 0.3}
    whole = trained(NETWORKS[network](), asked(**common))
    assert_same(trained(NETWORKS[network](), asked(**common, micro_batch_size=3)), whole)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 8])
def test_whatever_their_size(size: int, float64: None) -> None:
    common: dict[str, Any] = {"label_smoothing": 0.1, "ema": 0.5, "weight_decay": 0.1}
    assert_same(trained(Dropping(), asked(**common, micro_batch_size=size)), trained(Dropping(), asked(**common)))


def test_a_penalty_is_added_once_a_batch(float64: None) -> None:
    def learning() -> Learning:
        def penalty(network: nn.Module) -> Any:
            return lambda: sum((p.square().sum() for p in network.parameters()), torch.zeros(()))

        return Learning({TARGET: Uneven()}, penalty=penalty)

    whole = trained(Plain(), asked(), learning())
    assert_same(trained(Plain(), asked(micro_batch_size=3), learning()), whole)
    assert not torch.equal(whole.network.head[1].weight, trained(Plain(), asked()).network.head[1].weight)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_they_take_the_steps_of_a_plain_loop_over_whole_batches(optimizer: str, float64: None) -> None:
    """torch's own loss, optimiser and clipping; of ours only which images make a batch."""
    weights, lr = torch.tensor([3.0, 1.0, 0.2]), 0.05
    train = {"class_weights": {"a": 3.0, "c": 0.2}, "label_smoothing": 0.1, "clip_norm": 0.2, "weight_decay": 0.01}
    ours = trained(Plain(), asked(**train, optimizer=optimizer, lr=lr, micro_batch_size=3))
    network, feed = Plain(), Uneven()
    common: dict[str, Any] = {"lr": lr, "weight_decay": 0.01}
    steps = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer]
    taker: Any = steps(network.parameters(), **common, **({"momentum": 0.9} if optimizer == "sgd" else {"eps": 1e-7}))
    for epoch in range(2):
        for step in range(ours._sampler.steps):
            indices = ours._sampler.batch(epoch, step)
            labels = feed.train_labels[indices]
            each = functional.cross_entropy(
                network(feed.batch(indices, epoch, step)), labels, reduction="none", label_smoothing=0.1
            )
            taker.zero_grad()
            (each * weights[labels]).mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.2)
            taker.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], tensor, rtol=1e-9, atol=1e-11, msg=name)


def test_batch_norm_that_learns_takes_the_statistics_of_a_piece(float64: None) -> None:
    """As a plain loop that accumulates gradients has it: running statistics, too, move with every piece."""

    class Taking(Plain):
        def layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
            low = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh())
            return (low, *super().layers()[1:])

    ours = trained(Taking(), asked(micro_batch_size=3, momentum=0.0))
    network, feed = Taking().train(), Uneven()
    for epoch in range(2):
        for step in range(ours._sampler.steps):
            indices = ours._sampler.batch(epoch, step)
            x, labels, n = feed.batch(indices, epoch, step), feed.train_labels[indices], len(indices)
            network.zero_grad()
            for rows in {8: [(0, 2), (2, 5), (5, 8)], 5: [(0, 2), (2, 5)]}[n]:
                own = slice(*rows)
                (functional.cross_entropy(network(x[own]), labels[own], reduction="sum") / n).backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    assert parameter.grad is not None
                    parameter -= 0.1 * parameter.grad
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], tensor, rtol=1e-9, atol=1e-11, msg=name)
    whole = trained(Taking(), asked(momentum=0.0))
    assert not torch.allclose(whole.network.low[1].running_var, ours.network.low[1].running_var, rtol=1e-3)


@pytest.mark.parametrize("size", [None, 3])
def test_whether_statistics_are_learnt_is_decided_by_what_they_would_be_of(size: int | None) -> None:
    """Fails when it is by the batch, of which a piece shows too few."""
    asked_of: list[int] = []

    class Asked(Plain):
        def train_mode(self, batch_norm: str, batch_size: int) -> None:
            asked_of.append(batch_size)
            super().train_mode(batch_norm, batch_size)

    trained(Asked(), asked(micro_batch_size=size, epochs=1))
    assert asked_of == [size or 8]


def test_no_more_than_a_piece_goes_through_the_network_and_processes_speak_once_a_batch() -> None:
    seen: list[int] = []
    told = 0

    class Counting(Alone):
        def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
            nonlocal told
            told += 1

    network = Plain()
    network.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    trained(network, asked(micro_batch_size=3, epochs=1), group=Counting())
    assert seen == [2, 3, 3] * 4 + [2, 3] + [3, 3, 2] + [3, 3, 1]  # validation comes in batches of 8 and 7
    assert told == 5


def test_no_more_validation_images_go_through_it_at_once_than_of_a_whole_batch() -> None:
    """They took what a training holds to twice the forecast where batches are small (docs/memory.md)."""
    seen: list[int] = []
    network = Plain()
    network.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])) if not module.training else None)
    trained(network, asked(batch_size=5, epochs=1))
    assert seen == [5, 3, 5, 2]  # validation comes in batches of 8 and 7


# -- what cannot be ------------------------------------------------------------------------------------------------------


def test_what_is_minimised_of_whole_batches_is_refused() -> None:
    def build(*_: object) -> Objective:
        def spread(network: Forward, batches: Any) -> tuple[Tensor, Counts]:
            logits = network(batches[TARGET].x)
            return logits.std(), Counts(len(logits), torch.zeros(()))

        return spread

    learning = Learning({TARGET: TinyFeed()}, build)
    Trainer(Plain(), learning, _recipe(epochs=1)).run()
    with pytest.raises(StudyError, match=r"of whole batches: leave train\.micro_batch_size out"):
        Trainer(Plain(), learning, _recipe(micro_batch_size=4))


def test_a_network_whose_chance_cannot_be_drawn_for_the_batch_is_refused() -> None:
    class Noisy(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + torch.randn_like(x)) if self.training else super().forward(x)

    Trainer(Noisy(), TinyFeed(), _recipe(epochs=1)).run()
    with pytest.raises(StudyError, match=r"by randn_like, so its batches .* leave train\.micro_batch_size out"):
        Trainer(Noisy(), TinyFeed(), _recipe(epochs=1, micro_batch_size=4)).run()


# -- what is said --------------------------------------------------------------------------------------------------------


class Sized(Plain):
    """A pretrained stage, and a new one whose BatchNorm always learns, as jobs.models.network.Network has them."""

    def layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        low, high, _ = super().layers()
        return nn.Sequential(low, nn.BatchNorm2d(4)), high, nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24), nn.Linear(24, 3))

    def train_mode(self, batch_norm: str, batch_size: int) -> None:
        self.train()
        self.low.train(batch_norm == "train" or (batch_norm == "auto" and batch_size >= 32))


@pytest.mark.parametrize(
    ("network", "phases", "size", "said"),
    [
        (Plain(), EVERYTHING, 8, ": gradients are those of the whole batch"),
        (Sized(), phases_of(Finetune()), 32, "; BatchNorm that learns statistics takes those of a piece"),
        (
            Sized(),
            phases_of(Finetune()),
            8,
            "; BatchNorm that learns statistics takes those of a piece; in pretrained stages it keeps its statistics, "
            "as with batches of that size",
        ),
    ],
)
def test_what_is_not_as_with_whole_batches_is_said(network: nn.Module, phases: Phases, size: int, said: str) -> None:
    train = Train(batch_size=64, micro_batch_size=size)
    assert in_words(network, phases, train) == f"batches of 64 images go through the network in pieces of {size} at most{said}"


def test_a_study_without_it_has_the_keys_it_had() -> None:
    assert "micro_batch_size" not in Train().model_dump(mode="json")
    assert Train(micro_batch_size=8).model_dump(mode="json")["micro_batch_size"] == 8


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda: capsys.readouterr().out


def near(one: Any, other: Any) -> None:
    """Two artifacts of the finetune step."""
    from safetensors.torch import load_file

    found, expected = (load_file(each.path("model.safetensors")) for each in (one, other))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


SGD = {"epochs": 3, "batch_size": 12, "optimizer": "sgd", "lr": 0.02, "momentum": 0.0, "select": "last"}


def both(bench: Any, size: int, train: dict[str, Any] | None = None, **params: Any) -> None:
    """The step with whole batches and in pieces, which are other tasks."""
    asked_ = {**SGD, **(train or {})}
    whole = bench.params(**params, train=asked_)
    pieces = bench.params(**params, train={**asked_, "micro_batch_size": size})
    assert bench.task(whole).key != bench.task(pieces).key
    near(bench.finished(bench.context(pieces, "pieces")), bench.finished(bench.context(whole, "whole")))


AUGMENTED = {"flip": "horizontal", "shift": 0.1, "rotate": 10.0}


@pytest.mark.parametrize("mixup", [0.0, 0.2])
def test_the_step_leaves_what_whole_batches_leave(mixup: float, bench: Any, said: Any) -> None:
    """A backbone whose BatchNorm keeps its statistics below 32 images, augmented, held to where it started.

    Fails when an image is varied by its place in the piece.
    """
    finetune = {"unfreeze": ("stage6", "last"), "l2_sp": {"alpha": 0.1, "beta": 0.01}}
    model = bench.model("mobilenet_v2", dropout=0.2)
    both(bench, 5, model=model, finetune=finetune, augmentation=AUGMENTED, train={"epochs": 1, "mixup": mixup})
    assert "batches of 12 images go through the network in pieces of 5 at most: gradients are those of" in said()


def test_frozen_stages_that_are_run_once_feed_pieces(bench: Any, monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    monkeypatch.setattr("jobs.strategies.frozen.PAYS_FROM", 1)
    model = {**bench.model("squeezenet1_1"), "layer": "fire5"}
    both(bench, 5, model=model, finetune={"unfreeze": ("stage2",)}, augmentation={"flip": "horizontal"})
    assert said().count("are run once for each of 2 looks") == 2


def test_a_head_on_features_and_rates_that_are_tried(bench: Any, said: Any) -> None:
    bench.put_features(views=2)
    model, train = bench.model("squeezenet1_1", dense=[6], dropout=0.3), {"lr": "auto", "lr_candidates": (0.01, 0.1)}
    both(bench, 5, train, model=model, strategy="features", views=2)
    assert said().count("in pieces of 5 at most") == 1, "once, not with every rate"


def test_in_bfloat16(bench: Any) -> None:
    from safetensors.torch import load_file

    found = []
    for name, more in (("whole", {}), ("pieces", {"micro_batch_size": 5})):
        params = bench.params(model={"scratch": {**SCRATCH, "batch_norm": False}}, precision="bf16", train={**SGD, **more})
        found.append(load_file(bench.finished(bench.context(params, name)).path("model.safetensors")))
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-2, atol=1e-3, msg=name)
