"""A firing told as it goes, from the store: it may end before it has an execution."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from tlbatch.cluster.client import Cluster
from tlbatch.display.follow import ASK_CLUSTER_AFTER_S, FAILED_CODE, follow, waiting_for
from tlbatch.records.executions import Execution
from tlbatch.schedules.firings import FAILED, find_firing
from tlbatch.store import Store

EVERY_S = 1.0


def follow_firing(
    store: Store, name: str, execution: str, cluster: Cluster, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Tell until its record is there; returns 0 unless it failed."""
    told, waited_s, words = False, 0.0, ""
    while (record := find_firing(store, name, execution)) is None:
        if not told and Execution(store, execution).load_status() is not None:
            follow(Execution(store, execution), cluster)
            told = True
        if not told and waited_s >= ASK_CLUSTER_AFTER_S:
            said = waiting_for(cluster, execution)
            if said and said != words:
                click.echo(f"the driver does not run yet: {said}", err=True)
            words = said
        sleep(EVERY_S)
        waited_s += EVERY_S
    click.echo(f"{execution}: {record.state}. {record.sentence}")
    return FAILED_CODE if record.state == FAILED else 0
