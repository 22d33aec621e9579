"""URLs as people give them: what kinds there are, and what must not be written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from headlight.errors import HeadlightError

# Scheme → the module that reads it, and the extra that brings that.
SCHEMES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "hf": ("huggingface_hub", "hub"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "memory": ("fsspec", ""),  # of this process: for tests, and for trying things out
}
MOST_NAMES = 1_000_000  # that one pattern may stand for
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.I)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)$")
# Parameters that let whoever holds them in: signatures of S3, Google and CloudFront, tokens.
_SECRET = re.compile(
    r"x-(amz|goog)-.*|sig|signature|.*token.*|.*api_?key.*|password|secret|awsaccesskeyid"
    r"|googleaccessid|expires|policy|key-pair-id",
    re.I,
)
_AZURE = frozenset(("sv", "st", "se", "sr", "sp", "spr", "ss", "srt", "sip"))  # go with a `sig`


def scheme_of(text: str) -> str:
    """The scheme of a URL in lower case; empty if ``text`` is a path."""
    found = _URL.match(text)
    return found[1].lower() if found else ""


def checked_url(url: str) -> str:
    """A URL that can be read and written down, without a slash at its end.

    Raises:
        HeadlightError: nothing reads it, or it carries credentials.
    """
    scheme = scheme_of(url)
    try:
        public = public_url(url)
    except ValueError as error:  # brackets that are no IPv6 address
        raise HeadlightError(f"{url} is not a URL ({error})") from None
    if scheme not in SCHEMES:
        raise HeadlightError(
            f"{public}: {scheme}:// is not a kind of source (these are: "
            f"{', '.join(f'{name}://' for name in SCHEMES if name != 'memory')})"
        )
    if public != url:
        remedy = (
            "put the URL into a text file, and give that"
            if scheme in ("http", "https")
            else "leave it to your environment"
        )
        raise HeadlightError(
            f"{public} was given with a password, token or signature, which would be kept in the "
            f"run: {remedy}"
        )
    return url.rstrip("/")


def public_url(url: str) -> str:
    """The URL without user, password, and parameters of its query that are secret."""
    parts = urlsplit(url)
    netloc, query = parts.netloc, parts.query
    user, _, host = netloc.rpartition("@")
    if ":" in user or (user and parts.scheme in ("http", "https")):
        netloc = host  # but abfss://CONTAINER@ACCOUNT… has no secret in it
    pairs = parse_qsl(query, keep_blank_values=True)
    signed = any(name.lower() == "sig" for name, _ in pairs)
    kept = [
        (name, value)
        for name, value in pairs
        if not (_SECRET.fullmatch(name) or (signed and name.lower() in _AZURE))
    ]
    if len(kept) < len(pairs):
        query = urlencode(kept)
    if (netloc, query) == (parts.netloc, parts.query):
        return url  # to the letter: urlunsplit would drop an empty query
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def expanded(pattern: str) -> Iterator[str]:
    """What a pattern with braces stands for: ``a-{000..015}.tar``, ``{train,test}.tar``.

    Raises:
        HeadlightError: no name, or more than a million.
    """
    count = 1
    for inside in _BRACES.findall(pattern):
        count *= len(_choices(inside))
        if count > MOST_NAMES:
            raise HeadlightError(f"{pattern} stands for more than {MOST_NAMES:,} files")
    if not count:
        raise HeadlightError(f"{pattern} stands for no file: write ranges upwards, as in 0..9")
    return _expanded(pattern)


def _expanded(pattern: str) -> Iterator[str]:
    found = _BRACES.search(pattern)
    if not found:
        yield pattern
        return
    for choice in _choices(found[1]):
        for rest in _expanded(pattern[found.end() :]):
            yield pattern[: found.start()] + choice + rest


def _choices(inside: str) -> list[str] | _Numbers:
    found = _RANGE.match(inside)
    if found:
        return _Numbers(found[1], found[2])
    return inside.split(",") if "," in inside else [f"{{{inside}}}"]


class _Numbers:
    """From the first to the last, as wide as the first is written."""

    def __init__(self, first: str, last: str) -> None:
        self._numbers, self._width = range(int(first), int(last) + 1), len(first)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{self._width}}" for number in self._numbers)
