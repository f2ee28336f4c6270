"""Numbers that are none end a step with a sentence, on every path that makes or reads them.

With ``finite`` made to let all through each of these paths fails (tried): NaN was written, and agreed with everything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from jobs.evaluation.outputs import head_logits, validation_of
from jobs.evaluation.scores import written
from jobs.exporting.agreement import Evaluated
from jobs.extraction.classifiers import Classifiers, open_pretrained
from jobs.finite import finite
from jobs.models.heads import build_head
from jobs.models.reading import fit_state
from jobs.training.trainer import DivergedError, Trainer
from tests.jobs.training.test_trainer import TinyFeed, TinyNetwork, _recipe
from tlbatch.backbones.preprocessing import SCRATCH_INPUT
from tlbatch.errors import DataError, StudyError

WRONG = [float("nan"), float("inf"), -float("inf")]
CPU = torch.device("cpu")


class Says(nn.Module):
    """Logits of two classes, one of which is no number for one image."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.zeros(len(x), 2)
        logits[-1, 1] = self.wrong
        return logits


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_what_is_no_number_is_counted(kind: Any) -> None:
    assert finite(kind([[1.0, 2.0]]), "values") is not None
    with pytest.raises(DataError, match=r"^2 of 1,003 values are no finite numbers: why$"):
        finite(kind([0.0] * 1001 + [float("nan"), float("inf")]), "values", "why")


def classifiers(network: nn.Module, head: nn.Module) -> Classifiers:
    return open_pretrained(network, head, {**SCRATCH_INPUT, "size": 8}, "fp32", CPU, 1)


@pytest.mark.parametrize("wrong", WRONG)
def test_forward_passes_of_evaluate_and_predict(wrong: float) -> None:
    """The network's own outputs, and those of a head."""
    items = torch.zeros((8, 3, 8, 8), dtype=torch.uint8)
    for network, head in ((Says(wrong), nn.Identity()), (Says(0.0), Says(wrong))):
        with pytest.raises(DataError, match="1 of 16 outputs of the model are no finite numbers"):
            classifiers(network, head)(items)


class _Model:
    """A finetune artifact with a head on four features."""

    def __init__(self, folder: Path, wrong: float) -> None:
        state = {f"head.{name}": t for name, t in build_head(4, 2, {}, seed=0, init="torch").state_dict().items()}
        next(iter(state.values())).view(-1)[0] = wrong
        save_file({name: t.contiguous() for name, t in state.items()}, folder / "model.safetensors")
        self._folder, self._wrong = folder, wrong

    def read_json(self, name: str) -> dict[str, Any]:
        if name == "validation.json":
            return {"ids": ["a"], "labels": [0], "logits": [[0.0, self._wrong]]}
        return {"classes": ["a", "b"], "model": {"head": {}}}

    def path(self, name: str) -> Path:
        return self._folder / name


@pytest.mark.parametrize("wrong", WRONG)
def test_heads_on_features_and_validation(tmp_path: Path, wrong: float) -> None:
    model: Any = _Model(tmp_path, wrong)
    with pytest.raises(DataError, match="outputs of the model"):
        head_logits(model, np.ones((3, 4), np.float32), CPU)
    with pytest.raises(DataError, match="outputs for validation images"):
        validation_of([model], ["a", "b"])


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_written(wrong: float) -> None:
    with pytest.raises(DataError, match="1 of 2 probabilities"):
        written(np.array([[0.5, wrong]]))


def test_an_export_that_says_nothing_does_not_agree() -> None:
    evaluated = Evaluated(torch.zeros(1), torch.tensor([[0.5, 0.5]], dtype=torch.float64), ["a", "b"], "fp32", None, 1)
    with pytest.raises(DataError, match="probabilities of the export"):
        evaluated.compare(torch.tensor([[float("nan"), 0.5]]), None)


@pytest.mark.parametrize("wrong", WRONG)
def test_weights_files(wrong: float) -> None:
    state = nn.Linear(3, 2).state_dict()
    state["weight"][1, 2] = wrong
    with pytest.raises(StudyError, match=r"1 of 6 values of weight are no finite numbers: weights x.pth are damaged"):
        fit_state(nn.Linear(3, 2), state, known=(), what="weights x.pth", of="tiny")


@pytest.mark.parametrize("wrong", WRONG)
def test_validation_while_training(wrong: float) -> None:
    """-inf for a wrong class leaves the loss finite."""

    class Blind(TinyNetwork):
        def forward(self, x: Tensor) -> Tensor:
            logits = super().forward(x)
            if self.training or self.head.training:
                return logits
            row = torch.arange(3) == 1
            return torch.where(row, torch.full_like(logits, wrong), logits)

    class First(TinyFeed):
        def __init__(self) -> None:
            super().__init__()
            self.validation_labels = torch.zeros(15, dtype=torch.long)

    with pytest.raises(DivergedError):
        Trainer(Blind(), cast(Any, First()), _recipe()).run()
