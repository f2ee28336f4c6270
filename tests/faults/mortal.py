"""``python -m tests.faults.mortal AT WHEN -- ARGUMENTS``: the ``tlbatch`` command, killed at its AT-th write to the store.

AT 0 kills nowhere. Leases last two seconds here instead of a minute: what a killed driver held is free soon.
"""

from __future__ import annotations

import sys

from tests.faults.dying import die_at


def main() -> None:
    at, when, _, *arguments = sys.argv[1:]
    from tlbatch.cli import main as tlbatch
    from tlbatch.store import lease

    lease.TTL_S, lease.SKEW_S = 2.0, 0.0
    for function in (lease.Lease.acquire, lease.acquire_named):
        function.__defaults__ = (2.0, *function.__defaults__[1:])  # type: ignore[union-attr,index]
    if int(at):
        die_at(int(at), when)
    tlbatch(arguments)


if __name__ == "__main__":
    main()
