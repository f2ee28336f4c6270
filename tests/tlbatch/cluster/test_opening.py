"""Kubeconfigs: whatever is wrong in one is a sentence with exit 2, and what kubectl honours counts here."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.certificates import make_certificate
from tests.tlbatch.store.answering import Answer, answering
from tlbatch.cluster import Cluster, ClusterError, open_cluster
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.cluster.kubeconfig import flag_of, load_kubeconfig
from tlbatch.errors import TlbatchError

LIST = b'{"metadata": {"resourceVersion": "1"}, "items": []}'
SERVER = "http://127.0.0.1:9"


def kubeconfig(cluster: Any = None, user: Any = None, **over: Any) -> dict[str, Any]:
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER} if cluster is None else cluster}],
        "users": [{"name": "u", "user": {} if user is None else user}],
    }
    return {**document, **over}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Path]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("KUBE")]:
        monkeypatch.delenv(name)
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(path))

    def write(document: Any) -> Path:
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        return path

    return write


WRONG: dict[str, Any] = {
    "broken yaml": "a: [",
    "a list": "- a",
    "a word": "hello",
    "a tag": "!!int abc",
    "empty": "",
    "null": "null",
    "contexts of another shape": kubeconfig(contexts={"here": {}}),
    "contexts of words": kubeconfig(contexts=["here"]),
    "users of another shape": kubeconfig(users="u"),
    "no current context": {**kubeconfig(), "current-context": None},
    "current context a number": kubeconfig(**{"current-context": 5}),
    "another context": kubeconfig(**{"current-context": "heer"}),
    "no such cluster": kubeconfig(clusters=[]),
    "no such user": kubeconfig(users=[]),
    "no server": kubeconfig({}),
    "server without scheme": kubeconfig({"server": "127.0.0.1:6443"}),
    "server of words": kubeconfig({"server": "https://a b"}),
    "server with a port that is none": kubeconfig({"server": "https://h:port"}),
    "server a number": kubeconfig({"server": 5}),
    "bad base64": kubeconfig({"server": "https://h", "certificate-authority-data": "%%%"}),
    "no certificate": kubeconfig({"server": "https://h", "certificate-authority-data": "aGVsbG8="}),
    "certificate not there": kubeconfig({"server": "https://h", "certificate-authority": "none.pem"}),
    "client certificate that is none": kubeconfig(
        {"server": "https://h"}, {"client-certificate-data": "aGVsbG8=", "client-key-data": "aGVsbG8="}
    ),
    "client certificate without key": kubeconfig({"server": "https://h"}, {"client-certificate-data": "aGVsbG8="}),
    "token file not there": kubeconfig(user={"tokenFile": "none"}),
    "a list as a token": kubeconfig(user={"token": ["hidden"]}),
    "token with a line end": kubeconfig(user={"token": "a\nb"}),
    "plugin not there": kubeconfig(
        user={"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    ),
    "plugin of another shape": kubeconfig(user={"exec": ["aws"]}),
    "plugin that prints garbage": kubeconfig(user={"exec": {"command": "echo", "args": ["hello"]}}),
    "plugin that prints nothing": kubeconfig(user={"exec": {"command": "true"}}),
    "plugin with env of another shape": kubeconfig(user={"exec": {"command": "true", "env": {"a": "b"}}}),
    "skip verify a word": kubeconfig({"server": "https://h", "insecure-skip-tls-verify": "yes please"}),
    "proxy of another scheme": kubeconfig({"server": "https://h", "proxy-url": "socks5://127.0.0.1:1"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_kubeconfig_is_a_sentence(written: Callable[[Any], Path], name: str) -> None:
    path = written(WRONG[name])
    with pytest.raises(ClusterError) as caught:
        open_cluster("tlbatch")
    assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_folder_a_file_not_there_and_one_not_readable_as_text(written: Callable[[Any], Path], tmp_path: Path) -> None:
    path = tmp_path / "config"
    with pytest.raises(ClusterError, match=r"no cluster is configured here.*is not there"):
        open_cluster("tlbatch")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClusterError, match="cannot be read"):
        open_cluster("tlbatch")
    path.unlink()
    path.mkdir()
    with pytest.raises(ClusterError, match="cannot be read"):
        open_cluster("tlbatch")


def test_the_nearest_context_and_the_plugins_own_words_are_said(written: Callable[[Any], Path]) -> None:
    written(WRONG["another context"])
    with pytest.raises(ClusterError, match="did you mean 'here'"):
        open_cluster("tlbatch")
    written(kubeconfig(user={"exec": {"command": "sh", "args": ["-c", "echo your session has expired >&2; exit 4"]}}))
    with pytest.raises(ClusterError, match=r"ended with 4 .your session has expired"):
        open_cluster("tlbatch")


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
USER_KEYS = ("token", "tokenFile", "username", "client-certificate", "client-certificate-data", "exec", "auth-provider")
CLUSTER_KEYS = ("server", "certificate-authority", "certificate-authority-data", "proxy-url", "tls-server-name")


@given(
    cluster=st.dictionaries(st.sampled_from(CLUSTER_KEYS), ANYTHING),
    user=st.dictionaries(st.sampled_from(USER_KEYS), ANYTHING) | ANYTHING,
    over=st.dictionaries(st.sampled_from(["contexts", "clusters", "users", "current-context"]), ANYTHING, max_size=2),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_kubeconfig_is_a_bug(written: Callable[[Any], Path], cluster: Any, user: Any, over: Any) -> None:
    if isinstance(user, dict) and "exec" in user:
        user["exec"] = {"command": user["exec"]}
    written(kubeconfig({"server": SERVER, **cluster}, user, **over))
    with contextlib.suppress(ClusterError):
        open_cluster("tlbatch")


# -- what kubectl honours ---------------------------------------------------------------------------------------------


def names(cluster: Cluster) -> int:
    return len(cluster.list(PODS)[0])


def test_several_files_are_merged_and_an_empty_kubeconfig_is_none(
    written: Callable[[Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a" / "config", tmp_path / "b" / "config"
    for path, keys in ((first, ("current-context", "contexts")), (second, ("clusters", "users"))):
        path.parent.mkdir()
        path.write_text(yaml.safe_dump({key: kubeconfig(user={"tokenFile": "token"})[key] for key in keys}))
    (second.parent / "token").write_text("secret\n")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'none'}:{second}")
    cluster = open_cluster("tlbatch")
    assert (cluster.host, cluster.api.configuration.api_key["BearerToken"]) == (SERVER, "Bearer secret")
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    shutil.copy(second, tmp_path / ".kube" / "config")
    with pytest.raises(ClusterError, match=r"\.kube/config sets no current-context"):
        open_cluster("tlbatch")


def test_proxies_by_proxy_url_and_by_the_servers_scheme(
    written: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering() as proxy:
        proxy.answers = [Answer(200, LIST)]
        written(kubeconfig({"server": "http://api.example", "proxy-url": proxy.url}))
        assert names(open_cluster("tlbatch")) == 0
        assert proxy.asked[0][1].startswith("http://api.example/")
        written(kubeconfig({"server": "http://api.example"}))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # not of this server's scheme
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert names(open_cluster("tlbatch")) == 0
        monkeypatch.setenv("NO_PROXY", "other.example,api.example")
        assert open_cluster("tlbatch").api.configuration.proxy is None


def test_a_plugins_token_is_sent_and_renewed(written: Callable[[Any], Path], tmp_path: Path) -> None:
    script = tmp_path / "login"
    script.write_text(
        '#!/bin/sh\necho x >> "$(dirname "$0")/asked"\n'
        'echo \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        '"status":{"token":"t","expirationTimestamp":"2020-01-01T00:00:00Z"}}\'\n'
    )
    script.chmod(0o755)
    with answering() as server:
        server.answers = [Answer(200, LIST)]
        written(kubeconfig({"server": server.url}, {"exec": {"command": "./login"}}))
        cluster = open_cluster("tlbatch")
        names(cluster)
        assert {key.lower(): value for key, value in server.asked[0][2].items()}["authorization"] == "Bearer t"
    assert (tmp_path / "asked").read_text() == "x\nx\n"


def test_certificates(written: Callable[[Any], Path], tmp_path: Path) -> None:
    """Not trusted is wrong (2) and named; trusted by -data, by skipping, and under another name it works."""
    import ssl

    make_certificate(tmp_path, "api", "DNS:api.inside")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    data = base64.b64encode((tmp_path / "ca.pem").read_bytes()).decode()
    with answering(context) as server:
        server.answers = [Answer(200, LIST)]
        written(kubeconfig({"server": server.url}))
        with pytest.raises(ClusterError, match="is not trusted"):
            names(open_cluster("tlbatch"))
        written(kubeconfig({"server": server.url, "certificate-authority-data": data}))
        with pytest.raises(ClusterError, match="is not trusted"):
            names(open_cluster("tlbatch"))
        written(kubeconfig({"server": server.url, "certificate-authority": "ca.pem", "tls-server-name": "api.inside"}))
        assert names(open_cluster("tlbatch")) == 0
        written(kubeconfig({"server": server.url, "insecure-skip-tls-verify": True}))
        assert names(open_cluster("tlbatch")) == 0


# -- answers ----------------------------------------------------------------------------------------------------------

HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"
STATUS = b'{"kind": "Status", "message": "words of the server"}'
ANSWERS = [
    (200, HTML, 2), (200, b"", 2), (200, b"[]", 2), (200, b"{}", 2), (200, b'"a"', 2), (302, HTML, 2), (301, b"", 2),
    (401, STATUS, 2), (401, HTML, 2), (403, STATUS, 2), (403, HTML, 2), (404, HTML, 2), (407, HTML, 2), (410, STATUS, 1),
    (422, STATUS, 2),
    (429, STATUS, 75), (500, STATUS, 75), (503, HTML, 75), (504, b"", 75), (520, b"", 75), (511, HTML, 2), (400, STATUS, 2),
    (501, STATUS, 2),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code"), ANSWERS)
def test_answers_of_the_api_server(written: Callable[[Any], Path], status: int, body: bytes, code: int) -> None:
    with answering() as server:
        server.answers = [Answer(status, body, {"Retry-After": "Sat, 28 Nov 2026 12:00:00 GMT"})]
        written(kubeconfig({"server": server.url}))
        with pytest.raises(TlbatchError) as caught:
            open_cluster("tlbatch", deadline_s=0.0).list(JOBS)
        assert caught.value.exit_code == code, str(caught.value)
        if body == STATUS:
            assert "words of the server" in str(caught.value)


def test_a_kubeconfig_is_read_as_kubectl_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """YAML 1.1 has more words for true; a token of digits is a token, and no sentence repeats it."""
    path = tmp_path / "config"
    path.write_text(
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: yes}}]\n"
        "users: [{name: u, user: {token: 12345e678}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(path))
    cluster, user = load_kubeconfig().chosen(None)
    assert cluster.flag("insecure-skip-tls-verify")
    assert user is not None
    assert user.text("token") == "12345e678"
    assert not flag_of("no")
    assert flag_of("perhaps") is None
