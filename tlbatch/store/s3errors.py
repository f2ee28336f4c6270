"""What an S3 call raises, translated once into tlbatch's errors. Importing this imports botocore."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from s3transfer.exceptions import RetriesExceededError  # type: ignore[import-untyped]
from urllib3.exceptions import LocationParseError

from tlbatch.errors import NO_ROOM, StudyError, TlbatchError, TransientError
from tlbatch.logins import without_logins
from tlbatch.store.s3causes import ABSENT, BAD_CREDENTIALS, CERTIFICATE, CREDENTIALS, NO_BUCKET, cause_of, sentence
from tlbatch.store.s3client import PageError, is_page

TRANSPORT_ERRORS = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, RetriesExceededError)
NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.ConfigParseError,
    boto.ConfigNotFound,
    boto.InvalidConfigError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.MetadataRetrievalError,
    boto.InfiniteLoopConfigError,
    boto.UnknownCredentialError,
    boto.NoAuthTokenError,
    *((boto.LoginError,) if hasattr(boto, "LoginError") else ()),
)
GARBLED = (boto.ChecksumError, boto.FlexibleChecksumError)
LOGINS = ("AssumeRole", "GetRoleCredentials", "GetSessionToken", "CreateToken", "GetCallerIdentity")
"""Operations of AWS's login services: their refusals are about credentials, whatever their code."""
ADDRESS = "write AWS_ENDPOINT_URL_S3 (or the context's endpoint) as http://HOST:PORT or https://HOST"


class NoS3Error(StudyError):
    """Something answers at the endpoint, and it is no S3 server."""


@contextmanager
def translated(url: str, what: str, endpoint: str, *, absent: bool = True) -> Iterator[None]:
    """Errors of the S3 client as sentences about ``url`` (what was touched) and ``what`` (the verb, "read", "written").

    Raises NotFoundError (no such object; only where ``absent``: for what names one object), ConflictError (412 or 409),
    TransientError, StudyError or DataError as the table in tlbatch.store.s3causes has it. Nothing else but bugs in this
    package gets through: settings that botocore refuses by ValueError, answers that lack a field, a full local disk too.
    """
    where = f"{url} could not be {what}"
    try:
        yield
    except ClientError as error:
        raise client_error(error, url, what, endpoint, absent=absent) from error
    except TRANSPORT_ERRORS as error:
        raise transport_error(error, where, endpoint) from error
    except NO_CREDENTIALS as error:
        raise StudyError(f"{where}: no usable S3 credentials ({one_line(error)}); {CREDENTIALS}") from error
    except GARBLED as error:
        raise TransientError(f"{where}: what arrived is not what was sent ({one_line(error)}); try again") from error
    except boto.ParamValidationError as error:
        raise StudyError(f"{url} is not an S3 address that can be {what} ({one_line(error)}); fix the URL") from error
    except ResponseParserError as error:
        raise unreadable(error, where, endpoint) from error
    except BotoCoreError as error:
        raise StudyError(f"{where}: {one_line(error)}; fix the AWS settings (AWS_* variables, AWS's config file)") from error
    except KeyError as error:  # a field every S3 server sends
        raise NoS3Error(f"{where}: {endpoint} answers without {error}, as no S3 server does; {ADDRESS}") from error
    except PageError as error:
        raise _page(str(error), where, endpoint) from error
    except RecursionError as error:
        raise _endless(where, endpoint) from error
    except OSError as error:
        raise local_error(error, where) from error
    except ValueError as error:  # by botocore, for an endpoint without scheme, a broken header or a garbled credential_process
        raise StudyError(f"{where}: {one_line(error)}; {ADDRESS}, and see that the other AWS settings are whole") from error


def _endless(where: str, endpoint: str) -> TlbatchError:
    """botocore follows a server that redirects to itself until Python stops it, wherever in a request that happens to be."""
    return StudyError(f"{where}: {endpoint} redirects to itself; set AWS_REGION to the bucket's, or fix the endpoint")


def client_error(error: ClientError, url: str, what: str, endpoint: str, *, absent: bool = True) -> TlbatchError:
    """The error a server's answer stands for. Pure; decides by error code and status, never by message text."""
    code, status = error_code(error), error_status(error)
    operation = str(getattr(error, "operation_name", ""))
    cause = cause_of(code, status)
    if operation.startswith(LOGINS) and not cause.retryable:
        cause = BAD_CREDENTIALS
    answer = answer_words(error)
    if (
        cause is ABSENT and not absent and code != "NoSuchKey"
    ):  # a listing of what is not there is empty: 404 says that there is no bucket, or no S3
        return NO_BUCKET.error(sentence(NO_BUCKET, url, what, endpoint, answer))
    return cause.error(sentence(cause, url, what, endpoint, answer))


def answer_words(error: ClientError) -> str:
    """``403 AccessDenied: Access Denied``: what the server said, in one line."""
    code, status = error_code(error), error_status(error)
    said = " ".join(str(error.response.get("Error", {}).get("Message") or "").split())
    number = str(status) if status and code != str(status) else ""
    words = " ".join(part for part in (number, code) if part)
    return f"{words}: {said}" if said and said not in (code, words) else words


def transport_error(error: Exception, where: str, endpoint: str) -> TlbatchError:
    """No answer. Wrong for ever (certificate, name, settings) is told from not now by the type of the first cause."""
    causes = list(_causes(error))
    said = one_line(error)
    if isinstance(error, boto.SSLError) or any(isinstance(each, ssl.SSLError) for each in causes):
        return _tls_error(causes, said, where, endpoint)
    if isinstance(error, boto.ProxyConnectionError):
        return TransientError(
            f"{where}: the proxy does not answer ({said}); fix HTTPS_PROXY, name the server in NO_PROXY, or try again later"
        )
    if any(isinstance(each, socket.gaierror) and each.errno == socket.EAI_NONAME for each in causes):
        return StudyError(f"{where}: no machine has the name in {endpoint} ({said}); fix AWS_ENDPOINT_URL_S3 or AWS_REGION")
    if any(isinstance(each, RecursionError) for each in causes):
        return _endless(where, endpoint)
    if type(error) is boto.HTTPClientError and not any(isinstance(each, (TimeoutError, ConnectionError)) for each in causes):
        inner = causes[1] if len(causes) > 1 else error
        if isinstance(inner, OSError):
            return StudyError(f"{where}: {said}; see that AWS_CA_BUNDLE (ca_bundle) names a file of certificates")
        if type(inner) is ValueError:  # a header that cannot be sent, which it quotes: a token, a signature
            return StudyError(
                f"{where}: no request can be made of these AWS settings: see that key, token and region hold no blanks or line "
                "ends (AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN, AWS_REGION, AWS's config file)"
            )
        return StudyError(f"{where}: {said}; {ADDRESS}, and see that keys and region hold no blanks or line ends")
    return TransientError(
        f"{where}: the store at {endpoint} does not answer ({said}); "
        "check the endpoint (AWS_ENDPOINT_URL_S3) or try again later"
    )


def _tls_error(causes: list[BaseException], said: str, where: str, endpoint: str) -> TlbatchError:
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        return StudyError(f"{where}: the certificate of {endpoint} is not trusted ({said}); {CERTIFICATE}")
    reasons = {getattr(each, "reason", None) for each in causes}
    if reasons & {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}:
        return StudyError(f"{where}: {endpoint} does not speak TLS ({said}); write http:// where it is meant")
    if any(isinstance(each, (ssl.SSLEOFError, ssl.SSLZeroReturnError, TimeoutError, ConnectionError)) for each in causes):
        return TransientError(f"{where}: {endpoint} broke off ({said}); try again later")
    return StudyError(f"{where}: no secure connection to {endpoint} ({said}); {CERTIFICATE}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it, outermost first: botocore keeps the inner one in ``kwargs``, urllib3 in ``reason``."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        behind = [getattr(each, "kwargs", {}), getattr(each, "reason", None), each.__cause__, each.__context__, *each.args]
        waiting += [inner for inner in behind if isinstance(inner, BaseException)]
        kept = behind[0]
        waiting += [inner for inner in kept.values() if isinstance(inner, BaseException)] if isinstance(kept, dict) else []


def unreadable(error: Exception, where: str, endpoint: str) -> TlbatchError:
    """An answer that is no XML: a page for people means that there is no S3 server, anything else that it broke off."""
    body = str(error).partition("\n")[2]
    said = " ".join((body or str(error)).split())[:200]
    if is_page(body.encode()):
        return _page(said, where, endpoint)
    return TransientError(f"{where}: the answer of {endpoint} cannot be read ({said}); try again later")


def _page(said: str, where: str, endpoint: str) -> NoS3Error:
    return NoS3Error(f"{where}: {endpoint} answers with a page for people, as no S3 server does ({said}); {ADDRESS}")


def local_error(error: OSError, where: str) -> TlbatchError:
    """This machine's own files: a full disk, a file that cannot be read, a credential_process that is not there."""
    place = f" {error.filename}" if error.filename else ""
    if error.errno in NO_ROOM:
        return TransientError(f"{where}: no space left on this machine{place}; make room")
    reason = error.strerror or str(error) or type(error).__name__
    return StudyError(f"{where} ({reason}{place and ':'}{place}): see that this file is there and may be used")


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def error_status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)


def retries(error: ClientError) -> int:
    """How often botocore sent the request again before this answer."""
    return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def one_line(error: BaseException) -> str:
    """Its words in one line, at most 300 letters, without logins in addresses; the type's name where it has none."""
    if any(isinstance(each, LocationParseError) for each in _causes(error)):  # which quotes half a login
        return "a proxy's or the endpoint's address cannot be read; in a login, /, #, ? and @ are written %2F, %23, %3F, %40"
    return (without_logins(" ".join(str(error).split())) or type(error).__name__)[:300]
