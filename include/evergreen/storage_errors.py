"""What the exceptions of disks and object stores mean, in one way: whether to try again, and what to do.

A store's own code tells more than the exception that a library makes of it, so it is looked for first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from evergreen.errors import BadConfiguration, EvergreenError, StoreUnavailable
from evergreen.redaction import redact

_VENDOR_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("botocore.parsers", "ResponseParserError"),
    ("aiohttp", "ClientError"),
    ("builtins", "RecursionError"),  # botocore follows a redirect that names no region for ever
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    what: str
    fix: str
    later: bool = False
    """Whether a later try may succeed."""


_NO_BUCKET = _Meaning(
    "there is no such bucket", "make it, or correct the name in the setting or the URI"
)
_DENIED = _Meaning(
    "the store denied access",
    "give its login s3:GetObject and s3:ListBucket there; to write, s3:PutObject and "
    "s3:AbortMultipartUpload, too, and s3:DeleteObject below predictions/",
)
_LOGIN = _Meaning("the store does not know this login", "correct the store's connection")
_NO_LOGIN = _Meaning(
    "there is no login for the store",
    "name a connection (EVERGREEN_STORE_CONNECTION, or a source's own), or give this machine a role or "
    "a profile",
)
_EXPIRED = _Meaning(
    "the login for the store has expired",
    "renew the session token in the connection, or name a role there, which renews itself",
    later=True,
)
_REGION = _Meaning(
    "the bucket lies in another region",
    "set region_name in the connection's extra to the bucket's region",
)
_NO_REGION = _Meaning(
    "the store's region is not named",
    "set region_name in the connection's extra; it may differ for roles, in service_config.sts",
)
_SIGNATURE = _Meaning(
    "requests cannot be signed in the way that is asked for",
    "correct signature_version in config_kwargs of the connection's extra, or leave it out",
)
_SLOW_DOWN = _Meaning(
    "the store is throttling requests",
    "try again later; if it lasts, let fewer runs work at once, or raise retries in config_kwargs",
    later=True,
)
_CLOCK = _Meaning(
    "this machine's clock is wrong, so the store refuses its requests", "set the clock (NTP)", later=True
)
_SILENT = _Meaning(
    "the store did not answer in time",
    "is it up, and reachable from here? Limits are connect_timeout and read_timeout in config_kwargs",
    later=True,
)
_DOWN = _Meaning("the store cannot be reached", "is it up, and endpoint_url right?", later=True)
_TLS = _Meaning(
    "the store's certificate was not accepted",
    "name its certificate authority's file by verify in the connection's extra",
)
_PROFILE = _Meaning(
    "the AWS profile cannot be used", "correct profile_name, or that profile on this machine"
)
_NAME = _Meaning("the store does not take this name", "use names of letters, digits, - . _ /")
_NOT_KNOWN = _Meaning(
    "the store does not know what is asked of it",
    "use a store that knows conditional writes (If-None-Match, If-Match)",
)
_BROKE_OFF = _Meaning("the store's answer broke off", "try again later", later=True)
_GARBLED = _Meaning(
    "what answered does not speak S3", "is endpoint_url right, or a proxy in between?", True
)
_OTHER = _Meaning(
    "the store did not take or give a file",
    "is the disk full, the bucket there, and the login allowed to write?",
    later=True,
)

_MEANINGS: Mapping[str, _Meaning] = {
    # a store's own codes; a number stands for an answer without a body
    "NoSuchBucket": _NO_BUCKET,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _LOGIN,
    "InvalidClientTokenId": _LOGIN,
    "SignatureDoesNotMatch": _LOGIN,
    "InvalidToken": _LOGIN,
    "401": _LOGIN,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "RecursionError": _REGION,
    "307": _REGION,
    "SlowDown": _SLOW_DOWN,
    "ServiceUnavailable": _SLOW_DOWN,
    "Throttling": _SLOW_DOWN,
    "TooManyRequests": _SLOW_DOWN,
    "429": _SLOW_DOWN,
    "503": _SLOW_DOWN,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "RequestTimeout": _SILENT,
    "InvalidBucketName": _NAME,
    "KeyTooLongError": _NAME,
    "InvalidURI": _NAME,
    "NotImplemented": _NOT_KNOWN,
    "501": _NOT_KNOWN,
    # exceptions of botocore and aiohttp by their class
    "NoCredentialsError": _NO_LOGIN,
    "PartialCredentialsError": _NO_LOGIN,
    "CredentialRetrievalError": _NO_LOGIN,
    "ProfileNotFound": _PROFILE,
    "InvalidConfigError": _PROFILE,
    "ConfigParseError": _PROFILE,
    "UnauthorizedSSOTokenError": _EXPIRED,
    "ParamValidationError": _NAME,
    "InvalidRegionError": _REGION,
    "NoRegionError": _NO_REGION,
    "UnknownSignatureVersionError": _SIGNATURE,
    "EndpointConnectionError": _DOWN,
    "ConnectionClosedError": _BROKE_OFF,
    "ConnectTimeoutError": _SILENT,
    "ReadTimeoutError": _SILENT,
    "FSTimeoutError": _SILENT,
    "SSLError": _TLS,
    "ClientPayloadError": _BROKE_OFF,
    "ResponseStreamingError": _BROKE_OFF,
    "IncompleteReadError": _BROKE_OFF,
    "ResponseParserError": _GARBLED,
}
_TAKEN = ("PreconditionFailed", "412")
_CONFLICT = ("ConditionalRequestConflict", "OperationAborted", "409")


def storage_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions by which a disk or an object store says that it cannot.

    Vendors' own classes are among them only where their library is loaded: without it none is raised.
    """
    loaded = [getattr(sys.modules.get(module), name, None) for module, name in _VENDOR_ERRORS]
    return (OSError, *(kind for kind in loaded if kind is not None))


def explained(
    exc: Exception,
    where: str,
    kind: type[EvergreenError] = StoreUnavailable,
    what: str | None = None,
) -> EvergreenError:
    """Return the error that an exception of `storage_errors` is: `kind`, or `BadConfiguration`.

    `what` says what was not done, where the store's answer says no more.
    """
    meaning = _meaning(exc)
    return (kind if meaning.later else BadConfiguration)(
        what if meaning is _OTHER and what else meaning.what,
        where=where,
        got=redact(f"{type(exc).__name__}: {exc}"),
        fix=meaning.fix,
    )


@contextmanager
def store_answers(
    where: str, what: str | None = None, kind: type[EvergreenError] = StoreUnavailable
) -> Iterator[None]:
    """Say of a disk or an object store that cannot, in one way, what that means.

    Raises:
        StoreUnavailable: it said that it could not, and may be able to later; or what `kind` says.
        BadConfiguration: it will not be able to until somebody mends the login, the bucket or the names.
    """
    try:
        yield
    except storage_errors() as exc:
        raise explained(exc, where, kind, what) from exc


def nothing_there(exc: FileNotFoundError) -> bool:
    """Tell whether a store said that there is no such object, and not that there is no such bucket."""
    return _code(exc) != "NoSuchBucket"


def store_gave_a_code(exc: Exception) -> bool:
    """Tell whether an exception carries a store's own code, which tells more than its class."""
    return _code(exc) is not None


def store_said(exc: Exception) -> bool:
    """Tell whether an exception is a store's answer, not a reader's word on what it read."""
    return _code(exc) is not None or isinstance(exc, (PermissionError, FileNotFoundError, TimeoutError))


def stands_already(exc: Exception) -> bool:
    """Tell whether a conditional write was refused: something else stands there by now."""
    return isinstance(exc, FileExistsError) or _code(exc) in _TAKEN


def wordless(exc: Exception) -> bool:
    """Tell whether a store refused by a mere status of which there are several reasons."""
    return _code(exc) in ("400", "403")


def conflicts(exc: BaseException) -> bool:
    """Tell whether a conditional write met another at the same time, so that neither is decided."""
    return _code(exc) in _CONFLICT


def _meaning(exc: Exception) -> _Meaning:
    code = _code(exc)
    found = _MEANINGS.get(code) if code is not None else None
    found = found or _by_class(exc) or _by_class(_wrapped(exc))
    return found or (_SILENT if isinstance(exc, TimeoutError) else _OTHER)


def _by_class(exc: object) -> _Meaning | None:
    names = (kind.__name__ for kind in type(exc).__mro__)
    return next((_MEANINGS[name] for name in names if name in _MEANINGS), None)


def _wrapped(exc: Exception) -> object:
    """Return the error that botocore's HTTPClientError says of what was raised under it, or None."""
    told = getattr(exc, "kwargs", None)
    return told.get("error") if isinstance(told, Mapping) else None


def _code(exc: BaseException) -> str | None:
    """Return the store's own code, of an exception or of the one that it was made from."""
    for one in (exc, exc.__cause__, exc.__context__):
        response = getattr(one, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code"))
    return None
