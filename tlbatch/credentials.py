"""The pods' S3 credentials: from the environment into a Secret, never printed, never in an argument."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from tlbatch.cluster.client import SECRETS, Cluster
from tlbatch.cluster.errors import AlreadyThereError
from tlbatch.errors import StudyError
from tlbatch.logins import SERVER, check_no_login
from tlbatch.profiles import Profile

NEEDED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TAKEN = (*NEEDED, "AWS_SESSION_TOKEN")


def secret_data(profile: Profile, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the Secret holds. The endpoint is the one that pods see; the region goes in under both of its names."""
    given = os.environ if environment is None else environment
    missing = [name for name in NEEDED if not given.get(name)]
    if missing:
        raise StudyError(
            f"{' and '.join(missing)} not set: `AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… tlbatch secret create`"
        )
    data = {name: given[name] for name in TAKEN if given.get(name)}
    endpoint = profile.pod_endpoint or profile.endpoint or given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL")
    if endpoint:
        check_no_login(endpoint, "AWS_ENDPOINT_URL_S3", SERVER)
        data["AWS_ENDPOINT_URL_S3"] = endpoint
    region = profile.region or given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    if region:
        data |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    return data


def store_secret(cluster: Cluster, name: str, data: Mapping[str, str]) -> str:
    """Create the Secret, or replace one of that name at once: pods start meanwhile, and a failure leaves the one they had."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    labels = {"app.kubernetes.io/name": "tlbatch", "app.kubernetes.io/managed-by": "tlbatch"}
    metadata = {"name": name, "namespace": cluster.namespace, "labels": labels}
    manifest = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": encoded}
    try:
        cluster.create(SECRETS, manifest)
    except AlreadyThereError:
        cluster.replace(SECRETS, manifest)
    return name
