"""Cluster objects as plain dictionaries: what ``tlbatch render`` prints is what ``tlbatch submit`` sends. Pure."""

from tlbatch.manifests.cronjobs import Cron, build_cron_job, build_triggered_job
from tlbatch.manifests.groups import build_group_service
from tlbatch.manifests.jobs import Submission, build_driver_job, build_task_job
from tlbatch.manifests.needs import Needs, driver_needs, task_needs
from tlbatch.manifests.site import DriverIdentity, Site

__all__ = [
    "Cron",
    "DriverIdentity",
    "Needs",
    "Site",
    "Submission",
    "build_cron_job",
    "build_driver_job",
    "build_group_service",
    "build_task_job",
    "build_triggered_job",
    "driver_needs",
    "task_needs",
]
