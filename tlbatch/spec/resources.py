"""What a task asks the cluster for, and when a study runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tlbatch.spec.base import Part
from tlbatch.steps import STEPS

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


if TYPE_CHECKING:
    Step = str
else:
    Step = Literal[tuple(step.name for step in STEPS.values() if not step.resources_of)]


class Resources(Part):
    """Per task. ``steps`` overrides single fields for one step; a run's own ``resources`` come last."""

    gpu: Annotated[int, Field(ge=0)] | None = None
    cpu: int | float | Quantity | None = None
    memory: Quantity | None = None
    deadline: Annotated[str, Field(pattern=r"^[0-9]+(s|m|h|d)$")] | None = Field(
        default=None, description="run time of a task, summed over resumes"
    )
    give_up_after: Annotated[str, Field(pattern=r"^[0-9]+(s|m|h|d)$")] | None = Field(
        default=None, description="wall time of a Job, waiting for a GPU included"
    )
    gpu_resource: str | None = None
    shared_memory: Quantity | None = None
    node_selector: dict[str, str] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    priority_class: str | None = None
    queue: str | None = None
    driver_queue: str | None = None
    image_pull_secrets: tuple[str, ...] | None = None
    service_account: str | None = None
    ttl: Annotated[str, Field(pattern=r"^[0-9]+(s|m|h|d)$")] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    pod_patch: dict[str, Any] | None = None
    shards: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, description="indexes of a sharded extraction")


class StudyResources(Resources):
    parallelism: Annotated[int, Field(ge=1)] | None = Field(default=None, description="tasks at once")
    steps: dict[Step, Resources] = Field(default_factory=dict)


class Webhook(Part):
    """The Secret (in the namespace of the pods) whose key holds the URL that is told how a firing ended."""

    secret: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")] = "url"


Bound = Annotated[float, Field(ge=0, le=1)]
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Schedule(Part):
    """A CronJob's firing times and what promotes a challenger."""

    cron: str = Field(description="minute hour day month weekday")
    timezone: str = "Etc/UTC"
    promote_on: Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss"] = "accuracy"
    promote: Literal["not_worse", "better"] = Field(
        default="not_worse", description="better: the gain must also be shown by a paired test on the pinned test images"
    )
    min_gain: Annotated[float, Field(ge=0)] = Field(default=0.0, description="with promote: better")
    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.05, description="level of a night's tests: of the gain with promote: better, and of each class's loss"
    )
    class_bound: Bound | dict[str, Bound] | None = Field(
        default=None, description="a class that loses more recall is refused at twice the level; one image alone refuses nobody"
    )
    fresh: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.2, description="share of new images that judges the champion before it trains; no decision consults them"
    )
    suspend: bool = False
    starting_deadline: Annotated[str, Field(pattern=r"^[0-9]+(s|m|h|d)$")] = Field(
        default="1h", description="how late a firing may start; later it is missed"
    )
    keep_failed: Annotated[int, Field(ge=0)] = Field(default=3, description="Jobs of failed firings that stay in the cluster")
    keep_succeeded: Annotated[int, Field(ge=0)] = Field(default=3, description="Jobs of other firings that stay in the cluster")
    webhook: Webhook | None = None

    @property
    def starting_deadline_s(self) -> int:
        return int(self.starting_deadline[:-1]) * _SECONDS[self.starting_deadline[-1]]
