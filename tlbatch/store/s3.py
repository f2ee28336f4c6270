"""A store in an S3 bucket, AWS's or any other. Credentials, region and endpoint come from boto3's own chain."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError

from tlbatch.errors import TlbatchError
from tlbatch.logins import KEYS, SERVER, check_no_login
from tlbatch.store.names import bucket_and_prefix, check_name, check_prefix, is_name
from tlbatch.store.protocol import ConflictError, NotFoundError, Stat
from tlbatch.store.s3causes import ABSENT, NOT_KNOWN, cause_of, sentence
from tlbatch.store.s3client import ATTEMPTS, open_client
from tlbatch.store.s3errors import TRANSPORT_ERRORS, error_code, error_status, retries, translated
from tlbatch.store.s3sweeps import Page, Request, swept

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
BODY_ATTEMPTS = 3
"""Fresh GETs when a body breaks off, which botocore does not retry."""
PART_BYTES = 16 * 2**20
DELETE_AT_ONCE = 1000
NO_DELETE_OBJECTS = frozenset(
    {"MissingContentMD5", "InvalidRequest", "MissingRequestBodyError", "InvalidDigest", *NOT_KNOWN.codes}
)
"""Answers of servers that do not take DeleteObjects as this SDK sends it."""


class S3Store:
    """Objects are keys under ``s3://bucket/prefix``. Needs a server with conditional writes (If-Match, If-None-Match)."""

    paging: Mapping[str, int] = MappingProxyType({})  #: MaxKeys of LIST requests, where it is not the server's

    def __init__(self, url: str, client: Any = None) -> None:
        check_no_login(url, "an address s3://…", f"write s3://BUCKET/PREFIX, and {KEYS}")
        self.bucket, prefix = bucket_and_prefix(url)
        self._base = f"{prefix}/" if prefix else ""
        self.url = f"s3://{self.bucket}/{prefix}".rstrip("/")
        for variable in ENDPOINTS:
            check_no_login(os.environ.get(variable), variable, SERVER)
        self._endpoint = next(filter(None, map(os.environ.get, ENDPOINTS)), "S3")
        self._bucket_seen = self._one_by_one = False
        if client is None:
            with self._errors("", "opened"):
                client = open_client()
        self._client = client
        check_no_login(client.meta.endpoint_url, "endpoint_url of AWS's config file", SERVER)
        self._endpoint = client.meta.endpoint_url

    def get(self, name: str) -> bytes:
        return self.get_with_etag(name)[0]

    def get_range(self, name: str, offset: int, size: int) -> bytes:
        if size <= 0:
            return b""
        try:
            return self._get(name, Range=f"bytes={offset}-{offset + size - 1}")[0]
        except _RangeBeyondEndError:
            return b""

    def get_with_etag(self, name: str) -> tuple[bytes, str]:
        return self._get(name)

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        condition: dict[str, str] = {}
        if if_absent:
            condition["IfNoneMatch"] = "*"
        if if_match is not None:
            condition["IfMatch"] = if_match
        try:
            return self._put_resolved(name, data, condition)
        except NotFoundError as error:  # S3's answer to If-Match where there is no object
            if if_match is None:
                raise
            raise ConflictError(f"{self.url}/{name}: gone meanwhile") from error

    def upload(self, path: Path, name: str) -> None:
        key = self._key(name)
        with self._errors(name, "written", absent=False), self._transfers() as transfers:
            transfers.upload(str(path), self.bucket, key).result()

    def download(self, name: str, path: Path) -> None:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        key = self._key(name)
        try:
            with self._errors(name, "read"), self._transfers() as transfers:
                transfers.download(self.bucket, key, str(partial)).result()
            partial.replace(path)
        except NotFoundError:
            self._check_bucket()
            raise
        finally:
            partial.unlink(missing_ok=True)

    def stat(self, name: str) -> Stat | None:
        key = self._key(name)
        try:
            with self._errors(name, "read"):
                head = self._client.head_object(Bucket=self.bucket, Key=key)
                return Stat(name, head["ContentLength"], head["ETag"], head["LastModified"].timestamp())
        except NotFoundError:
            self._check_bucket()
            return None

    def list(self, prefix: str = "") -> Iterator[Stat]:
        check_prefix(prefix)
        return (stat for stat in self._list(prefix) if is_name(stat.name))

    def list_all(self) -> Iterator[Stat]:
        return swept(self._page)

    def put_folder(self, name: str) -> None:
        key = self._key(name)
        with self._errors(name, "written"):
            self._client.put_object(Bucket=self.bucket, Key=f"{key}/", Body=b"")

    def delete(self, names: Iterable[str]) -> None:
        keys = [self._key(name) for name in names]
        for start in range(0, len(keys), DELETE_AT_ONCE):
            self._delete(keys[start : start + DELETE_AT_ONCE])

    def _delete(self, keys: Sequence[str]) -> None:
        """All in one request; one by one where the server has no such request, or refuses how this SDK makes it."""
        if self._one_by_one:
            self._delete_each(keys)
            return
        request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with self._errors("", "cleared", absent=False):
            try:
                answer = self._client.delete_objects(Bucket=self.bucket, Delete=request)
            except ClientError as error:
                if error_code(error) not in NO_DELETE_OBJECTS and error_status(error) not in (405, 501):
                    raise
                self._one_by_one = True
        if self._one_by_one:
            self._delete_each(keys)
            return
        failed = [entry for entry in answer.get("Errors", ()) if cause_of(entry.get("Code", ""), 0) is not ABSENT]
        if failed:
            raise self._not_deleted(failed)

    def _delete_each(self, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(NotFoundError), self._errors(key.removeprefix(self._base), "deleted"):
                self._client.delete_object(Bucket=self.bucket, Key=key)

    def _not_deleted(self, failed: Sequence[dict[str, str]]) -> TlbatchError:
        first = failed[0]
        cause = cause_of(first.get("Code", ""), 0)
        more = f" and {len(failed) - 1} more" if failed[1:] else ""
        answer = ": ".join(filter(None, (first.get("Code"), first.get("Message"))))
        return cause.error(sentence(cause, f"s3://{self.bucket}/{first.get('Key')}{more}", "deleted", self._endpoint, answer))

    def abort_uploads(self, older_s: float, dry_run: bool = False) -> int:
        """End multipart uploads begun longer ago under this store's root that nobody finished; returns how many."""
        begun = time.time() - older_s
        with self._errors("", "listed", absent=False):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self._base)
            uploads = [upload for page in pages for upload in page.get("Uploads", ())]
        old = [upload for upload in uploads if upload["Initiated"].timestamp() < begun]
        for upload in [] if dry_run else old:
            with self._errors(upload["Key"].removeprefix(self._base), "cleared"):
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(old)

    def local_path(self, name: str) -> Path | None:
        check_name(name)
        return None

    # -- inside -----------------------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        check_name(name)
        return self._base + name

    def _errors(self, name: str, what: str, *, absent: bool = True) -> AbstractContextManager[None]:
        return translated(f"{self.url}/{name}" if name else self.url, what, self._endpoint, absent=absent)

    def _transfers(self) -> Any:
        return create_transfer_manager(
            self._client, TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)
        )

    def _get(self, name: str, **extra: str) -> tuple[bytes, str]:
        key = self._key(name)
        with self._errors(name, "read"):
            for left in reversed(range(BODY_ATTEMPTS)):
                try:
                    answer = self._client.get_object(Bucket=self.bucket, Key=key, **extra)
                except ClientError as error:
                    if error_code(error) == "InvalidRange" or error_status(error) == 416:
                        raise _RangeBeyondEndError from error
                    if error_code(error) == "404":  # no words of S3's: is there a bucket at all?
                        self._check_bucket()
                    raise
                try:
                    return answer["Body"].read(), answer["ETag"]
                except TRANSPORT_ERRORS:
                    if not left:
                        raise
        raise AssertionError("unreachable")

    def _put_resolved(self, name: str, data: bytes, condition: dict[str, str]) -> str:
        """Put, until the server has decided: 409 means that two conditional writes met and neither need have won."""
        key = self._key(name)
        with self._errors(name, "written", absent="IfMatch" in condition):
            for left in reversed(range(ATTEMPTS)):
                try:
                    return str(self._client.put_object(Bucket=self.bucket, Key=key, Body=data, **condition)["ETag"])
                except ClientError as error:
                    if error_status(error) == 412 and retries(error) and (etag := self._etag_if_ours(name, data)):
                        return etag
                    if error_status(error) != 409 or not left:
                        raise
                    time.sleep(0.05)
        raise AssertionError("unreachable")

    def _etag_if_ours(self, name: str, data: bytes) -> str | None:
        """The etag if the object holds just these bytes: botocore's second try met what its first had written."""
        try:
            present, etag = self.get_with_etag(name)
        except NotFoundError:
            return None
        return etag if present == data else None

    def _list(self, prefix: str) -> Iterator[Stat]:
        token: str | None = None
        while True:
            page = self._page(Request(prefix, whole=False, token=token))
            yield from page.stats
            token = page.token
            if token is None:
                return

    def _page(self, request: Request) -> Page:
        how = {"ContinuationToken": request.token} if request.token else {}
        how |= {"Delimiter": "/"} if request.by_folder else {}
        with self._errors(request.prefix, "listed", absent=False):
            page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._base + request.prefix, **self.paging, **how)
            token = page["NextContinuationToken"] if page["IsTruncated"] else None  # an empty answer is no empty listing
        found = [
            Stat(entry["Key"].removeprefix(self._base), entry["Size"], entry["ETag"], entry["LastModified"].timestamp())
            for entry in page.get("Contents", ())
        ]
        folders = [entry["Prefix"].removeprefix(self._base) for entry in page.get("CommonPrefixes", ())]
        return Page(found, token, folders)

    def _check_bucket(self) -> None:
        """A HEAD's 404 does not say whether object or bucket is missing. Raises StudyError for the bucket; asks once."""
        if self._bucket_seen:
            return
        with self._errors("", "read", absent=False):
            self._client.head_bucket(Bucket=self.bucket)
        self._bucket_seen = True


class _RangeBeyondEndError(Exception):
    """A range that starts at or after the object's end."""
