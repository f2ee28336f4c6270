"""The training loop. Where it stands is in ``Place`` and tensors alone, so it can stop and go on at any batch, bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any, cast

import torch
from torch import Tensor, nn

from jobs.randomness import seed_layers
from jobs.training.averaging import Average
from jobs.training.batches import TARGET, At, Batch, Feed
from jobs.training.checkpoints import Snapshot, optimizer_tensors, restore_optimizer
from jobs.training.group import ALONE, Alone
from jobs.training.learning import Learning, learning_of
from jobs.training.objective import Counts, InPieces
from jobs.training.optimizers import build_optimizer, set_lr
from jobs.training.pieces import pieces_of
from jobs.training.protocol import Trainable
from jobs.training.schedules import Plateau, lr_factor
from jobs.training.selection import BestEpoch, Patience
from jobs.training.sharing import forward_of, logits_of
from jobs.training.utilisation import flops_of_an_item, peak_of
from jobs.training.validation import Judged
from tlbatch.errors import StudyError
from tlbatch.spec.train import Train


class DivergedError(StudyError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class Recipe:
    """How one training goes: ``train`` with a number for ``lr``. What learns when is the strategy's to say (Learning)."""

    train: Train
    classes: list[str]
    seed: int
    lr: float
    bf16: bool = False


@dataclass
class Place:
    """Where a training stands. ``sums``: loss · images, right, images of the epoch so far; then the same of each of several
    tasks. ``learning_s``: seconds of the batches of whole epochs, without validation, and of them ``inputs_s`` until the
    network had its inputs."""

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    epochs: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    seconds_so_far: float = 0.0
    inputs_so_far: float = 0.0
    learning_s: float = 0.0
    inputs_s: float = 0.0
    stopped_early: bool = False
    best: BestEpoch = field(default_factory=BestEpoch)
    patience: Patience = field(default_factory=Patience)
    plateau: Plateau = field(default_factory=Plateau)

    @staticmethod
    def from_json(document: dict[str, Any]) -> Place:
        parts = {"best": BestEpoch, "patience": Patience, "plateau": Plateau}
        return Place(**{name: parts[name](**value) if name in parts else value for name, value in document.items()})


#: called between batches with the trainer, and whether an epoch has just ended; may raise Stopped
Tick = Callable[["Trainer", bool], None]


class Trainer:
    """Trains ``network`` (on its device, with its initial weights) on what ``feed`` gives: the target's, or several roles'.

    With the other processes of ``group``, each of which has such a trainer, where there are any.
    """

    def __init__(
        self,
        network: nn.Module,
        feed: Feed | Learning,
        recipe: Recipe,
        tick: Tick = lambda trainer, epoch_end: None,
        group: Alone = ALONE,
    ) -> None:
        learning_on = learning_of(feed)
        self.network, self._learning, self._feeds = network, learning_on, learning_on.feeds
        self.recipe, self._tick, self._group = recipe, tick, group
        self._stages = cast(Trainable, network)
        self.device = next(network.parameters()).device
        train, names = recipe.train, [stage.name for stage in self._stages.stages]
        self.phases = learning_on.phases
        learning, scales = self.phases.ever(names), self.phases.scales(names)
        self.optimizer = build_optimizer(train, [(n, list(self._stages.parameters_of(n)), scales[n]) for n in learning])
        self._tasks, self._judge = learning_on.tasks, learning_on.judge
        if weighs := learning_on.weighs(network):
            self.optimizer.add_param_group({"params": weighs, "stage": "tasks", "scale": 1.0, "weight_decay": 0.0})
        self._objective = learning_on.objective(train, recipe.classes, learning_on.feeds)
        if train.micro_batch_size is not None and not isinstance(self._objective, InPieces):
            raise StudyError("what this strategy minimises is of whole batches: leave train.micro_batch_size out")
        self._penalty = learning_on.penalty(network) if learning_on.penalty else None  # before restore: of the initial weights
        self._forward = forward_of(network, self.device, recipe, group)
        self._samplers = learning_on.samplers(train, recipe.seed)
        self._sampler = self._samplers[TARGET]
        self._average = Average(network, train.ema) if train.ema else None
        self._best: dict[str, Tensor] = {}
        self._sums = torch.zeros(1 + len(self._tasks), 3, dtype=torch.float64, device=self.device)
        self._names = names
        self.place = Place()

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self._average.network if self._average else self.network

    @property
    def judged_on(self) -> tuple[str, ...]:
        """Roles by whose validation images epochs and rates are chosen."""
        return self._learning.judged_on

    def validation_logits(self, tick: Callable[[], None]) -> Tensor:
        """float32 [m, classes] on the CPU of these roles' validation images, one role after the other; [0, 0] of none."""
        pieces = []
        for role in self.judged_on:
            judge = self._learning.as_judge(self.judged, role)
            pieces.append(logits_of(judge, self._feeds[role], self.recipe, self._group, tick))
        return torch.cat([piece for piece in pieces if len(piece)] or [torch.empty((0, 0))])

    def _validation_labels(self) -> Tensor:
        return torch.cat([self._feeds[role].validation_labels for role in self.judged_on])

    @property
    def images_per_s(self) -> float | None:
        """Training images over the time of whole epochs, their validation included."""
        seconds = sum(self.place.seconds)
        images = sum(sampler.images for sampler in self._samplers.values())
        return round(len(self.place.seconds) * images / seconds, 3) if seconds > 0 else None

    @property
    def input_share(self) -> float | None:
        """Of the time of all batches, how much went by until the network had its inputs."""
        return round(self.place.inputs_s / self.place.learning_s, 3) if self.place.learning_s > 0 else None

    def mfu(self, shape: tuple[int, ...]) -> float | None:
        """Model FLOPs utilisation over all batches, of inputs of ``shape``, by what learnt last (jobs.training.utilisation).

        None but on GPUs whose peak is known, in bfloat16.
        """
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        peak = peak_of(device) if self.recipe.bf16 else None
        flops = flops_of_an_item(self.network, shape, self.recipe.train.batch_size) if peak else None
        if peak is None or flops is None or not self.place.learning_s:
            return None
        images = len(self.place.seconds) * sum(sampler.images for sampler in self._samplers.values())
        return round(flops * images / self.place.learning_s / (peak * self._group.size), 3)

    @property
    def done_epochs(self) -> float:
        return self.place.epoch + self.place.step / self._sampler.steps

    def run(self) -> None:
        """Train to the end (or go on to it); then ``judged`` has the weights of the selected epoch."""
        self._group.same(self._changing(self.network).values())
        while self.place.epoch < self.recipe.train.epochs and not self.place.stopped_early:
            self._epoch()
        if self._best:
            self.judged.load_state_dict(self._best, strict=False)

    @property
    def selected_epoch(self) -> int:
        """Counted from 0."""
        best = self.place.best.epoch
        return best if self.recipe.train.select == "best" and best is not None else len(self.place.epochs) - 1

    # -- an epoch -----------------------------------------------------------------------------------------------------

    def _epoch(self) -> None:
        place, started = self.place, time.monotonic() - self.place.seconds_so_far
        self._stages.freeze(self.phases.at(self._names, place.epoch))
        self._stages.train_mode(self.phases.batch_norm, self.recipe.train.at_once)
        while place.step < self._sampler.steps:
            self._batch()
            place.step += 1
            place.seconds_so_far = time.monotonic() - started
            self._tick(self, False)
        if self.device.type == "cuda":
            torch.cuda.synchronize()  # what is under way belongs to these batches
        place.learning_s += time.monotonic() - started
        place.inputs_s += place.inputs_so_far
        judged = self._validate()
        self._record(judged, time.monotonic() - started)
        self._tick(self, True)

    def _batch(self) -> None:
        train, place = self.recipe.train, self.place
        set_lr(self.optimizer, self._lr(place.step))
        self.optimizer.zero_grad(set_to_none=True)
        parts: list[Counts] = []
        for loss, counts in self._losses():
            if self._penalty is not None and not parts:  # once a batch
                (loss + self._penalty()).backward()  # type: ignore[no-untyped-call]
            else:
                loss.backward()  # type: ignore[no-untyped-call]
            parts.append(counts if counts.recorded is not None else replace(counts, recorded=loss.detach()))
        self._count(reduce(add, parts))
        self._group.average_gradients(p for group in self.optimizer.param_groups for p in group["params"])
        if train.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), train.clip_norm)
        self.optimizer.step()
        if self._average:
            self._average.update(self.network, place.epoch * self._sampler.steps + place.step + 1)

    def _losses(self) -> Iterator[tuple[Tensor, Counts]]:
        """The batch's; or what its pieces add to it, each to be gone back from before the next is computed.

        Chance in layers begins anew with each: it is drawn for the whole batch (jobs.training.sharing).
        """
        place, size = self.place, self.recipe.train.micro_batch_size
        n = len(self._sampler.batch(place.epoch, place.step))
        for rows in [None] if size is None else pieces_of(n, size):
            began = time.monotonic()
            batches = self._batches(rows)
            place.inputs_so_far += time.monotonic() - began
            seed_layers(self.recipe.seed, "layers", place.epoch, place.step)
            if rows is None:
                yield self._objective(self._forward, batches)
            else:
                yield cast(InPieces, self._objective).part(self._forward, batches, rows)

    def _count(self, counts: Counts) -> None:
        n = torch.tensor(counts.images, device=self.device)
        assert counts.recorded is not None
        self._sums[0] += torch.stack([counts.recorded.double() * n, counts.right.double(), n.double()])
        if counts.tasks is not None:
            self._sums[1:] += counts.tasks

    def _batches(self, rows: slice | None) -> dict[str, Batch]:
        """Of every role, as this place in the training has them; inputs of these ``rows`` where a batch is in pieces."""
        place, train, found = self.place, self.recipe.train, {}
        share = (place.epoch * self._sampler.steps + place.step) / (train.epochs * self._sampler.steps)
        at = At(self.recipe.seed, place.epoch, place.step, share)
        for role, feed in self._feeds.items():
            indices = self._samplers[role].batch(place.epoch, place.step)
            found[role] = Batch(self._forward.fed(feed, indices, at, rows), feed.train_labels[indices], at)
        return found

    def _lr(self, step: int) -> float:
        """The base rate of a batch of this epoch, before the stages' factors."""
        train, steps = self.recipe.train, self._sampler.steps
        at = self.place.epoch * steps + step
        factor = lr_factor(train.schedule, at, train.epochs * steps, train.warmup_epochs * steps)
        return self.recipe.lr * factor * self.place.plateau.factor

    def _validate(self) -> tuple[Judged, list[Judged | None]] | None:
        """What decides, and the same of each of several tasks; None where there are no validation images."""
        self._group.same(self._changing(self.judged).values())
        logits = self.validation_logits(lambda: self._tick(self, False))
        judged = self._judge(logits, self._validation_labels()) if len(logits) else None
        loss = judged[0][0] if judged else 0.0
        finite = bool(logits.isfinite().all()) and math.isfinite(loss) and bool(self._sums.isfinite().all())
        finite, judged = self._group.decided((finite, judged))
        if not finite:
            epoch, lr = self.place.epoch + 1, self.recipe.lr
            raise DivergedError(f"the loss is no number any more in epoch {epoch}: train.lr {lr:g} is too large; lower it")
        return judged

    def _record(self, found: tuple[Judged, list[Judged | None]] | None, seconds: float) -> None:
        place, train, (sums, *of_tasks) = self.place, self.recipe.train, self._sums.tolist()
        nothing: list[Judged | None] = [None] * len(self._tasks)
        judged, judged_tasks = found or (None, nothing)
        if judged and train.select == "best" and place.best.observe(place.epoch, judged[1], judged[0]):
            self._best = {name: tensor.detach().clone() for name, tensor in self._changing(self.judged).items()}
        tasks = zip(self._tasks, of_tasks, judged_tasks, strict=True)
        place.epochs.append(
            {
                "epoch": place.epoch + 1,
                **_figures(sums, judged),
                "lr": self._lr(place.step - 1),
                **({"tasks": {name: _figures(seen, own) for name, seen, own in tasks}} if self._tasks else {}),
            }
        )
        if judged and train.schedule == "plateau":
            place.plateau.observe(judged[0])
        stop_rule = train.early_stopping
        place.stopped_early = bool(judged and stop_rule and place.patience.observe(stop_rule, judged[1], judged[0]))
        place.seconds.append(round(seconds, 3))
        place.epoch, place.step, place.seconds_so_far, place.inputs_so_far = place.epoch + 1, 0, 0.0, 0.0
        self._sums.zero_()

    # -- stopping and going on ------------------------------------------------------------------------------------------

    def _changing(self, network: nn.Module) -> dict[str, Tensor]:
        """Entries of a network's state that training can change: all but the parameters of stages that never learn."""
        learning = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        frozen = {name for name, p in self.network.named_parameters() if id(p) not in learning}
        return {name: tensor for name, tensor in network.state_dict().items() if name not in frozen}

    def snapshot(self) -> Snapshot:
        """All that the rest of the training depends on, besides the recipe, the images and the initial weights."""
        tensors = {f"network.{name}": tensor for name, tensor in self._changing(self.network).items()}
        if self._average:
            tensors |= {f"average.{name}": tensor for name, tensor in self._changing(self._average.network).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best.items()} | optimizer_tensors(self.optimizer)
        self.place.sums = self._sums.flatten().tolist()
        return Snapshot(tensors, {"trainer": asdict(self.place)})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to where a snapshot of the same training was taken."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in snapshot.tensors.items() if n.startswith(prefix)}

        self.network.load_state_dict(part("network."), strict=False)
        if self._average:
            self._average.network.load_state_dict(part("average."), strict=False)
        self._best = {name: tensor.to(self.device) for name, tensor in part("best.").items()}
        restore_optimizer(self.optimizer, snapshot.tensors)
        self.place = Place.from_json(snapshot.place["trainer"])
        self._sums.copy_(torch.tensor(self.place.sums, dtype=torch.float64).view_as(self._sums))


def _figures(sums: list[float], judged: Judged | None) -> dict[str, float | None]:
    """Of an epoch, as history.json has them; None of what no item of the epoch has a label of."""
    total, right, n = sums
    loss, accuracy = judged or (None, None)
    mean = (total / n, right / n) if n else (None, None)
    return {"train_loss": mean[0], "train_accuracy": mean[1], "validation_loss": loss, "validation_accuracy": accuracy}
