"""The processes that train one network together, by torch.distributed: NCCL between GPUs, gloo between CPUs.

Each holds the whole network and computes its rows of every batch (jobs.training.sharing); gradients are averaged, so all take
the same step. Whatever is decided is decided by rank 0. Nothing is sent but numbers: no object is ever unpickled.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from jobs.ranks import LostProcessError, Member
from tlbatch.errors import Stopped, TransientError

ANSWER_S = 300.0
"""How long one waits for the others in the middle of a training: longer than a checkpoint takes to store."""
MEET_S = 1800.0
"""How long one waits for the others to start, or to read their data: pods may have to be scheduled first."""
PART_S = 10.0
"""How long rank 0 stays, when the artifact is there, for the others to hear of it."""
POLL_S = 0.2
BUCKET = 2**24  # values that are sent at once

T = TypeVar("T")


class Alone:
    """The group of a process that trains alone: nothing is sent, and whatever it decides holds."""

    rank, size = 0, 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def agree(self, wish: int) -> int:
        """The highest of all wishes."""
        return wish

    def decided(self, value: T) -> T:
        """Rank 0's value (JSON), whatever the others hand in."""
        return value

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give each parameter the mean of all processes' gradients."""

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes rank 0's values: on unlike machines the last bits would drift apart."""

    def ready(self, stopping: Callable[[], bool]) -> None:
        """Wait until all have got here."""

    def committed(self) -> None:
        """Rank 0: tell the others that the artifact is there."""

    def wait_for_commit(self, stopping: Callable[[], bool]) -> bool:
        """The others: whether rank 0 said so before it went."""
        return True


ALONE = Alone()


class Group(Alone):
    """Several processes. Everything here but ``wait_for_commit`` raises LostProcessError where one of them does not answer."""

    def __init__(self, rank: int, size: int, store: Store) -> None:
        self.rank, self.size, self._store, self._met = rank, size, store, 0

    def agree(self, wish: int) -> int:
        told = torch.tensor([wish])
        with answered():
            dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return int(told)

    def decided(self, value: T) -> T:
        text = json.dumps(value).encode() if self.leads else b""
        length = torch.tensor([len(text)])
        with answered():
            dist.broadcast(length, 0)
            told = torch.tensor(list(text), dtype=torch.uint8) if self.leads else torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(told, 0)
        found: T = value if self.leads else json.loads(bytes(told.tolist()))
        return found

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            self.add_up(flat)
            _spread(flat / self.size, bucket)

    @torch.no_grad()
    def same(self, tensors: Iterable[Tensor]) -> None:
        for bucket in _buckets(list(tensors)):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with answered():
                dist.broadcast(flat, 0)
            _spread(flat, bucket)

    def add_up(self, values: Tensor) -> None:
        """The sum over all processes, in place."""
        with answered():
            dist.all_reduce(values)

    def gathered(self, values: Tensor) -> list[Tensor]:
        """Every process's ``values``, of one shape in all of them, by rank."""
        found = [torch.empty_like(values) for _ in range(self.size)]
        with answered():
            dist.all_gather(found, values.contiguous())
        return found

    def ready(self, stopping: Callable[[], bool]) -> None:
        self._met += 1
        with answered():
            self._store.set(f"ready/{self._met}/{self.rank}", "")
        names = [f"ready/{self._met}/{rank}" for rank in range(self.size)]
        _await(self._store, names, stopping, MEET_S)

    def committed(self) -> None:
        with suppress(RuntimeError):  # who is gone hears of it from the store
            self._store.set("committed", "")
            until = time.monotonic() + PART_S
            names = [f"heard/{rank}" for rank in range(1, self.size)]
            while not self._store.check(names) and time.monotonic() < until:
                time.sleep(POLL_S)

    def wait_for_commit(self, stopping: Callable[[], bool]) -> bool:
        try:
            _await(self._store, ["committed"], stopping, MEET_S)
            self._store.set(f"heard/{self.rank}", "")
        except (RuntimeError, LostProcessError):
            return False
        return True


@contextmanager
def answered() -> Iterator[None]:
    """Turn what torch raises when another process is gone, or silent for ANSWER_S, into a sentence."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # gloo has no narrower one
        raise LostProcessError(
            f"another process of this training is gone or does not answer ({_first_line(error)}): "
            "all start again and go on from the last checkpoint"
        ) from error


def _first_line(error: RuntimeError) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rpartition("] ")[2][:200] if lines else type(error).__name__


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """In order, of one type and device each: the same in every process."""
    bucket: list[Tensor] = []
    held = 0
    for tensor in tensors:
        alike = not bucket or (tensor.dtype, tensor.device) == (bucket[0].dtype, bucket[0].device)
        if bucket and (not alike or held + tensor.numel() > BUCKET):
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.numel()
    if bucket:
        yield bucket


def _spread(flat: Tensor, tensors: Iterable[Tensor]) -> None:
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


# -- meeting -----------------------------------------------------------------------------------------------------------


def join(member: Member, stopping: Callable[[], bool], *, meet_s: float = MEET_S, answer_s: float = ANSWER_S) -> Group:
    """Meet the others; a GPU's process has its GPU set before. Raises Stopped, and LostProcessError where they do not come."""
    until = time.monotonic() + meet_s
    store = _meet(member, stopping, until, answer_s)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with answered():
        dist.init_process_group(
            backend,
            store=PrefixStore("group", store),
            rank=member.rank,
            world_size=member.size,
            timeout=timedelta(seconds=answer_s),
        )
    return Group(member.rank, member.size, store)


def _meet(member: Member, stopping: Callable[[], bool], until: float, answer_s: float) -> Store:
    """A store that all processes of this start have said their names in.

    Rank 0 may still be one that has not noticed yet that its group is over: there this rank's name was said before.
    """
    names = [f"joined/{rank}" for rank in range(member.size)]
    while True:
        store = _open_store(member, stopping, until, answer_s)
        try:
            if store.add(f"joined/{member.rank}", 1) == 1:
                _await(store, names, stopping, until - time.monotonic())
                return store
        except RuntimeError:  # rank 0 went again
            pass
        del store
        _wait_a_moment(stopping, until, 1.0)


def _open_store(member: Member, stopping: Callable[[], bool], until: float, answer_s: float) -> Store:
    timeout = timedelta(seconds=answer_s)
    if member.leads:
        with answered():
            return TCPStore("0.0.0.0", member.port, is_master=True, wait_for_workers=False, timeout=timeout)
    while not _listens(member.address, member.port):
        _wait_a_moment(stopping, until)
    with answered():
        return TCPStore(member.address, member.port, is_master=False, wait_for_workers=False, timeout=timeout)


def _listens(address: str, port: int) -> bool:
    """Whether rank 0 is there: a name that nobody has yet is as common as a port that nobody listens on."""
    try:
        socket.create_connection((address, port), timeout=5.0).close()
    except OSError:
        return False
    return True


def _await(store: Store, names: list[str], stopping: Callable[[], bool], within_s: float) -> None:
    until = time.monotonic() + within_s
    while True:
        with answered():
            if store.check(names):
                return
        _wait_a_moment(stopping, until)


def _wait_a_moment(stopping: Callable[[], bool], until: float, moment_s: float = POLL_S) -> None:
    if stopping():
        raise Stopped("asked to stop while waiting for the other processes; a later start goes on from here")
    if time.monotonic() > until:
        raise TransientError(
            "the other processes of this training did not start in time: `tlbatch why` says what they wait for"
        )
    time.sleep(moment_s)


def joined(context: Any) -> Alone:
    """The group that a step's context says, met."""
    return ALONE if context.member is None else join(context.member, context.stop_requested)
