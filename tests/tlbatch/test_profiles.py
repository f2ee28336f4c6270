"""Contexts: the file, the environment, what is missing as sentences."""

from __future__ import annotations

import os
import stat
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tlbatch.cli import main
from tlbatch.cluster.errors import ClusterError
from tlbatch.cluster.kubeconfig import load_kubeconfig
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.manifests.site import CacheVolume
from tlbatch.profiles import decode_profile, load_config, load_profile


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tlbatch" / "config.yaml"
    monkeypatch.setenv("TLBATCH_CONFIG", str(path))
    for name in (
        "TLBATCH_CONTEXT",
        "TLBATCH_STORE",
        "TLBATCH_NAMESPACE",
        "TLBATCH_IMAGES",
        "TLBATCH_TAG",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    return path


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def test_without_a_file_there_are_defaults() -> None:
    profile = load_profile()
    assert (profile.namespace, profile.secret, profile.service_account) == ("tlbatch", "tlbatch-s3", "tlbatch-step")
    with pytest.raises(StudyError, match="tlbatch context set images="):
        profile.site()


def test_contexts_are_made_used_and_unset(capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("context", "set", "--context", "lab", "store=s3://b/p", "images=r.example/x", "resources={gpu: 1}") == 0
    assert tlbatch("context", "set", "--context", "home", "store=s3://c", "secret=null") == 0
    assert load_profile().site().store == "s3://b/p"
    assert load_profile().resources.gpu == 1
    assert tlbatch("context", "set", "--context", "lab", "cache={claim: fast, size: 50Gi}") == 0
    assert load_profile().site().cache == CacheVolume("fast", "50Gi")
    assert tlbatch("context", "use", "home") == 0
    assert (load_profile().store, load_profile().secret) == ("s3://c", None)
    assert tlbatch("context", "set", "store=") == 0
    assert "store" not in load_config()["contexts"]["home"]
    assert tlbatch("context", "list") == 0
    assert "* home" in capsys.readouterr().out


def test_the_environment_and_what_was_typed_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    tlbatch("context", "set", "store=s3://file", "namespace=file")
    monkeypatch.setenv("TLBATCH_STORE", "s3://environment")
    assert load_profile().store == "s3://environment"
    assert load_profile(given={"store": "s3://typed", "namespace": None}).store == "s3://typed"
    assert load_profile().namespace == "file"


def test_mistakes_are_sentences(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("context", "set", "namespaec=x") == 2
    assert "did you mean 'namespace'?" in capsys.readouterr().err
    tlbatch("context", "set", "--context", "lab", "store=s3://b")
    with pytest.raises(StudyError, match=r"no context 'lap'.*did you mean 'lab'"):
        load_profile("lap")
    config.write_text("contexts: [1]")
    with pytest.raises(StudyError, match="expected"):
        load_profile()


def test_a_store_that_pods_cannot_see_is_refused() -> None:
    with pytest.raises(StudyError, match="a folder of this machine"):
        load_profile(given={"store": "/data/store", "images": "x"}).site()


def test_commands_that_read_look_into_the_contexts_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tlbatch("context", "set", f"store={tmp_path / 'kept'}")
    assert tlbatch("status") == 2
    assert str(tmp_path / "kept") in capsys.readouterr().err


@pytest.mark.parametrize("field", ["endpoint", "pod_endpoint"])
def test_an_endpoint_holds_no_login(capsys: pytest.CaptureFixture[str], field: str) -> None:
    """It would be in every sentence about the store, and of pods in plain sight."""
    assert tlbatch("context", "set", "--context", "lab", f"{field}=https://me:hidden@s3.example:9000") == 2
    said = capsys.readouterr().err
    assert f"contexts.lab.{field} holds a login" in said
    assert "hidden" not in said
    with pytest.raises(StudyError, match="no context"):
        load_profile("lab")


@pytest.mark.parametrize("given", ["store=s3://AKIA:hidden@bucket/x", "images=https://me:hidden@registry.example/x"])
def test_no_address_of_a_context_holds_a_login(capsys: pytest.CaptureFixture[str], given: str) -> None:
    assert tlbatch("context", "set", "--context", "lab", given) == 2
    said = capsys.readouterr().err
    assert "holds a login" in said
    assert "hidden" not in said


def test_setting_a_context_keeps_the_link_and_who_may_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = tmp_path / "dotfiles.yaml", tmp_path / "link.yaml"
    real.write_text("")
    real.chmod(0o600)
    link.symlink_to(real)
    monkeypatch.setenv("TLBATCH_CONFIG", str(link))
    assert tlbatch("context", "set", "namespace=vision") == 0
    assert link.is_symlink()
    assert "vision" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_config_that_is_no_file_is_neither_waited_for_nor_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "pipe"))
    for arguments in (("list",), ("set", "namespace=vision")):
        assert tlbatch("context", *arguments) == 2
        assert "is no file" in capsys.readouterr().err
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("text", ["{gpu: 1", "*a", "{a: !!int b}"])
def test_a_value_that_is_no_yaml_is_a_sentence(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert tlbatch("context", "set", f"resources={text}") == 2
    assert "cannot be read as YAML" in capsys.readouterr().err


def test_lists_in_a_context_s_resources_reach_the_pods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the help of `tlbatch context set` says; refused as "should be a valid tuple" where YAML's lists met strict tuples."""
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "1.jpg").write_bytes(b"\xff\xd8")
    resources = "resources={gpu: 1, tolerations: [{key: nvidia.com/gpu, operator: Exists}], image_pull_secrets: [registry]}"
    assert tlbatch("context", "set", "--context", "lab", "store=s3://b/p", "images=r.example/x", resources) == 0
    assert tlbatch("context", "use", "lab") == 0
    assert tlbatch("init", "photos", "-f", "study.yaml") == 0
    capsys.readouterr()
    assert tlbatch("render", "study.yaml", "--set", "dataset.url=s3://b/photos", "-o", "json") == 0
    assert '"name": "registry"' in capsys.readouterr().out
    assert load_profile().resources.tolerations == ({"key": "nvidia.com/gpu", "operator": "Exists"},)
    with pytest.raises(StudyError, match=r"lab\.resources\.tolerations"):
        load_profile(given={"resources": {"tolerations": "all"}})


WRONG_VALUES = {
    "namespace=UPPER_x": "namespace: must be a name as Kubernetes takes it",
    "secret=A_b": "secret: must be a name as Kubernetes takes it",
    "service_account=a b": "service_account: must be a name as Kubernetes takes it",
    "pull_policy=never": "did you mean 'Never'?",
    "images=registry.example/x y": "images: must be REGISTRY/PATH",
    "tag=a b": "tag: must be a tag of images",
    "endpoint=minio:9000": "endpoint: must be an address: http://HOST:PORT",
    "pod_endpoint=https://": "pod_endpoint: must be an address",
    "store=http://bucket/x": "store http://bucket/x: expected s3://BUCKET",
    "store=s3:/bucket": "did you mean s3://bucket?",
    "store=s3://": "expected s3://bucket or s3://bucket/prefix",
    "wrong=1": "unknown key (known here: kube_context, namespace",
}


@pytest.mark.parametrize("given", WRONG_VALUES)
def test_a_value_that_no_cluster_would_take_is_not_kept(config: Path, capsys: pytest.CaptureFixture[str], given: str) -> None:
    assert tlbatch("context", "set", given) == 2
    assert WRONG_VALUES[given] in capsys.readouterr().err
    assert not config.exists()


NINE_OF = (f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise("abcdefghi"))


@pytest.mark.parametrize(
    "given",
    [f"tag=sha256:{'0' * 64}", "tag=v1.2_x", "images=[::1]:5000/x", "endpoint=https://s3.example:9000/path", "secret=null"],
)
def test_a_value_that_clusters_take_is_kept(given: str) -> None:
    assert tlbatch("context", "set", given) == 0


def test_an_empty_value_is_none() -> None:
    """An older context may hold them: images without a prefix, no Secret, no endpoint."""
    empty = dict.fromkeys(("images", "secret", "driver_priority", "endpoint", "pod_endpoint", "store"), "")
    assert decode_profile({**empty, "resources": {"queue": "", "priority_class": ""}}, "here").images == ""


@pytest.mark.parametrize("name", ["shut/config.yaml", "x" * 300])
def test_a_config_that_cannot_be_looked_at_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / name))
    if name.startswith("shut") and os.geteuid() == 0:
        monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(StudyError, match="fix it, or move it away"):
        load_config()


def refused(path: Path, **_: object) -> os.stat_result:
    raise PermissionError(13, "Permission denied", str(path))


HOSTILE = {
    "an alias bomb": "\n".join(["a: &a [x]", *NINE_OF]),
    "too deep": "contexts: " + "[" * 5000,
    "too many": "contexts: {x: {store: [" + "1, " * 200_000 + "]}}",
    "too large": "contexts: {}\n" + "# x\n" * (5 * 2**20),
    "twice": "contexts: {}\ncontexts: {}\n",
    "an alias of itself": "contexts: &a {x: *a}",
}


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_settings_are_sentences_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Fails when contexts or a kubeconfig are read without the bounds that a study has: PyYAML takes minutes and gigabytes."""
    path = tmp_path / "settings.yaml"
    path.write_text(HOSTILE[name])
    monkeypatch.setenv("TLBATCH_CONFIG", str(path))
    monkeypatch.setenv("KUBECONFIG", str(path))
    began = time.process_time()
    for load in (load_config, load_kubeconfig):
        with pytest.raises(TlbatchError, match=r"settings\.yaml"):
            load()
    assert time.process_time() - began < 40


def test_a_kubeconfig_that_is_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "pipe"))
    monkeypatch.setattr("tlbatch.schema.files.WAIT_S", 0.2)
    with pytest.raises(ClusterError, match="a pipe into which nothing was written"):
        load_kubeconfig()
