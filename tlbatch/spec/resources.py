"""What a task asks the cluster for, and when a study runs again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tlbatch.spec.base import Part

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


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
    steps: dict[Literal["prepare", "extract", "finetune", "evaluate", "report"], Resources] = Field(default_factory=dict)


class Schedule(Part):
    """A CronJob's firing times and what promotes a challenger."""

    cron: str
    timezone: str = "Etc/UTC"
    promote_on: Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss"] = "accuracy"
