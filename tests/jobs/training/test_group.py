"""Several processes that train one network, by real gloo: the batches, the chance and, but for rounding, the weights of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jobs.finetune import run
from jobs.ranks import LostProcessError, Member
from jobs.training.group import Group, join
from jobs.training.sharing import ByPlace, Share
from tlbatch.errors import StudyError

CASES = Path(__file__).with_name("forked_groups.py")


def never() -> bool:
    return False


# -- who computes what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_every_row_has_one_process_and_no_share_is_much_larger(size: int) -> None:
    for n in range(1, 40):
        shares = [Share.of(n, rank, size) for rank in range(size)]
        assert [row for share in shares for row in range(share.start, share.stop)] == list(range(n))
        assert max(share.count for share in shares) == shares[0].most <= min(share.count for share in shares) + 1
        assert all(0 <= share.fed.start < share.fed.stop <= n for share in shares)  # also of who has none


class Dropping(nn.Module):
    """Dropout in every place where networks have it, and drop path as timm and torchvision have it."""

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(x, 0.3)
        x = nn.functional.dropout2d(x.contiguous(memory_format=torch.channels_last), 0.4)
        x = nn.functional.dropout(x, 0.2)
        x = x * torch.empty((len(x), 1, 1, 1)).bernoulli_(0.7)
        windows = x.reshape(len(x) * 2, -1)  # as Swin has them: parts of each row
        return nn.functional.dropout(windows, 0.5).reshape(len(x), -1)


def test_chance_in_a_network_is_that_of_the_rows_place_in_the_batch() -> None:
    """Fails when a process draws masks for its own rows: these are then the first rows' of the batch."""
    x = torch.rand((11, 4, 3, 3)) + 1
    torch.manual_seed(5)
    whole = Dropping()(x)
    for size in (2, 3, 4):
        pieces = []
        for rank in range(size):
            share = Share.of(11, rank, size)
            torch.manual_seed(5)
            with ByPlace(share, Group(rank, size, None)):  # type: ignore[arg-type]
                pieces.append(Dropping()(x[share.fed])[: share.count])
        assert torch.equal(torch.cat(pieces), whole)


def test_a_network_that_draws_in_its_own_way_is_refused() -> None:
    share, group = Share.of(8, 0, 2), Group(0, 2, None)  # type: ignore[arg-type]
    with ByPlace(share, group), pytest.raises(StudyError, match=r"rand_like.*set resources\.nodes"):
        torch.rand_like(torch.zeros(4))
    with ByPlace(share, group), pytest.raises(StudyError, match="by other than its rows"):
        nn.functional.dropout(torch.zeros(3, 5), 0.5)
    q = torch.zeros((4, 2, 3, 5))
    with ByPlace(share, group), pytest.raises(StudyError, match="inside attention"):
        nn.functional.scaled_dot_product_attention(q, q, q, dropout_p=0.1)


# -- trained together ----------------------------------------------------------------------------------------------------


def run_cases(which: str) -> None:
    """Those of ``forked_groups`` with this mark, in a process that has computed nothing yet."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", which, str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_processes_train_together_what_one_trains() -> None:
    run_cases("not slow")


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_all_go_on() -> None:
    run_cases("slow")


def test_who_finds_nobody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from tlbatch.errors import TransientError

    with pytest.raises(TransientError, match="did not start in time"):
        join(Member(1, 2, 0, "127.0.0.1", 9), never, meet_s=0.5)


def test_a_strategy_that_asks_more_of_a_network_than_logits_is_refused(bench: Any) -> None:
    bench.put_features()
    params = bench.params(model=bench.model("squeezenet1_1", dense=[6]), strategy="features")
    context = bench.context(params, "a")
    context.member = Member(0, 2, 0, "127.0.0.1", 9)
    with pytest.raises(StudyError, match="features is trained by one process: scratch, finetune by several"):
        run(context)


def test_whoever_went_without_an_artifact_is_missed(bench: Any) -> None:
    context = bench.context(bench.params(), "a")
    context.member = Member(1, 2, 1, "127.0.0.1", 9)
    with pytest.raises(LostProcessError, match="rank 0 went before the artifact was there"):
        context.finish()
