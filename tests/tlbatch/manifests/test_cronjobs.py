"""A schedule's CronJob as a whole object, and the Job that fires it by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tlbatch import __version__
from tlbatch.manifests import Cron, Site, build_cron_job, build_triggered_job, driver_needs
from tlbatch.spec import Study
from tlbatch.spec.resources import Schedule, Webhook

GOLDEN = Path(__file__).parent / "golden" / "cronjob.yaml"
NIGHTLY = Schedule(
    cron="0 3 * * *", timezone="Asia/Shanghai", starting_deadline="2h", keep_failed=1, webhook=Webhook(secret="pets-hook")
)


@pytest.fixture
def cron_job(study: Study, site: Site) -> dict[str, Any]:
    return build_cron_job(Cron("pets", NIGHTLY, "jane@example.org"), site, driver_needs(study))


def test_the_cron_job(cron_job: dict[str, Any]) -> None:
    """Set TLBATCH_GOLDEN=write to write anew what is then to be read by a person."""
    text = yaml.safe_dump(cron_job, sort_keys=False).replace(f"value: {__version__}", "value: VERSION")
    if os.environ.get("TLBATCH_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_webhooks_url_comes_from_a_secret_that_need_not_be_there(cron_job: dict[str, Any]) -> None:
    entries = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"]
    (entry,) = [entry for entry in entries if entry["name"] == "TLBATCH_WEBHOOK"]
    assert entry["valueFrom"] == {"secretKeyRef": {"name": "pets-hook", "key": "url", "optional": True}}


def test_pods_are_as_restricted_as_all_others(cron_job: dict[str, Any]) -> None:
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["restartPolicy"] == "Never"


def test_suspended_by_hand_or_by_the_study(study: Study, site: Site) -> None:
    def suspended(**cron: Any) -> bool:
        return bool(build_cron_job(Cron("pets", **cron), site, driver_needs(study))["spec"]["suspend"])

    assert not suspended(schedule=NIGHTLY)
    assert suspended(schedule=NIGHTLY, suspended=True)
    assert suspended(schedule=NIGHTLY.model_copy(update={"suspend": True}))


def test_a_name_that_leaves_no_room_for_its_jobs(study: Study, site: Site) -> None:
    with pytest.raises(ValueError, match="45"):
        build_cron_job(Cron("x" * 46, NIGHTLY), site, driver_needs(study))


def test_a_job_by_hand_is_like_those_of_the_cron_job(cron_job: dict[str, Any]) -> None:
    stored = {**cron_job, "metadata": {**cron_job["metadata"], "uid": "u-1"}}
    job = build_triggered_job(stored, "pets-20261123-0412-x7k2", "joe")
    template = cron_job["spec"]["jobTemplate"]
    assert job["metadata"]["name"] == "pets-20261123-0412-x7k2"
    assert job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert job["spec"]["template"]["spec"] == template["spec"]["template"]["spec"]
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels["tlbatch.dev/execution"] == "pets-20261123-0412-x7k2"
        assert labels["tlbatch.dev/user"] == "joe"
        assert labels["tlbatch.dev/schedule"] == "pets"
    assert cron_job["spec"]["jobTemplate"]["metadata"]["labels"]["tlbatch.dev/user"] == "jane-example.org"  # untouched


def test_pinned_images_stay_pinned(study: Study, site: Site) -> None:
    pinned = replace(site, tag="sha256:" + "0" * 64)
    pod = build_cron_job(Cron("pets", NIGHTLY), pinned, driver_needs(study))["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"registry.example/team/tlbatch-launcher@{pinned.tag}"
