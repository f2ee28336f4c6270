"""What botocore raises, translated once into tlbatch's errors. Importing this imports botocore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from s3transfer.exceptions import RetriesExceededError  # type: ignore[import-untyped]

from tlbatch.errors import StudyError, TlbatchError, TransientError
from tlbatch.store.protocol import ConflictError, NotFoundError

TRANSPORT_ERRORS = (BotoConnectionError, HTTPClientError, IncompleteReadError, RetriesExceededError)
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
CONFLICT = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
BAD_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)
BUSY = frozenset({"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests", "RequestTimeTooSkewed"})


@contextmanager
def translated(url: str, what: str, endpoint: str) -> Iterator[None]:
    """Errors of the S3 client as sentences about ``url`` (what was touched) and ``what`` (the verb, "read", "written").

    Raises NotFoundError (no such object), ConflictError (412 or 409), TransientError (transport, throttling, 5xx) or
    StudyError (bucket missing, access denied, credentials missing or wrong).
    """
    try:
        yield
    except ClientError as error:
        raise client_error(error, url, what, endpoint) from error
    except TRANSPORT_ERRORS as error:
        raise TransientError(
            f"{url} could not be {what}: the store at {endpoint} does not answer ({_first_line(error)}); "
            "check the endpoint (AWS_ENDPOINT_URL_S3) or try again later"
        ) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound) as error:
        raise StudyError(
            f"{url} could not be {what}: no usable S3 credentials ({_first_line(error)}); "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from error
    except ParamValidationError as error:
        raise StudyError(f"{url} is not an S3 address that can be {what} ({_first_line(error)}); mend the URL") from error
    except BotoCoreError as error:
        raise StudyError(f"{url} could not be {what}: {_first_line(error)}; mend the AWS settings") from error


def client_error(error: ClientError, url: str, what: str, endpoint: str) -> TlbatchError:
    """The error a server's answer stands for. Pure; decides by error code and status, never by message text."""
    code, status = error_code(error), error_status(error)
    bucket = "/".join(url.split("/")[:3])
    if code == "NoSuchBucket":
        return StudyError(f"{bucket}: no such bucket at {endpoint}; create it, or mend the URL or AWS_ENDPOINT_URL_S3")
    if code in GONE or status == 404:
        return NotFoundError(f"{url}: no such object")
    if code in CONFLICT or status == 412:
        return ConflictError(f"{url}: changed meanwhile, or already there")
    if code in BAD_CREDENTIALS or status == 401:
        return StudyError(f"{url} could not be {what}: {endpoint} refuses these credentials ({code}); renew or correct them")
    if code in BUSY or status in (408, 429) or status >= 500:
        return TransientError(f"{url} could not be {what}: {endpoint} is busy or failing ({code}); try again later")
    if code in ("AccessDenied", "403") or status == 403:
        return StudyError(
            f"{url} could not be {what}: access denied at {endpoint}; "
            "allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket, or use other credentials"
        )
    if code in ("PermanentRedirect", "301") or status == 301:
        return StudyError(f"{bucket} is in another region than asked ({code}); set AWS_REGION to the bucket's")
    return StudyError(f"{url} could not be {what}: {endpoint} answered {status} {code}; mend the URL or the request's settings")


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def error_status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def retries(error: ClientError) -> int:
    """How often botocore sent the request again before this answer."""
    return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
