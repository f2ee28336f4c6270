"""Cluster objects as plain dictionaries: what ``tlbatch render`` prints is what ``tlbatch submit`` sends. Pure."""

from tlbatch.manifests.jobs import Submission, build_driver_job, build_task_job
from tlbatch.manifests.needs import Needs, driver_needs, task_needs
from tlbatch.manifests.site import DriverIdentity, Site

__all__ = ["DriverIdentity", "Needs", "Site", "Submission", "build_driver_job", "build_task_job", "driver_needs", "task_needs"]
