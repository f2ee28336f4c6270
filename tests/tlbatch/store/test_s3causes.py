"""Which answers of an S3 server are wrong (2, 65), which are later (75): the table, against a server that gives each."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.certificates import make_certificate
from tests.tlbatch.store.answering import XML, Answer, Answering, answering, refusal
from tlbatch.errors import StudyError, TlbatchError, TransientError
from tlbatch.store import ConflictError, NotFoundError, Store, open_store
from tlbatch.store.s3causes import TABLE, cause_of
from tlbatch.store.s3errors import translated

CALLS: dict[str, Callable[[Store, Path], Any]] = {
    "get": lambda s, f: s.get("a"),
    "get_range": lambda s, f: s.get_range("a", 0, 5),
    "stat": lambda s, f: s.stat("a"),
    "list": lambda s, f: list(s.list("p/")),
    "put": lambda s, f: s.put("a", b"x", if_absent=True),
    "delete": lambda s, f: s.delete(["a", "b"]),
    "upload": lambda s, f: s.upload(f, "a"),
    "download": lambda s, f: s.download("a", f.with_name("fetched")),
    "abort": lambda s, f: s.abort_uploads(0.0),  # type: ignore[attr-defined]
}


@pytest.fixture(scope="module")
def served() -> Iterator[Answering]:
    with answering() as script:
        yield script


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    values = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}
    files = {"CONFIG_FILE": "/nonexistent", "SHARED_CREDENTIALS_FILE": "/nonexistent", "EC2_METADATA_DISABLED": "true"}
    values["RETRY_MODE"] = "standard"  # the adaptive mode slows down for seconds after a throttled request
    for name, value in {**values, **files}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return monkeypatch


@pytest.fixture
def store(served: Answering, clean: pytest.MonkeyPatch) -> Store:
    clean.setenv("AWS_ENDPOINT_URL_S3", served.url)
    served.asked.clear()
    served.answers = [refusal(403, "InvalidAccessKeyId")]  # not what the test before had: its silence may last long
    return open_store("s3://pets/cats")


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(b"0123456789")
    return path


WRONG, DATA, LATER = 2, 65, 75
ANSWERS = [
    (403, "AccessDenied", WRONG, "access denied"),
    (403, "InvalidAccessKeyId", WRONG, "refuses these credentials"),
    (403, "SignatureDoesNotMatch", WRONG, "refuses these credentials"),
    (400, "ExpiredToken", WRONG, "refuses these credentials"),
    (401, "Unauthorized", WRONG, "refuses these credentials"),
    (403, "RequestTimeTooSkewed", WRONG, "set this machine's time by NTP"),
    (501, "NotImplemented", WRONG, "conditional writes"),
    (405, "MethodNotAllowed", WRONG, "does not know this request"),
    (403, "QuotaExceeded", LATER, "no room left"),
    (400, "XMinioAdminBucketQuotaExceeded", LATER, "no room left"),
    (507, "XMinioStorageFull", LATER, "no room left"),
    (507, "Whatever", LATER, "no room left"),
    (403, "InvalidObjectState", DATA, "archive class"),
    (400, "KMS.DisabledException", WRONG, "kms:Decrypt"),
    (400, "AuthorizationHeaderMalformed", WRONG, "set AWS_REGION"),
    (301, "PermanentRedirect", WRONG, "redirects"),
    (302, "Found", WRONG, "redirects"),
    (511, "Whatever", WRONG, "a login page"),
    (407, "Whatever", WRONG, "wants a login"),
    (503, "SlowDown", LATER, "try again later"),
    (503, "XMinioServerNotInitialized", LATER, "try again later"),
    (500, "InternalError", LATER, "try again later"),
    (502, "Whatever", LATER, "try again later"),
    (504, "Whatever", LATER, "try again later"),
    (429, "TooManyRequests", LATER, "try again later"),
    (400, "RequestTimeout", LATER, "try again later"),
    (400, "BadDigest", LATER, "is not what was sent"),
    (409, "OperationAborted", LATER, "try again later"),
    (400, "InvalidBucketName", WRONG, "fix the URL"),
    (400, "Teapot", WRONG, "fix the URL"),
    (418, "Teapot", WRONG, "fix the URL"),
    (404, "NoSuchBucket", WRONG, "no such bucket"),
]


@pytest.mark.parametrize(("status", "code", "exit_code", "words"), ANSWERS, ids=[f"{s}-{c}" for s, c, *_ in ANSWERS])
def test_each_answer_has_its_exit_code_and_sentence(
    served: Answering, store: Store, local: Path, status: int, code: str, exit_code: int, words: str
) -> None:
    """For each call of the store; the server's own words stay in the sentence. A HEAD's answer has no code, only a status."""
    served.answers = [refusal(status, code)]
    for name in CALLS if status not in (301, 302) else ("list",):  # botocore asks a server that redirects for seconds
        call = CALLS[name]
        with pytest.raises(TlbatchError) as caught:
            call(store, local)
        if name in ("stat", "download"):  # asked by HEAD
            assert caught.value.exit_code in (cause_of("", status).error.exit_code, exit_code), name
            continue
        said = str(caught.value)
        assert (caught.value.exit_code, "\n" in said) == (exit_code, False), (name, said)
        assert words in said, (name, said)
        assert "words of the server" in said or status in (301, 302), (name, said)
        assert "s3://pets" in said, (name, said)


def test_the_table_is_one_cause_a_code_and_a_status() -> None:
    codes = [code for cause in TABLE for code in cause.codes]
    statuses = [status for cause in TABLE for status in cause.statuses]
    assert (len(codes), len(statuses)) == (len(set(codes)), len(set(statuses)))
    assert {cause.error.exit_code for cause in TABLE if cause.error not in (NotFoundError, ConflictError)} == {2, 65, 75}


@example(status=404, code="", message="")
@example(status=412, code="", message="")
@given(status=st.integers(300, 599), code=st.text(max_size=30), message=st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_the_answer_it_has_a_cause(status: int, code: str, message: str) -> None:
    cause = cause_of(code, status)
    if cause.error in (NotFoundError, ConflictError):  # answers, not failures: asked again they are the same
        assert not cause.retryable
        return
    assert cause.retryable == (cause.error.exit_code == 75)
    assert cause.fix


HTML = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Please log in.<br></body></html>"
STRANGE = {
    "html": (Answer(200, HTML, {"Content-Type": "text/html"}), {WRONG}),
    "html as xml": (Answer(200, HTML, {"Content-Type": XML}), {WRONG}),
    "empty": (Answer(200), {WRONG}),
    "no content": (Answer(204), {WRONG}),
    "other xml": (Answer(200, b"<?xml version='1.0'?><a><b/></a>", {"Content-Type": XML}), {WRONG}),
    "half an xml": (Answer(200, b"<?xml version='1.0'?><ListBucketResult><Name>pe", {"Content-Type": XML}), {WRONG, LATER}),
    "json": (Answer(200, b'{"ok": true}', {"Content-Type": "application/json"}), {WRONG, LATER}),
    "html 403": (Answer(403, HTML), {WRONG}),
    "html 404": (Answer(404, HTML), {WRONG}),
    "empty 404": (Answer(404), {WRONG}),
    "html 503": (Answer(503, HTML), {LATER}),
    "empty 500": (Answer(500), {LATER}),
    "truncated": (Answer(200, b"<?xml", {"ETag": '"1"', "Content-Type": XML}, length=5000), {LATER}),
    "cut": (Answer(0, cut=True), {LATER}),
    "redirect": (Answer(301, b"", {"Location": "http://127.0.0.1:9/"}), {WRONG}),
    "login": (Answer(302, HTML, {"Location": "http://127.0.0.1:9/login"}), {WRONG}),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_s3_server_is_never_an_empty_store(served: Answering, store: Store, local: Path, name: str) -> None:
    """Nor a bug: every call that learns something from the answer ends in a sentence with 2 or 75."""
    answer, codes = STRANGE[name]
    served.answers = [answer]
    for verb in ("list", "put", "get", "stat") if answer.status not in (301, 302) else ("list",):
        if verb == "stat" and answer.status == 200 and name == "truncated":
            continue  # a HEAD has no body that could be short
        with pytest.raises(TlbatchError) as caught:
            CALLS[verb](store, local)
        assert caught.value.exit_code in codes, (verb, str(caught.value))


def test_a_server_that_stalls_is_later(served: Answering, store: Store, clean: pytest.MonkeyPatch) -> None:
    from botocore.config import Config

    from tlbatch.store import s3client

    clean.setattr(s3client, "Config", lambda **given: Config(**{**given, "read_timeout": 0.3}))
    served.answers = [Answer(200, wait_s=20.0)]
    with pytest.raises(TransientError, match="does not answer"):
        open_store("s3://pets/cats").get("a")


# -- settings ---------------------------------------------------------------------------------------------------------

SETTINGS = {
    "endpoint without scheme": ({"AWS_ENDPOINT_URL_S3": "127.0.0.1:9000"}, "http://HOST:PORT"),
    "endpoint of words": ({"AWS_ENDPOINT_URL_S3": "http://a b c"}, "http://HOST:PORT"),
    "endpoint with a port that is none": ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:http"}, "not a valid URI"),
    "endpoint ftp": ({"AWS_ENDPOINT_URL_S3": "ftp://127.0.0.1"}, "not a valid URI"),
    "login in the endpoint": ({"AWS_ENDPOINT_URL_S3": "http://me:hidden@127.0.0.1:9"}, "AWS_ENDPOINT_URL_S3 holds a login"),
    "login in the endpoint of all": (
        {"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL": "http://me:hid/hidden@127.0.0.1:9"},
        "AWS_ENDPOINT_URL holds a login",
    ),
    "key with a line end": ({"AWS_ACCESS_KEY_ID": "hidden\n"}, "line ends .*AWS_ACCESS_KEY_ID"),
    "key with a letter outside latin-1": ({"AWS_ACCESS_KEY_ID": "kéy→"}, "refuses these credentials|latin-1"),
    "token with a line end": ({"AWS_SESSION_TOKEN": "hidden\nvalue"}, "line ends .*AWS_SESSION_TOKEN"),
    "region with a blank": ({"AWS_REGION": "eu west", "AWS_DEFAULT_REGION": "eu west"}, "eu west"),
    "profile not there": ({"AWS_PROFILE": "nobody"}, "nobody"),
    "attempts of words": ({"AWS_MAX_ATTEMPTS": "many"}, "many"),
    "retry mode": ({"AWS_RETRY_MODE": "wild"}, "wild"),
    "checksums": ({"AWS_REQUEST_CHECKSUM_CALCULATION": "sometimes"}, "sometimes"),
    "ca bundle": ({"AWS_CA_BUNDLE": "/nonexistent/ca.pem", "AWS_ENDPOINT_URL_S3": "https"}, "AWS_CA_BUNDLE"),
    "no host": ({"AWS_ENDPOINT_URL_S3": "http://no-such-host.invalid"}, "no-such-host"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_are_wrong_are_a_sentence(store: Store, clean: pytest.MonkeyPatch, name: str) -> None:
    """Which quotes neither keys nor tokens: sentences go into logs."""
    values, words = SETTINGS[name]
    for variable, value in values.items():
        clean.setenv(variable, value if value != "https" else os.environ[variable].replace("http:", "https:"))
    with pytest.raises(TlbatchError, match=words) as caught:
        open_store("s3://pets/cats").get("a")
    assert "hidden" not in str(caught.value)
    assert caught.value.exit_code in ((2, 75) if name in ("no host", "key with a letter outside latin-1") else (2,)), str(
        caught.value
    )


CONFIGS = {
    "broken": "[default\nregion = x",
    "not utf-8": b"[default]\nregion = \xff\xfe\n",
    "no section": "region = eu-west-1\n",
    "failing process": "[default]\ncredential_process = sh -c 'echo no such login >&2; exit 3'\n",
    "missing process": "[default]\ncredential_process = /nonexistent/login\n",
    "garbled process": "[default]\ncredential_process = echo hello\n",
    "empty json": "[default]\ncredential_process = echo '{}'\n",
    "process with an open quote": "[default]\ncredential_process = echo 'hello\n",
    "sso without a login": "[default]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n"
    "sso_account_id = 123456789012\nsso_role_name = r\n",
    "role of nobody": "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = nobody\n",
    "half a key": "[default]\naws_access_key_id = k\n",
    "role for ever": "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = default\n",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_an_aws_config_that_is_wrong_is_a_sentence(store: Store, clean: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    text = CONFIGS[name]
    path = tmp_path / "config"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        clean.delenv(variable)
    clean.setenv("AWS_CONFIG_FILE", str(path))
    clean.setenv("HOME", str(tmp_path))
    with pytest.raises(StudyError) as caught:
        open_store("s3://pets/cats").get("a")
    assert "\n" not in str(caught.value)
    if name == "failing process":
        assert "no such login" in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [("http://me:hidden@127.0.0.1:9", "config file holds a login"), ("http://me:hidden@1 2", "Invalid endpoint: http://…@1 2")],
)
def test_a_login_in_an_aws_configs_endpoint_is_refused_and_not_repeated(
    store: Store, clean: pytest.MonkeyPatch, tmp_path: Path, endpoint: str, words: str
) -> None:
    (tmp_path / "config").write_text(f"[default]\nendpoint_url = {endpoint}\n")
    clean.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        clean.delenv(variable, raising=False)
    with pytest.raises(StudyError, match=words) as caught:
        open_store("s3://pets/cats").get("a")
    assert "hidden" not in str(caught.value)


SETTING = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@pytest.mark.slow
@given(endpoint=SETTING, key=SETTING, secret=SETTING, region=SETTING, token=SETTING)
@settings(max_examples=25, deadline=None)
def test_no_setting_is_a_bug(endpoint: str, key: str, secret: str, region: str, token: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        names = ("ENDPOINT_URL_S3", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION", "SESSION_TOKEN")
        given_values = (f"http://127.0.0.1:9/{endpoint}", key, secret, region, token)
        for name, value in zip(names, given_values, strict=True):
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(TlbatchError) as caught:
            open_store("s3://pets/cats").get("a")
        assert caught.value.exit_code in (2, 75)


# -- TLS, proxies -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with server.pem (key and certificate for 127.0.0.1, its own authority)."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder, "127.0.0.1", "IP:127.0.0.1")
    return folder


def test_a_certificate_that_is_not_trusted_is_wrong_and_names_the_setting(authority: Path, clean: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "ca.pem", authority / "key.pem")
    with answering(context) as script:
        script.answers = [Answer(200, b"hello", {"ETag": '"1"'})]
        clean.setenv("AWS_ENDPOINT_URL_S3", script.url)
        with pytest.raises(StudyError, match=r"is not trusted .*AWS_CA_BUNDLE"):
            open_store("s3://pets/cats").get("a")
        clean.setenv("AWS_CA_BUNDLE", str(authority / "ca.pem"))
        assert open_store("s3://pets/cats").get("a") == b"hello"


def test_https_to_a_server_without_tls_is_wrong(served: Answering, clean: pytest.MonkeyPatch) -> None:
    served.answers = [Answer(200)]
    clean.setenv("AWS_ENDPOINT_URL_S3", served.url.replace("http:", "https:"))
    with pytest.raises(StudyError, match="does not speak TLS"):
        open_store("s3://pets/cats").get("a")


def test_a_proxy_that_does_not_answer_is_named(clean: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        clean.setenv("HTTP_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        clean.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
        with pytest.raises(TransientError, match="proxy"):
            open_store("s3://pets/cats").get("a")


# -- DeleteObjects ----------------------------------------------------------------------------------------------------


def test_deletions_carry_content_md5(served: Answering, store: Store) -> None:
    served.answers = [Answer(200, b"<DeleteResult/>", {"Content-Type": XML})]
    store.delete(["a"])
    assert "Content-MD5" in served.asked[0][2] or "Content-Md5" in served.asked[0][2]


@pytest.mark.parametrize(
    ("status", "code"), [(400, "MissingContentMD5"), (400, "InvalidRequest"), (501, "NotImplemented"), (405, "x")]
)
def test_a_server_without_that_request_is_asked_one_by_one(served: Answering, store: Store, status: int, code: str) -> None:
    served.answers = [refusal(status, code), Answer(204)]
    store.delete(["a", "b"])
    store.delete(["c"])
    assert [(method, path) for method, path, *_ in served.asked[1:]] == [("DELETE", f"/pets/cats/{n}") for n in "abc"]


def test_what_was_not_deleted_is_by_its_cause(served: Answering, store: Store) -> None:
    for code, kind in (("AccessDenied", StudyError), ("InternalError", TransientError), ("SlowDown", TransientError)):
        body = f"<DeleteResult><Error><Key>cats/a</Key><Code>{code}</Code><Message>why</Message></Error></DeleteResult>"
        served.answers = [Answer(200, body.encode(), {"Content-Type": XML})]
        with pytest.raises(kind, match=rf"cats/a could not be deleted.*{code}: why"):
            store.delete(["a"])


@pytest.mark.parametrize(
    "error", [RecursionError("depth"), HTTPClientError(error=RecursionError("depth"))], ids=["bare", "inside"]
)
def test_a_server_that_redirects_for_ever_is_called_so_wherever_python_stops(error: Exception) -> None:
    """How deep the call was when it began decides which of the two it is."""
    with pytest.raises(StudyError, match="redirects to itself"), translated("s3://b/x", "read", "http://h"):
        raise error
