"""A network while its domains are brought together: each with statistics of its own, and what tells them apart beside it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jobs.models.initial import initialise
from jobs.models.network import HEAD, Network, Stage

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class DomainNetwork(nn.Module):
    """What is trained: ``network``, which is published, and beside it what only the training needs.

    ``apart``: domains whose running statistics of BatchNorm are their own, and lie here; those of all others are the network's.
    So a batch of one domain is normalised by itself, and what the network keeps are statistics of the target alone (as AdaBN
    would have them: Li et al. 2016, "Revisiting batch normalization for practical domain adaptation"). ``tells_apart``:
    features [n, dim] to logits [n, 1]. It learns with the head.
    """

    def __init__(self, network: Network, apart: Sequence[str] = (), tells_apart: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.tells_apart = network, tells_apart
        self._place = {domain: place for place, domain in enumerate(apart)}
        self.statistics = nn.ModuleList(_Statistics(self._norms()) for _ in apart)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes] of images of the target."""
        logits: Tensor = self.network(x)
        return logits

    @contextmanager
    def in_domain(self, domain: str) -> Iterator[Network]:
        """The network with the running statistics of this domain; where they are learnt, they are learnt there."""
        place = self._place.get(domain)
        if place is None:
            yield self.network
            return
        norms = self._norms()
        usual, own = _Statistics.held_by(norms), self.statistics[place]
        assert isinstance(own, _Statistics)
        _Statistics.put(norms, own.rows())
        try:
            yield self.network
        finally:
            _Statistics.put(norms, usual)

    def _norms(self) -> list[_BatchNorm]:
        return [m for m in self.network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]

    # -- what the training loop asks for (jobs.training.protocol.Trainable) -----------------------------------------------

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.network.stages

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        return self.network.parameters_of(stage) + [p for each in self._beside(stage) for p in each.parameters()]

    def modules_of(self, stage: str) -> list[nn.Module]:
        return self.network.modules_of(stage) + self._beside(stage)

    def _beside(self, stage: str) -> list[nn.Module]:
        return [self.tells_apart] if stage == HEAD and self.tells_apart is not None else []

    def freeze(self, unfrozen: Iterable[str]) -> None:
        self.network.freeze(unfrozen)

    def train_mode(self, batch_norm: str = "auto", batch_size: int = 32) -> None:
        self.network.train_mode(batch_norm, batch_size)
        if self.tells_apart is not None:
            self.tells_apart.train()


class InDomain(nn.Module):
    """A network as it judges images of one domain: logits [n, classes]."""

    def __init__(self, network: DomainNetwork, domain: str) -> None:
        super().__init__()
        self.whole, self.domain = network, domain

    def forward(self, x: Tensor) -> Tensor:
        with self.whole.in_domain(self.domain) as network:
            logits: Tensor = network(x)
        return logits


class _Statistics(nn.Module):
    """Of every BatchNorm layer a copy of its running statistics, which a checkpoint holds like all else."""

    def __init__(self, norms: Sequence[_BatchNorm]) -> None:
        super().__init__()
        for number, row in enumerate(self.held_by(norms)):
            for name, values in zip(STATISTICS, row, strict=True):
                self.register_buffer(f"{name}_{number}", values.clone())

    def rows(self) -> list[tuple[Tensor, ...]]:
        held = list(self.buffers())
        return [tuple(held[at : at + len(STATISTICS)]) for at in range(0, len(held), len(STATISTICS))]

    @staticmethod
    def held_by(norms: Sequence[_BatchNorm]) -> list[tuple[Tensor, ...]]:
        return [tuple(getattr(norm, name) for name in STATISTICS) for norm in norms]

    @staticmethod
    def put(norms: Sequence[_BatchNorm], rows: Sequence[tuple[Tensor, ...]]) -> None:
        """In place of those that the layers have: the very tensors, so that what is learnt is learnt in them."""
        for norm, row in zip(norms, rows, strict=True):
            for name, values in zip(STATISTICS, row, strict=True):
                setattr(norm, name, values)


def build_domain_classifier(dim: int, widths: Sequence[int], *, seed: int, init: str) -> nn.Sequential:
    """Features [n, dim] to logits [n, 1], by dense layers of these widths with ReLU between (Ganin and Lempitsky 2015: twice
    1,024, or once 100 for digits)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, wide in enumerate(widths, start=1):
        parts[f"dense{number}"], parts[f"relu{number}"] = nn.Linear(dim, wide), nn.ReLU(inplace=True)
        dim = wide
    parts["domain"] = nn.Linear(dim, 1)
    classifier = nn.Sequential(parts)
    initialise(classifier, seed=seed, init=init, prefix="domains.")
    return classifier
