"""What a strategy hands the training loop: what each role feeds, how many of it make a batch, and what is minimised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from jobs.randomness import seed_of
from jobs.training.batches import TARGET, Feed
from jobs.training.objective import BuildObjective, on_target
from jobs.training.penalty import BuildPenalty
from jobs.training.phases import EVERYTHING, Phases
from jobs.training.sampling import Sampler
from jobs.training.validation import Judge, of_one_task
from tlbatch.spec.train import Train


def one_for_all(network: nn.Module, role: str) -> nn.Module:
    """The network itself, whoever's images it judges."""
    return network


def no_weights(network: nn.Module) -> list[nn.Parameter]:
    return []


@dataclass(frozen=True)
class Learning:
    """``feeds`` by role: the target's, and those of sources. ``judged_on``: roles by whose validation images, all together,
    epochs and rates are chosen; the target's, unless a strategy may not read their labels. ``as_judge``: of the network, and a
    role, what judges images of this role.

    ``penalty``: a term of the weights that is added to the objective, and no part of the loss that is recorded, as a weight
    decay is none. ``phases``: which stages learn when, and how fast. ``batch_sizes``: images a step of a role, where not
    ``train.batch_size``. The target's images make the epochs; those of other roles come in passes of their own, as long as
    these need. ``tasks``: names of several that are learnt together; ``judge``: what decides on validation. ``weighs``: of a
    network its parameters that weigh the objective's terms; they learn as the head does, without weight decay.
    """

    feeds: Mapping[str, Feed]
    objective: BuildObjective = on_target
    batch_sizes: Mapping[str, int] = field(default_factory=dict)
    penalty: BuildPenalty | None = None
    phases: Phases = EVERYTHING
    judged_on: tuple[str, ...] = (TARGET,)
    as_judge: Callable[[nn.Module, str], nn.Module] = one_for_all
    tasks: tuple[str, ...] = ()
    judge: Judge = of_one_task
    weighs: Callable[[nn.Module], list[nn.Parameter]] = no_weights

    @property
    def target(self) -> Feed:
        return self.feeds[TARGET]

    def sampler(self, train: Train, seed: int) -> Sampler:
        """Of the target: its batches are the steps of an epoch."""
        size = self.batch_sizes.get(TARGET, train.batch_size)
        return Sampler(len(self.target.train_labels), size, seed, train.steps_per_epoch)

    def samplers(self, train: Train, seed: int) -> dict[str, Sampler]:
        """Of every role, the target first: pure functions of seed, epoch and step."""
        own, others = self.sampler(train, seed), {}
        for role, feed in self.feeds.items():
            if role != TARGET:
                size = self.batch_sizes.get(role, train.batch_size)
                others[role] = Sampler(len(feed.train_labels), size, seed_of(seed, role), steps_per_epoch=own.steps)
        return {TARGET: own, **others}


def learning_of(feed: Feed | Learning) -> Learning:
    """Of the target alone where that is all there is."""
    return feed if isinstance(feed, Learning) else Learning({TARGET: feed})
