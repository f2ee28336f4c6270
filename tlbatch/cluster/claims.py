"""The PersistentVolumeClaim that tasks share as their cache: looked at before what would wait for it for ever is sent."""

from __future__ import annotations

from tlbatch.cluster.client import CLAIMS, Cluster
from tlbatch.cluster.errors import ClusterError
from tlbatch.errors import StudyError
from tlbatch.manifests.site import CacheVolume


def check_claim(cluster: Cluster, cache: CacheVolume | None) -> None:
    """Raises StudyError where the claim is not there. Who may not look at claims is not kept from sending."""
    if cache is None:
        return
    try:
        found = cluster.get(CLAIMS, cache.claim)
    except ClusterError:
        return
    if found is None:
        raise StudyError(missing_claim(cache.claim, cluster.namespace))


def missing_claim(claim: str, namespace: str) -> str:
    """What is wrong, and both ways out."""
    return (
        f"claim {claim} of the context's cache is not there, so tasks would wait for ever: make a PersistentVolumeClaim of "
        f'this name in namespace {namespace} (the manual\'s "A cache that tasks share" has one), or do without by '
        "`tlbatch context set cache=`"
    )
