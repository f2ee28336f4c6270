"""Work on blocks of images by several threads, its results in the order of the blocks: no bit depends on how many there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def in_order(work: Callable[[slice], Result], blocks: Sequence[slice], workers: int) -> Iterator[Result]:
    """``work`` of each block, in their order; what is done ahead of its turn are at most ``workers`` results."""
    if workers == 1 or len(blocks) == 1:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(min(workers, len(blocks))) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for block in blocks:
                ahead.append(pool.submit(work, block))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:  # whoever stops waits for none that has not begun
                future.cancel()


def blocks_of(n: int, size: int) -> list[slice]:
    """0 to n in slices of ``size``, the last may be shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
