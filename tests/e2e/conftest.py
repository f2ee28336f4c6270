"""Fixtures of the tests that need a cluster: a real one, started by its command; images built here; namespaces; S3.

TLBATCH_CLUSTER names the command (default ../shared/cluster/cluster). With "cluster" in TLBATCH_REQUIRE what is missing fails
the tests, and a cluster that is not up is started; else they are skipped, in one line that says how to have them.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User
from tests.requirements import missing
from tlbatch.cluster import Cluster as Api

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "tlbatch"
SECRET = "tlbatch-s3"
POD_TIMEOUT_S = 120.0
BUILD_TIMEOUT_S = 1800.0
S3_IMAGE = "docker.io/versity/versitygw:v1.8.0"


@dataclass(frozen=True)
class ServerConfig:
    """How to reach the API server without anybody's key."""

    server: str
    authority: Path


@dataclass(frozen=True)
class Cluster:
    """The cluster under test, through its command and kubectl."""

    command: Path
    bin: Path

    def run(self, *arguments: str) -> str:
        """``cluster ARGUMENTS``; what it printed."""
        return _run([str(self.command), *arguments], timeout_s=BUILD_TIMEOUT_S)

    def kubectl(self, *arguments: str, document: Any = None) -> str:
        """``kubectl ARGUMENTS``, with a document (object or YAML text) on its standard input; what it printed."""
        text = None if document is None else document if isinstance(document, str) else json.dumps(document)
        return _run(["kubectl", *arguments], given=text)

    def get_config(self) -> ServerConfig:
        """Where the API server is and whom it trusts, for clients that log in by a token."""
        command = ["config", "view", "--minify", "--raw", "-o", "jsonpath={.clusters[0].cluster.server}"]
        authority = Path(os.environ["KUBECONFIG"]).parent / "pki" / "ca.crt"
        return ServerConfig(self.kubectl(*command), authority)

    def get(self, *arguments: str) -> Any:
        """``kubectl get ARGUMENTS`` as an object."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))


@dataclass(frozen=True)
class Images:
    """The images of this working tree, where pods find them."""

    prefix: str
    tag: str

    def name(self, target: str) -> str:
        return f"{self.prefix}/tlbatch-{target}:{self.tag}"


@dataclass(frozen=True)
class PodResult:
    """How a pod ended: its exit code (-1 where it never ran), its log, its status."""

    code: int
    log: str
    status: dict[str, Any]


def _run(command: list[str], given: str | None = None, timeout_s: float = 120.0) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT)
    said = f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert done.returncode == 0, f"{shlex.join(command)}: exit code {done.returncode}\n{said}"
    return done.stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, up; KUBECONFIG and AWS_* in the environment point at it while the tests run."""
    command = Path(os.environ.get("TLBATCH_CLUSTER") or ROOT.parent / "shared" / "cluster" / "cluster")
    command = command if command.is_absolute() else ROOT / command
    if not command.exists():
        missing("cluster", "no cluster command: set TLBATCH_CLUSTER to one that starts a cluster")
    if shutil.which("kubectl") is None:
        missing("cluster", "no kubectl on the PATH: install Kubernetes' command-line client")
    exports = dict(line.removeprefix("export ").split("=", 1) for line in _run([str(command), "env"]).splitlines())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in exports.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        if subprocess.run(["kubectl", "get", "--raw", "/readyz"], capture_output=True, check=False).returncode:
            if "cluster" not in os.environ.get("TLBATCH_REQUIRE", "").split(","):
                missing("cluster", f"it is not up; `{command} build && {command} up`, or `make e2e`, which does that")
            _run([str(command), "up"], timeout_s=300)
        home = Path(exports["KUBECONFIG"]).parent
        yield Cluster(command, Path(os.environ.get("KUBE_BIN") or home / "bin"))


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> Images:
    """All five images, built from this working tree and pushed to where the cluster's pods pull from."""
    from tlbatch import __version__

    cluster.run("base")
    tools = ["--bud", f"{cluster.command} bud", "--push-with", f"{cluster.command} push", "--push"]
    _run([sys.executable, str(ROOT / "images" / "build.py"), *tools], timeout_s=BUILD_TIMEOUT_S)
    return Images(os.environ.get("PREFIX", "localhost"), os.environ.get("TAG", __version__))


@pytest.fixture(scope="session")
def dev_s3_image(cluster: Cluster) -> str:
    """The image that k8s/components/dev-s3 asks for, made of the cluster's own S3 server where it cannot be pulled."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(cluster.bin / "versitygw", folder)
        cluster.run("bud", "-q", "-t", S3_IMAGE, "-f", str(ROOT / "tests" / "e2e" / "s3" / "Dockerfile"), folder)
    cluster.run("push", S3_IMAGE)
    return S3_IMAGE


@pytest.fixture(scope="session")
def namespace(cluster: Cluster) -> str:
    """The namespace of k8s/overlays/dev, applied as a user would, with the Secret that pods get S3's key from."""
    cluster.kubectl("apply", "--server-side", "-k", "k8s/overlays/dev")
    make_secret(cluster, NAMESPACE)
    return NAMESPACE


@pytest.fixture
def fresh_namespace(cluster: Cluster) -> Iterator[Callable[..., str]]:
    """Makes namespaces like the one of k8s/base, each test's own: their quota may be spent, their Secret be missing."""
    made: list[str] = []

    def make(*, secret: bool = True) -> str:
        name = f"{NAMESPACE}-e2e-{secrets.token_hex(3)}"
        apply_base(cluster, name)
        made.append(name)
        if secret:
            make_secret(cluster, name)
        return name

    yield make
    for name in made:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def apply_base(cluster: Cluster, namespace: str) -> None:
    """k8s/base in a namespace of another name. Its cluster-wide objects stay as they are."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        kustomization = f"resources: [../../k8s/base]\nnamespace: {namespace}\n"
        (Path(folder) / "kustomization.yaml").write_text(kustomization, encoding="utf-8")
        rendered = cluster.kubectl("kustomize", folder)
    cluster.kubectl("apply", "--server-side", "-f", "-", document=rendered)


def make_secret(cluster: Cluster, namespace: str, endpoint: str | None = None) -> None:
    """The Secret with S3's key and endpoint, as pods see them."""
    values = {
        "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
        "AWS_ENDPOINT_URL_S3": endpoint or os.environ["AWS_ENDPOINT_URL_S3"],
        "AWS_REGION": "us-east-1",
    }
    metadata = {"name": SECRET, "namespace": namespace}
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", document=document)


@pytest.fixture(scope="session")
def bucket(cluster: Cluster) -> str:
    """A bucket of this test session on the cluster's S3 server."""
    from tlbatch.store.s3 import open_client

    name = f"tlbatch-e2e-{secrets.token_hex(4)}"
    open_client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def store_url(bucket: str) -> str:
    """An empty store in S3, each test's own."""
    return f"s3://{bucket}/{secrets.token_hex(4)}"


def build_restricted_pod(
    namespace: str, image: str, command: list[str], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    """A pod as hardened as those of tlbatch: read-only root, scratch on /tmp, no privilege, no token; the image's own user."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
    if command:
        container["args" if command[0].startswith("-") else "command"] = command
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
    }
    metadata = {"name": f"e2e-{secrets.token_hex(4)}", "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="session")
def pod() -> Callable[..., dict[str, Any]]:
    """``build_restricted_pod``, for test modules: those cannot import from here."""
    return build_restricted_pod


@pytest.fixture
def run_pod(cluster: Cluster) -> Callable[[dict[str, Any]], PodResult]:
    """Runs a pod to its end and removes it."""

    def run(pod: dict[str, Any]) -> PodResult:
        where = ["-n", pod["metadata"]["namespace"]]
        name = pod["metadata"]["name"]
        cluster.kubectl("create", "-f", "-", document=pod)
        try:
            status = _wait_for_end(lambda: cluster.get("pod", name, *where)["status"])
            ended = status["containerStatuses"][0]["state"].get("terminated")
            log = cluster.kubectl("logs", name, *where) if ended else ""
            return PodResult(ended["exitCode"] if ended else -1, log, status)
        finally:
            cluster.kubectl("delete", "pod", name, *where, "--wait=false")

    return run


def _wait_for_end(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    deadline = time.monotonic() + POD_TIMEOUT_S
    while True:
        status = read()
        if status["phase"] in ("Succeeded", "Failed"):
            return status
        assert time.monotonic() < deadline, f"the pod has not ended in {POD_TIMEOUT_S:g} s: {json.dumps(status, indent=1)}"
        time.sleep(0.3)


# -- studies --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures, twenty of each of three digits."""
    root = tmp_path_factory.mktemp("digits")
    subprocess.run([sys.executable, "-m", "jobs.samples", "digits", str(root / "all")], check=True, capture_output=True)
    for label in ("0", "1", "2"):
        (root / "sixty" / label).mkdir(parents=True)
        for picture in sorted((root / "all" / label).iterdir())[:20]:
            picture.rename(root / "sixty" / label / picture.name)
    return root / "sixty"


@pytest.fixture(scope="session")
def dataset(pictures: Path, bucket: str) -> str:
    """The same in S3."""
    from tlbatch.store.s3 import open_client

    client = open_client()
    for path in sorted(pictures.rglob("*.png")):
        client.upload_file(str(path), bucket, f"sixty/{path.relative_to(pictures)}")
    return f"s3://{bucket}/sixty"


@pytest.fixture(scope="session")
def api(namespace: str) -> Api:
    """The API server, as the driver talks to it."""
    from tlbatch.cluster import open_cluster

    return open_cluster(namespace)


@pytest.fixture
def user(tmp_path: Path, store_url: str, dataset: str, images: Any) -> User:
    return User(tmp_path, store_url, dataset, images)
