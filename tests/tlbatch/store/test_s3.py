"""What only S3 can answer: missing buckets, denials, silence, retried conditional writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from tlbatch.errors import StudyError, TlbatchError, TransientError
from tlbatch.store import ConflictError, NotFoundError, Store
from tlbatch.store.s3 import S3Store
from tlbatch.store.s3errors import client_error

URL = "s3://pets/cats/1.jpg"


def answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


@pytest.mark.parametrize(
    ("code", "status", "kind", "way_out"),
    [
        ("NoSuchKey", 404, NotFoundError, "no such object"),
        ("404", 404, NotFoundError, "no such object"),
        ("NoSuchBucket", 404, StudyError, "s3://pets: no such bucket at http://here (404 NoSuchBucket); create it"),
        ("PreconditionFailed", 412, ConflictError, "changed meanwhile"),
        ("ConditionalRequestConflict", 409, ConflictError, "changed meanwhile"),
        ("AccessDenied", 403, StudyError, "access denied at http://here (403 AccessDenied); allow s3:GetObject"),
        ("403", 403, StudyError, "access denied"),
        ("SignatureDoesNotMatch", 403, StudyError, "refuses these credentials"),
        ("ExpiredToken", 400, StudyError, "refuses these credentials"),
        ("SlowDown", 503, TransientError, "try again later"),
        ("InternalError", 500, TransientError, "try again later"),
        ("TooManyRequests", 429, TransientError, "try again later"),
        ("PermanentRedirect", 301, StudyError, "another region"),
        ("InvalidBucketName", 400, StudyError, "fix the URL"),
    ],
)
def test_answers_become_sentences(code: str, status: int, kind: type[TlbatchError], way_out: str) -> None:
    error = client_error(answer(code, status), URL, "read", "http://here")
    assert type(error) is kind
    assert way_out in str(error)


@pytest.mark.parametrize("url", ["s3://", "s3:///a", "s3://pets/a/../b", "s3://pets/a//b"])
def test_urls_without_bucket_or_with_dots_are_refused(url: str) -> None:
    with pytest.raises(StudyError, match="expected s3://bucket or s3://bucket/prefix"):
        S3Store(url)


@pytest.mark.s3
def test_a_missing_bucket_is_a_sentence(s3_server: str) -> None:
    store = S3Store("s3://tlbatch-no-such-bucket/prefix")
    for call in (
        store.get,
        store.stat,
        lambda n: list(store.list(n)),
        lambda n: store.put(n, b""),
        lambda n: store.delete([n]),
    ):
        with pytest.raises(StudyError, match="s3://tlbatch-no-such-bucket: no such bucket at http"):
            call("name")


@pytest.mark.s3
def test_wrong_credentials_are_a_sentence(s3_bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if s3_server == "moto":
        pytest.skip("moto does not check credentials: set TLBATCH_VERSITYGW or AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StudyError, match=r"refuses these credentials|access denied"):
        S3Store(f"s3://{s3_bucket}").get("name")


@pytest.mark.s3
def test_no_credentials_are_a_sentence(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StudyError, match=r"no usable S3 credentials.*set AWS_ACCESS_KEY_ID"):
        S3Store(f"s3://{s3_bucket}").get("name")


@pytest.mark.parametrize(
    "call", [lambda s: s.get("a"), lambda s: s.put("a", b""), lambda s: s.stat("a"), lambda s: list(s.list())]
)
def test_a_store_that_does_not_answer_is_come_back_later(monkeypatch: pytest.MonkeyPatch, call: object) -> None:
    settings = {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TransientError, match=r"the store at http://127\.0\.0\.1:9 does not answer"):
        call(S3Store("s3://pets"))  # type: ignore[operator]


@pytest.mark.s3
def test_a_store_may_be_the_whole_bucket(s3_bucket: str) -> None:
    whole = S3Store(f"s3://{s3_bucket}/")
    part = S3Store(f"s3://{s3_bucket}/part-of-it/")
    assert (whole.url, part.url) == (f"s3://{s3_bucket}", f"s3://{s3_bucket}/part-of-it")
    part.put("a", b"x")
    assert whole.get("part-of-it/a") == b"x"
    assert [stat.name for stat in part.list()] == ["a"]


@pytest.mark.s3
def test_folder_markers_are_not_listed(s3_store: Store) -> None:
    assert isinstance(s3_store, S3Store)
    s3_store.put("folder/a", b"")
    marker = s3_store.url.removeprefix(f"s3://{s3_store.bucket}/") + "/folder/"
    boto3.client("s3").put_object(Bucket=s3_store.bucket, Key=marker, Body=b"")
    assert [stat.name for stat in s3_store.list()] == ["folder/a"]


@pytest.mark.slow
@pytest.mark.s3
def test_listings_and_deletions_of_more_than_a_page(s3_store: Store) -> None:
    names = [f"many/{number:04d}" for number in range(1010)]
    for name in names:
        s3_store.put(name, b"")
    assert [stat.name for stat in s3_store.list("many/")] == names
    s3_store.delete(names)
    assert list(s3_store.list()) == []


@pytest.fixture
def stubbed() -> Iterator[tuple[S3Store, Stubber]]:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield S3Store("s3://pets/cats", client), stubber


def add_conflict(stubber: Stubber, status: int, code: str, retried: int) -> None:
    stubber.add_client_error("put_object", code, http_status_code=status, response_meta={"RetryAttempts": retried})


class Body:
    """A response body that breaks off as often as told, then gives its bytes."""

    def __init__(self, data: bytes | Exception) -> None:
        self.data = data

    def read(self) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


def test_a_retried_put_that_meets_its_own_write_has_won(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    add_conflict(stubber, 412, "PreconditionFailed", retried=1)
    stubber.add_response("get_object", {"Body": Body(b"mine"), "ETag": '"1"'})
    assert store.put("a", b"mine", if_absent=True) == '"1"'


def test_a_retried_put_that_meets_anothers_write_has_lost(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    add_conflict(stubber, 412, "PreconditionFailed", retried=1)
    stubber.add_response("get_object", {"Body": Body(b"theirs"), "ETag": '"1"'})
    with pytest.raises(ConflictError):
        store.put("a", b"mine", if_absent=True)


def test_undecided_conditional_writes_are_sent_again(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    add_conflict(stubber, 409, "ConditionalRequestConflict", retried=0)
    stubber.add_response("put_object", {"ETag": '"2"'})
    assert store.put("a", b"mine", if_absent=True) == '"2"'


def test_a_body_that_breaks_off_is_fetched_again(stubbed: tuple[S3Store, Stubber]) -> None:
    from botocore.exceptions import ResponseStreamingError

    store, stubber = stubbed
    broken = ResponseStreamingError(error="cut")
    for body in (Body(broken), Body(b"whole")):
        stubber.add_response("get_object", {"Body": body, "ETag": '"1"'})
    assert store.get("a") == b"whole"
    for _ in range(3):
        stubber.add_response("get_object", {"Body": Body(broken), "ETag": '"1"'})
    with pytest.raises(TransientError):
        store.get("a")


def test_objects_that_could_not_be_deleted_are_named(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    stubber.add_response("delete_objects", {"Errors": [{"Key": "cats/a", "Code": "AccessDenied"}]})
    with pytest.raises(StudyError, match=r"s3://pets/cats/a .*allow s3:.*s3:DeleteObject"):
        store.delete(["a", "b"])


def test_boto3_is_imported_only_for_s3() -> None:
    code = (
        "import sys, tlbatch.store, tlbatch.store.artifacts, tlbatch.store.lease, tlbatch.records.executions\n"
        "tlbatch.store.open_store('.')\nprint('boto3' in sys.modules, 'botocore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
