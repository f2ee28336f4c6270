"""Why an S3 server said no: one table of causes, each with its exit code and its way out. Pure; botocore is not needed.

An answer is judged by its error code first, else by its HTTP status, never by the words of its message; those are handed
on. Codes are those of AWS S3, MinIO, Ceph, versitygw and Wasabi.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbatch.errors import DataError, StudyError, TlbatchError, TransientError
from tlbatch.store.protocol import ConflictError, NotFoundError

ALLOW = "allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket, or use other credentials"
CERTIFICATE = (
    "where the server's certificate is signed by your own authority, name the file with its certificate: AWS_CA_BUNDLE=FILE, "
    "`tlbatch context set ca_bundle=FILE`, or ca_bundle of the AWS profile (in pods: pod_ca_bundle)"
)
CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; TLBATCH_S3_ANONYMOUS=1 reads public buckets"


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal. ``error`` owns the exit code; ``fix`` is the end of the sentence.

    ``said`` is the middle: what it means. Both may use {url}, {bucket} and {endpoint}.
    """

    name: str
    error: type[TlbatchError]
    said: str
    fix: str
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later with nothing mended (exit code 75)."""
        return issubclass(self.error, TransientError)


def _cause(name: str, error: type[TlbatchError], said: str, fix: str, codes: str = "", statuses: tuple[int, ...] = ()) -> Cause:
    return Cause(name, error, said, fix, frozenset(codes.split()), frozenset(statuses))


NO_BUCKET = _cause(
    "no bucket", StudyError, "no such bucket at {endpoint}", "create it, or fix the URL or AWS_ENDPOINT_URL_S3",
    "NoSuchBucket",
)  # fmt: skip
ABSENT = _cause("absent", NotFoundError, "no such object", "", "NoSuchKey NoSuchVersion NotFound 404", (404,))
CONFLICT = _cause(
    "conflict", ConflictError, "changed meanwhile, or already there", "",
    "PreconditionFailed 412 ConditionalRequestConflict 409", (409, 412),
)  # fmt: skip
BUSY = _cause(
    "busy", TransientError, "{endpoint} is busy or failing", "try again later",
    "SlowDown SlowDownRead SlowDownWrite ServiceUnavailable InternalError RequestTimeout Throttling ThrottlingException "
    "ThrottledException RequestThrottled TooManyRequests TooManyRequestsException RequestLimitExceeded "
    "BandwidthLimitExceeded PriorRequestNotComplete OperationAborted KMS.ThrottlingException XMinioServerNotInitialized "
    "Busy TemporaryRedirect NoSuchUpload InvalidPart", (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529),
)  # fmt: skip
GARBLED = _cause(
    "garbled", TransientError, "what arrived at {endpoint} is not what was sent", "try again; again and again means a bad line",
    "BadDigest IncompleteBody XAmzContentSHA256Mismatch XAmzContentChecksumMismatch RequestBodyIncomplete",
)  # fmt: skip
FULL = _cause(
    "full", TransientError, "there is no room left at {endpoint}", "make room or raise the quota, then the same command again",
    "QuotaExceeded StorageQuotaExceeded AccountQuotaExceeded InsufficientStorage InsufficientCapacity storage_cap_exceeded "
    "XMinioStorageFull XMinioAdminBucketQuotaExceeded TotalMaxObjectSizeExceeded StorageFull DiskFull", (507,),
)  # fmt: skip
ARCHIVED = _cause(
    "archived", DataError, "it lies in an archive class (Glacier) and must be restored before it can be read",
    "`aws s3api restore-object`, or copy it into the class STANDARD", "InvalidObjectState ObjectNotInActiveTierError",
)  # fmt: skip
SKEW = _cause(
    "clock skew", StudyError, "the clocks of this machine and of {endpoint} differ too much", "set this machine's time by NTP",
    "RequestTimeTooSkewed RequestInTheFuture RequestExpired",
)  # fmt: skip
BAD_CREDENTIALS = _cause(
    "credentials", StudyError, "{endpoint} refuses these credentials",
    "renew or correct them (`aws sso login` where they come from SSO)",
    "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken ExpiredTokenException InvalidToken TokenRefreshRequired "
    "InvalidClientTokenId UnrecognizedClientException MissingSecurityHeader MissingAuthenticationToken InvalidSecurity "
    "NotSignedUp CredentialsNotSupported AuthorizationQueryParametersError UnauthorizedAccess", (401,),
)  # fmt: skip
KMS = _cause(
    "key of the bucket", StudyError, "the key that encrypts the bucket cannot be used",
    "enable the KMS key, or allow kms:Decrypt and kms:GenerateDataKey",
    "KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException KMS.InvalidStateException "
    "KMS.InvalidKeyUsageException KMS.AccessDeniedException KMS.KeyUnavailableException KMSNotConfigured",
)  # fmt: skip
REGION = _cause(
    "region", StudyError, "{bucket} is in another region, or at another endpoint, than asked", "set AWS_REGION to the bucket's",
    "PermanentRedirect 301 AuthorizationHeaderMalformed IllegalLocationConstraintException IncorrectEndpoint",
)  # fmt: skip
ELSEWHERE = _cause(
    "sent elsewhere", StudyError, "{endpoint} sends elsewhere, as a login page or a portal does and no S3 server",
    "fix AWS_ENDPOINT_URL_S3 or the proxy", "", (300, 301, 302, 303, 304, 305, 306, 307, 308, 511),
)  # fmt: skip
PROXY_LOGIN = _cause(
    "proxy", StudyError, "the proxy between here and {endpoint} wants a login",
    "put it into HTTPS_PROXY, or name the server in NO_PROXY",
    "407 ProxyAuthenticationRequired", (407,),
)  # fmt: skip
NOT_KNOWN = _cause(
    "not implemented", StudyError, "{endpoint} does not know this request",
    "leases and commits need conditional writes (If-None-Match, If-Match); use an S3 server that has them",
    "NotImplemented MethodNotAllowed UnsupportedOperation", (405, 501, 505),
)  # fmt: skip
DENIED = _cause(
    "denied", StudyError, "access denied at {endpoint}", ALLOW, "AccessDenied AllAccessDisabled AccountProblem", (403,)
)
OTHER = _cause("other", StudyError, "{endpoint} answered", "fix the URL or the request's settings")

TABLE = (
    NO_BUCKET, ABSENT, CONFLICT, BUSY, GARBLED, FULL, ARCHIVED, SKEW, BAD_CREDENTIALS, KMS, REGION, ELSEWHERE, PROXY_LOGIN,
    NOT_KNOWN, DENIED,
)  # fmt: skip
BY_CODE = {code: cause for cause in TABLE for code in cause.codes}
BY_STATUS = {status: cause for cause in TABLE for status in cause.statuses}


def cause_of(code: str, status: int) -> Cause:
    """The cause an answer of HTTP ``status`` with S3's ``code`` stands for."""
    found = BY_CODE.get(code) or BY_STATUS.get(status)
    if found is None:
        return BUSY if status > 500 else OTHER
    return found


def sentence(cause: Cause, url: str, what: str, endpoint: str, answer: str) -> str:
    """``answer``: the server's own words, with its code. Says place, meaning, those words and the way out."""
    bucket = "/".join(url.split("/")[:3])
    meaning = cause.said.format(url=url, bucket=bucket, endpoint=endpoint)
    words = f" ({answer})" if answer else ""
    if cause is NO_BUCKET:
        return f"{bucket}: {meaning}{words}; {cause.fix}"
    if cause in (ABSENT, CONFLICT):
        return f"{url}: {meaning}"
    return f"{url} could not be {what}: {meaning}{words}; {cause.fix}"
