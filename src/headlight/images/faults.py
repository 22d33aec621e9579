"""What the errors of networks and stores mean, whichever library raises them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headlight.errors import HeadlightError, first_line
from headlight.images.source import BadImage
from headlight.images.urls import public_url, scheme_of

_REFUSED = (401, 403)
_MAY_PASS = (408, 425, 429)
_LASTING = (
    HeadlightError,
    BadImage,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)
_LASTING_ERRNO = (1, 22, 36, 38, 39)  # not permitted, invalid, too long, no such call, not empty
_NETWORKS = (  # the packages whose errors are of the network, unless they say otherwise
    *("aiohttp", "aiobotocore", "botocore", "urllib3", "requests", "http"),
    *("httpx", "httpx2", "httpcore", "httpcore2", "azure", "gcsfs", "google"),
)

_QUOTED = re.compile(r"[a-z]+://[^\s'\"]+")


def may_pass(error: BaseException) -> bool:
    """Whether the same may succeed a little later: a network's or a server's fault."""
    if isinstance(error, _LASTING) or credentials_refused(error):
        return False
    if status := status_of(error):
        return status >= 500 or status in _MAY_PASS
    if type(error) is OSError and error.errno is None:  # PyArrow's, of what is in a file
        return False
    if isinstance(error, OSError):
        return error.errno not in _LASTING_ERRNO
    return type(error).__module__.partition(".")[0] in _NETWORKS


def credentials_refused(error: BaseException) -> bool:
    """Whether all else would be refused, too: no key, a wrong one, one that has expired."""
    response = getattr(error.__cause__ or error, "response", None)
    code = ""
    if isinstance(response, Mapping):
        code = str(response.get("Error", {}).get("Code", ""))
    wrong = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
    return code in wrong or "Credentials" in type(error).__name__ or status_of(error) == 401


def refused(error: BaseException) -> bool:
    """Whether access is refused, to just this or to all."""
    denied = isinstance(error, PermissionError) or status_of(error) in _REFUSED
    return denied or credentials_refused(error)


def gone(error: BaseException) -> bool:
    """Whether there is nothing of that name."""
    return isinstance(error, FileNotFoundError) or status_of(error) in (404, 410)


def status_of(error: BaseException) -> int | None:
    """The status of an HTTP answer, as the libraries call it."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):  # in this order: aiohttp's `code` warns
            if isinstance(found := getattr(holder, name, None), int) and found >= 300:
                return found
    return None


def why_of(error: BaseException) -> str:
    """What an error says, without secrets: some quote the whole URL."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if (status := status_of(error)) and isinstance(said := getattr(error, "message", None), str):
        return f"{status} {said}".strip()
    return _QUOTED.sub(lambda url: _public(url[0]), first_line(error))


def _public(url: str) -> str:
    try:
        return public_url(url)
    except ValueError:
        return "a URL"


def refusal(where: str, why: str) -> str:
    """The sentence for a URL that refuses access."""
    scheme = scheme_of(where)
    hint = {
        "s3": ", such as AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "gs": ", such as GOOGLE_APPLICATION_CREDENTIALS",
        "az": ", such as AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        "hf": ", such as HF_TOKEN",
    }.get(scheme, "")
    return f"{where} refuses access ({why}): check the credentials in your environment{hint}"
