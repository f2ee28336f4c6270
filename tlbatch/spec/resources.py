"""What a task asks the cluster for, and when a study runs again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tlbatch.schema.base import Part
from tlbatch.schema.kubernetes_text import AnnotationKey, DeviceName, LabelKey, LabelValue, ObjectName, QueueName
from tlbatch.steps import STEPS

Quantity = Annotated[
    str,
    Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", description="a quantity as Kubernetes writes it: 500m, 8Gi"),
]
Duration = Annotated[str, Field(pattern=r"^[0-9]+(s|m|h|d)$", description="a duration: 90s, 5m, 2h or 7d")]


if TYPE_CHECKING:
    Step = str
else:
    Step = Literal[tuple(step.name for step in STEPS.values() if not step.resources_of)]


class Resources(Part):
    """Per task. ``steps`` overrides single fields for one step; a run's own ``resources`` come last."""

    gpu: Annotated[int, Field(ge=0)] | None = Field(default=None, description="GPUs of a pod, for steps that compute")
    cpu: int | float | Quantity | None = Field(default=None, description="cores of a pod: 2, 0.5 or 500m")
    memory: Quantity | None = Field(default=None, description="of a pod, as Kubernetes writes it: 8Gi")
    deadline: Duration | None = Field(default=None, description="run time of a task, summed over resumes")
    give_up_after: Duration | None = Field(default=None, description="wall time of a Job, waiting for a GPU included")
    gpu_resource: DeviceName | None = Field(default=None, description="the GPUs' name in the cluster; default: nvidia.com/gpu")
    shared_memory: Quantity | None = Field(default=None, description="size of /dev/shm")
    node_selector: dict[LabelKey, LabelValue] | None = Field(default=None, description="labels that a node must have")
    tolerations: tuple[dict[str, Any], ...] | None = Field(default=None, description="taints that pods accept")
    priority_class: ObjectName | None = Field(default=None, description="of tasks' pods")
    queue: QueueName | None = Field(default=None, description="Kueue's LocalQueue that admits each task")
    driver_queue: QueueName | None = Field(default=None, description="Kueue's LocalQueue that admits drivers")
    image_pull_secrets: tuple[ObjectName, ...] | None = Field(default=None, description="Secrets for a private registry")
    service_account: ObjectName | None = Field(default=None, description="of tasks' pods; default: the context's")
    ttl: Duration | None = Field(default=None, description="how long an ended driver's Job stays in the cluster; default: 1d")
    labels: dict[LabelKey, LabelValue] | None = Field(default=None, description="added to Jobs and pods")
    annotations: dict[AnnotationKey, str] | None = Field(default=None, description="added to Jobs")
    pod_patch: dict[str, Any] | None = Field(
        default=None,
        description="laid over the pods of tasks: mappings key by key (null removes), lists of named things by name",
    )
    nodes: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="pods that train one network together, with `gpu` processes each; default: 1"
    )
    shards: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="pods that share an extraction or a network's evaluation; with steps: {prepare: …} the reading of data",
    )


class StudyResources(Resources):
    """What holds for all tasks of a study; ``steps`` has what differs for one step."""

    parallelism: Annotated[int, Field(ge=1)] | None = Field(default=None, description="tasks at once")
    driver_memory: Quantity | None = Field(
        default=None, description="of the driver's pod, which grows with the number of files; default: 512Mi"
    )
    steps: dict[Step, Resources] = Field(default_factory=dict, description="step -> fields that differ for it")


class Webhook(Part):
    """The Secret (in the namespace of the pods) whose key holds the URL that is told how a firing ended."""

    secret: Annotated[ObjectName, Field(min_length=1)]
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")] = Field(default="url", description="the key in it")


Bound = Annotated[float, Field(ge=0, le=1)]
Judge = Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss"]
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Schedule(Part):
    """A CronJob's firing times and what promotes a challenger."""

    cron: str = Field(description="minute hour day month weekday")
    timezone: str = Field(default="Etc/UTC", description="of the IANA database; the cron expression is read in it")
    promote_on: Judge | dict[str, Judge] = Field(
        default="accuracy", description="what models are compared by; of several tasks also {task: metric}"
    )
    promote: Literal["not_worse", "better"] = Field(
        default="not_worse",
        description="better: the gain must also be shown by a paired test on the pinned test images; of several tasks in one",
    )
    min_gain: Annotated[float, Field(ge=0)] = Field(default=0.0, description="with promote: better")
    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.05, description="level of a night's tests: of the gain with promote: better, and of each class's loss"
    )
    class_bound: Bound | dict[str, Bound | dict[str, Bound]] | None = Field(
        default=None,
        description="a class that loses more recall is refused at twice the level; one image alone refuses nobody; "
        "of several tasks {task: bound or {class: bound}}",
    )
    fresh: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.2, description="share of new images that judges the champion before it trains; no decision consults them"
    )
    suspend: bool = Field(default=False, description="no firings until it is taken back")
    starting_deadline: Duration = Field(default="1h", description="how late a firing may start; later it is missed")
    keep_failed: Annotated[int, Field(ge=0)] = Field(default=3, description="Jobs of failed firings that stay in the cluster")
    keep_succeeded: Annotated[int, Field(ge=0)] = Field(default=3, description="Jobs of other firings that stay in the cluster")
    webhook: Webhook | None = Field(default=None, description="who is told how a firing ended")

    def metric_of(self, task: str | None = None) -> str:
        """What models are compared by, of several tasks in one."""
        if isinstance(self.promote_on, str):
            return self.promote_on
        return self.promote_on.get(task or "", "accuracy")

    def bound_of(self, task: str | None = None) -> float | dict[str, float] | None:
        """``class_bound``, of several tasks that of one's classes."""
        whole = self.class_bound
        asked: float | Mapping[str, float | dict[str, float]] | None = whole
        if task is not None and isinstance(whole, dict):
            asked = whole.get(task)
        if isinstance(asked, Mapping):
            return {name: bound for name, bound in asked.items() if isinstance(bound, int | float)}
        return asked

    @property
    def starting_deadline_s(self) -> int:
        return int(self.starting_deadline[:-1]) * _SECONDS[self.starting_deadline[-1]]
