"""The table of layers: every parameter in one row, shapes as seen, stages and what learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jobs.training.layers import layer_table, learning_stages, stage_table
from jobs.training.phases import Phases
from jobs.training.protocol import HeadOnly


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


class Tokens(nn.Module):
    """A stage with a weight of its own, one that is read without being called, and one without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 6))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.relu = nn.ReLU()
        self.nothing = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        return self.nothing(self.relu(self.attention(x, x, x)[0]))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = Tokens(), nn.Linear(6, 2)
        self.norm = nn.BatchNorm1d(6)
        self.stages = (Named("body"), Named("head"))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.body(x)[:, 0]))

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        return [*self.body.parameters(), *self.norm.parameters()] if stage == "body" else list(self.head.parameters())

    def modules_of(self, stage: str) -> list[nn.Module]:
        return [self.body, self.norm] if stage == "body" else [self.head]


def test_every_parameter_is_in_one_row() -> None:
    network = Small()
    rows = layer_table(network, (3, 6), ("head",))
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in network.parameters())
    found = {row["name"]: row for row in rows}
    assert found["body"] == {"name": "body", "shape": [4, 6], "parameters": 6, "trainable": False, "stage": "body"}
    assert found["body.attention.out_proj"]["shape"] is None
    assert found["body.attention.out_proj"]["parameters"] == 42
    assert found["body.relu"]["parameters"] == 0
    assert "body.nothing" not in found
    assert found["head"] == {"name": "head", "shape": [2], "parameters": 14, "trainable": True, "stage": "head"}


def test_looking_changes_nothing() -> None:
    network = Small().train()
    network.body.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    layer_table(network, (3, 6), ())
    assert network.norm.training
    assert not network.body.attention.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_stages_sum_up_the_layers() -> None:
    network = Small()
    rows = stage_table(network, learning_stages(network, Phases(())))
    assert [(row["name"], row["trainable"]) for row in rows] == [("body", False), ("head", True)]
    layers = layer_table(network, (3, 6), ())
    assert rows[0]["parameters"] == sum(row["parameters"] for row in layers if row["stage"] == "body")


def test_a_head_alone_is_one_stage() -> None:
    head = HeadOnly(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)))
    rows = layer_table(head, (5,), ("head",))
    assert [(row["shape"], row["stage"]) for row in rows] == [([4], "head"), ([4], "head"), ([2], "head")]
