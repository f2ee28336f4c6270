"""What the cluster says of a pod or Job, as one sentence with the way out. Pure: documents in, sentences out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlbatch.cluster.devices import is_device, lacking
from tlbatch.errors import FINAL_CODES
from tlbatch.manifests.names import STEP
from tlbatch.steps import more_memory

Document = Mapping[str, Any]
OOM_CODE, SIGTERM_CODE = 137, 143
INDEX = "batch.kubernetes.io/job-completion-index"
IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"})
KUEUE_GOOD = frozenset({"CreatedWorkload", "UpdatedWorkload", "QuotaReserved", "Admitted", "AdmissionCheckUpdated", "Started"})
"""What Kueue says while all is well. Why it does not admit has many names, and newer versions have finer ones."""
DISRUPTIONS = {
    "EvictionByEvictionAPI": "evicted (a drain, or somebody asked for it)",
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "DeletionByTaintManager": "its node became unusable",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "ended by its node, which was short of something",
}


@dataclass(frozen=True)
class PodExit:
    """How a pod's container ended. ``sentence``: the step's own last words; ``finished``: when (RFC 3339). ``step``: "" of a
    driver's."""

    pod: str
    code: int
    oom: bool = False
    limit: str = ""
    disrupted: bool = False
    finished: str = ""
    sentence: str = ""
    step: str = ""

    def explain(self) -> str:
        """One sentence; "" for an end that was good."""
        if self.oom:
            way = more_memory(self.step) if self.step else "raise resources.driver_memory"
            return f"killed for memory at its limit of {self.limit or '?'}: {way}"
        if self.disrupted:
            return self.sentence or "disrupted"
        if self.code == 0:
            return ""
        if self.sentence:
            return self.sentence
        if self.code > 128:
            return f"ended by signal {self.code - 128}"
        return f"ended with code {self.code} and no words: `tlbatch logs` may have some"


def pod_exit(pod: Document) -> PodExit | None:
    """The end of a pod; None while it runs or waits."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    ended = next((s["state"]["terminated"] for s in _containers(status) if s.get("state", {}).get("terminated")), None)
    disruption = _condition(status, "DisruptionTarget")
    disrupted = disruption is not None and disruption.get("status") == "True"
    if ended is None and status.get("phase") not in ("Failed", "Succeeded"):
        return None
    if ended is None:
        said = _phase_words(status) or (_disruption(disruption) if disrupted and disruption else "gone with its node")
        return PodExit(name, OOM_CODE, disrupted=disrupted, sentence=said)
    own = _own_words(ended)
    words = _phase_words(status) or (_disruption(disruption) if disrupted and disruption else own)
    return PodExit(
        name,
        int(ended.get("exitCode", 1)),
        oom=ended.get("reason") == "OOMKilled",
        limit=_memory_limit(pod),
        disrupted=disrupted,
        finished=str(ended.get("finishedAt") or ""),
        sentence=words,
        step=str(pod["metadata"].get("labels", {}).get(STEP, "")),
    )


def explain_pod(pod: Document) -> str:
    """Why a pod does not run, or how it ended badly; "" where all is well."""
    end = pod_exit(pod)
    if end is not None:
        return end.explain()
    status = pod.get("status", {})
    for container in [*_containers(status), *status.get("initContainerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        said = _waiting(str(waiting.get("reason") or ""), str(waiting.get("message") or ""), str(container.get("image") or ""))
        if said:
            return said
    scheduled = _condition(status, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return _unscheduled(str(scheduled.get("reason") or ""), str(scheduled.get("message") or ""))
    return ""


def cannot_start(pod: Document) -> bool:
    """Whether a pod stands without its image, its Secret or another thing that its container needs."""
    status = pod.get("status", {})
    waiting = [container.get("state", {}).get("waiting") or {} for container in _containers(status)]
    return any(each.get("reason") in IMAGE_REASONS | CONFIG_REASONS for each in waiting)


def explain_job(job: Document, pods: Sequence[Document], events: Sequence[Document] = ()) -> str:
    """Why a Job stands still or failed; "" where all is well. ``events``: those of the Job (and its Kueue Workload)."""
    status, spec = job.get("status", {}), job.get("spec", {})
    failed = _condition(status, "Failed")
    if failed is not None and failed.get("status") == "True":
        return _failed_job(failed, spec, pods)
    if _condition(status, "Complete"):
        return ""
    if spec.get("suspend"):
        return _suspended(job, events)
    newest = newest_pods(pods)
    if len(newest) == 1:
        return explain_pod(newest[0])
    for pod in newest:
        if said := explain_pod(pod):
            return f"{place_in(job, pod)}: {said}"
    return "" if newest else failed_create(events)


def newest_pods(pods: Iterable[Document]) -> list[Document]:
    """The newest pod of each index of an Indexed Job, in their order; of another Job the newest one."""
    newest = {_index(pod): pod for pod in sorted(pods, key=_created)}
    return [newest[index] for index in sorted(newest)]


def place_in(job: Document, pod: Document) -> str:
    """What an index is called: the rank of a process that trains with others (several, where its pod has several GPUs)."""
    index = _index(pod)
    if "successPolicy" not in job.get("spec", {}):
        return f"index {index}"
    limits = (pod.get("spec", {}).get("containers") or [{}])[0].get("resources", {}).get("limits", {})
    each = max([int(count) for name, count in limits.items() if "/" in name and str(count).isdigit()], default=1)
    return f"rank {index}" if each < 2 else f"ranks {index * each} to {(index + 1) * each - 1}"


def failed_create(events: Iterable[Document]) -> str:
    """Why the Job controller could not make a pod: quota, admission, a missing account or priority class."""
    said = [str(event.get("message", "")) for event in events if event.get("reason") == "FailedCreate"]
    if not said:
        return ""
    words = said[-1].removeprefix("Error creating: ")
    words = words.partition(" is forbidden: ")[2] or words
    if "exceeded quota" in words:
        return f"the namespace's quota leaves no room for its pod ({words}): `kubectl describe resourcequota`, or ask for less"
    if "violates PodSecurity" in words:
        return (
            f"refused by the namespace's Pod Security: {words.removeprefix('violates PodSecurity ')}; fix resources.pod_patch"
        )
    if "PriorityClass" in words or "serviceaccount" in words:
        return f"its pod cannot be made ({words}): `kubectl apply -k k8s/base` makes what every study needs"
    if "denied the request" in words:
        return f"refused by the cluster's admission: {words}"
    return f"its pod cannot be made: {words}"


def restarts(pods: Iterable[Document]) -> int:
    """Pods beyond the first, of each index, and containers started again."""
    listed = list(pods)
    again = sum(int(status.get("restartCount", 0)) for pod in listed for status in _containers(pod.get("status", {})))
    return len(listed) - len({_index(pod) for pod in listed}) + again


def job_ended(job: Document) -> str:
    """``Complete``, ``Failed`` or "" for a Job that goes on."""
    for kind in ("Complete", "Failed"):
        condition = _condition(job.get("status", {}), kind)
        if condition is not None and condition.get("status") == "True":
            return kind
    return ""


def out_of_memory(ends: Iterable[PodExit], saved: str) -> PodExit | None:
    """The last of two kills for memory with no checkpoint between: trying again changes nothing (design §7).

    ``saved``: when the newest checkpoint was stored (RFC 3339, UTC), or "".
    """
    killed = sorted((end for end in ends if end.oom), key=lambda end: end.finished)
    if len(killed) < 2 or killed[-1].limit != killed[-2].limit or saved > killed[-2].finished:
        return None
    return killed[-1]


# -- inside -----------------------------------------------------------------------------------------------------------


def _containers(status: Document) -> list[Any]:
    return list(status.get("containerStatuses") or [])


def _condition(status: Document, kind: str) -> Document | None:
    return next((each for each in status.get("conditions") or [] if each.get("type") == kind), None)


def _own_words(ended: Document) -> str:
    """The step's sentence from its termination message; else the last line that the message has."""
    text = str(ended.get("message") or "")
    try:
        said = json.loads(text)
        return str(said.get("sentence", "")) if said.get("code") == ended.get("exitCode") else ""
    except (ValueError, AttributeError):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else ""


def _phase_words(status: Document) -> str:
    """What the kubelet says of a pod that it ended itself: evicted, over a deadline, refused."""
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if reason == "Evicted":
        return f"evicted by its node: {message.strip().rstrip('.')}"
    if reason == "DeadlineExceeded":
        return "over resources.give_up_after"
    return f"{reason}: {message}" if reason and message else reason


def _disruption(condition: Document) -> str:
    reason = str(condition.get("reason") or "")
    return DISRUPTIONS.get(reason) or f"disrupted ({reason or condition.get('message')})"


def _memory_limit(pod: Document) -> str:
    containers = pod.get("spec", {}).get("containers") or [{}]
    return str(containers[0].get("resources", {}).get("limits", {}).get("memory", ""))


def _waiting(reason: str, message: str, image: str) -> str:
    if reason in IMAGE_REASONS:
        detail = message.partition(": ")[2] if message.startswith("Back-off") else message
        way = "push it, or set the context's `images` (and `tag`), or resources.image_pull_secrets"
        return f"its image {image} cannot be pulled ({_short(detail) or reason}): {way}"
    if "secret" in message and "not found" in message:
        return f"a Secret is missing ({_short(message)}): `tlbatch secret create` makes it from the environment"
    if reason in CONFIG_REASONS:
        return f"its container cannot start ({reason}): {_short(message)}"
    return ""


def _unscheduled(reason: str, message: str) -> str:
    if reason == "SchedulingGated":
        return f"held back by a scheduling gate: {message}"
    said = _short(message.partition(" no new claims")[0].partition(" preemption:")[0])
    short = lacking(message)
    if "persistentvolume" in message.lower() or "volume node affinity" in message:
        way = "`kubectl get persistentvolumeclaims` shows them; the context's `cache` names the one that tasks share"
        return f"a volume of it is not to be had ({said}): {way}"
    if any(map(is_device, short)) or "allocate all claims" in message:
        return f"no node has a free GPU for it ({said}): it starts when one is; or lower resources.gpu"
    if short or "Too many pods" in message:
        return f"no node has room for it ({said}): it starts when one has; or lower resources.cpu or memory"
    return f"no node can take it ({said}): fix resources.node_selector and tolerations"


def _suspended(job: Document, events: Sequence[Document]) -> str:
    queue = job["metadata"].get("labels", {}).get("kueue.x-k8s.io/queue-name")
    if not queue:
        return 'its Job is suspended: `kubectl patch job … -p \'{"spec":{"suspend":false}}\'` lets it run'
    said = [str(event.get("message")) for event in events if _of_workload(event) and event.get("reason") not in KUEUE_GOOD]
    return f"Kueue has not admitted it yet (queue {queue})" + (f": {said[-1]}" if said else "")


def _of_workload(event: Document) -> bool:
    """Whether Kueue says it of the Workload that stands for a Job."""
    return bool(event.get("involvedObject", {}).get("kind") == "Workload")


def _failed_job(failed: Document, spec: Document, pods: Sequence[Document]) -> str:
    if failed.get("reason") == "DeadlineExceeded":
        return f"given up after {spec.get('activeDeadlineSeconds', '?')} s, waiting included (resources.give_up_after)"
    ends = [end for end in map(pod_exit, sorted(pods, key=_created)) if end is not None and end.code]
    words = deciding(ends).explain() if ends else str(failed.get("message") or failed.get("reason"))
    if failed.get("reason") in ("BackoffLimitExceeded", "FailedIndexes", "MaxFailedIndexesExceeded") and len(ends) > 1:
        return f"{words}; given up after {len(ends)} tries"
    return words


def deciding(ends: Sequence[PodExit]) -> PodExit:
    """Which end made a Job fail, of all that were bad: one that trying again cannot fix, else the last.

    The other pods of a training end after it, because it did.
    """
    return next((end for end in reversed(ends) if end.code in FINAL_CODES), ends[-1])


def _index(pod: Document) -> int:
    found = str(pod["metadata"].get("labels", {}).get(INDEX, "0"))
    return int(found) if found.isdigit() else 0


def _created(pod: Document) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def _short(text: str, length: int = 300) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= length else text[: length - 1] + "…"
