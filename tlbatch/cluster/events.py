"""What the cluster says about a Job while it has no pod: its events."""

from __future__ import annotations

from tlbatch.cluster.client import EVENTS, Cluster, Document


def job_events(cluster: Cluster, job: Document) -> list[Document]:
    """A Job's events, oldest first; of a suspended one those of its Kueue Workload too."""
    name = job["metadata"]["name"]
    events, _ = cluster.list(EVENTS, fields=f"involvedObject.kind=Job,involvedObject.name={name}")
    if job.get("spec", {}).get("suspend"):
        workloads, _ = cluster.list(EVENTS, fields="involvedObject.kind=Workload")
        events += [event for event in workloads if str(event["involvedObject"].get("name")).startswith(f"job-{name}-")]
    return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
