"""Names of cluster objects: DNS labels that end in a hash, so that creating one twice is a 409 that means "already there"."""

from __future__ import annotations

import hashlib
import re

DOMAIN = "tlbatch.dev"
EXECUTION = f"{DOMAIN}/execution"
STUDY = f"{DOMAIN}/study"
SCHEDULE = f"{DOMAIN}/schedule"
TASK = f"{DOMAIN}/task"
STEP = f"{DOMAIN}/step"
KEY = f"{DOMAIN}/key"
ATTEMPT = f"{DOMAIN}/attempt"
USER = f"{DOMAIN}/user"
COMPONENT = "app.kubernetes.io/component"
QUEUE = "kueue.x-k8s.io/queue-name"

JOB_LENGTH = 52
LABEL_LENGTH = 63
HASH_LENGTH = 8
STUDY_LENGTH = 14
EXECUTION_TAIL = 4


def task_job_name(execution: str, task: str, key: str, attempt: int) -> str:
    """A task's Job: ``<study>-<execution's letters>-<task>-<attempt>-<hash>``, at most 52 characters.

    The hash is over execution, task, key and attempt: equal names mean the same attempt at the same task.
    """
    digest = hashlib.sha256("\0".join([execution, task, key, str(attempt)]).encode()).hexdigest()[:HASH_LENGTH]
    study, _, tail = re.sub(r"-\d{8}-\d{4}(?=-[^-]+$)", "", execution).rpartition("-")
    head = f"{dns_label(study, STUDY_LENGTH)}-{dns_label(tail, EXECUTION_TAIL)}"
    room = JOB_LENGTH - len(f"{head}--{attempt}-{digest}")
    return f"{head}-{dns_label(task, room)}-{attempt}-{digest}"


def dns_label(text: str, length: int = LABEL_LENGTH) -> str:
    """``text`` in lower-case letters, digits and single '-', at most ``length`` long, starting and ending with no '-'."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:length].strip("-")
    return label or "x"


def label_value(text: str) -> str:
    """``text`` as the value of a label: letters, digits, '-', '_' and '.', at most 63 (shortened ones end in a hash)."""
    value = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-_.")
    if len(value) <= LABEL_LENGTH:
        return value
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
    return f"{value[: LABEL_LENGTH - HASH_LENGTH - 1].strip('-_.')}-{digest}"
