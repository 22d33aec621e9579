from __future__ import annotations

import pytest

from headlight.errors import HeadlightError
from headlight.images import open_source
from headlight.images.urls import checked_url, expanded, public_url, scheme_of


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://user:pw@host.org/a.jpg", "https://host.org/a.jpg"),
        ("https://token@host.org/a.jpg", "https://host.org/a.jpg"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("https://h/a.jpg?X-Amz-Signature=s&X-Amz-Date=d&w=3", "https://h/a.jpg?w=3"),
        ("https://h/a.jpg?x-goog-signature=s", "https://h/a.jpg"),
        ("https://h/a.jpg?sv=2024&se=x&sp=r&sig=abc", "https://h/a.jpg"),
        ("https://h/a.jpg?Signature=s&Expires=9&Key-Pair-Id=k", "https://h/a.jpg"),
        ("https://h/a.jpg?access_token=t&size=2", "https://h/a.jpg?size=2"),
        ("https://h/a.jpg?api_key=t", "https://h/a.jpg"),
    ],
)
def test_secrets_are_refused_in_a_source_and_left_out_of_names(url: str, public: str) -> None:
    assert public_url(url) == public
    with pytest.raises(HeadlightError, match="would be kept in the run") as error:
        checked_url(url)
    for secret in ("pw", "secret", "Signature=", "sig=", "token=t", "key=t"):
        assert secret not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/pre fix/é",
        "https://host.org/a.jpg?width=3&se=1&download",
        "abfss://container@account.dfs.core.windows.net/photos",
        "hf://datasets/owner/name@refs/convert/parquet",
        "http://host:8000/list.txt?",
    ],
)
def test_a_url_without_secrets_stays_as_it_is(url: str) -> None:
    assert checked_url(url) == public_url(url) == url


def test_a_path_is_no_url() -> None:
    assert [scheme_of(text) for text in ("/a/b", "a:b", "C:\\x", "s3:/x", "")] == [""] * 5
    assert scheme_of("S3://b") == "s3"


def test_other_schemes_and_malformed_urls_are_one_sentence() -> None:
    with pytest.raises(HeadlightError, match=r"ftp:// is not a kind of source \(these are: s3://"):
        checked_url("ftp://host/x")
    with pytest.raises(HeadlightError, match="is not a URL"):
        checked_url("http://[::1/x")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a-{008..010}.tar", ["a-008.tar", "a-009.tar", "a-010.tar"]),
        ("{train,test}-{0..1}.tar", ["train-0.tar", "train-1.tar", "test-0.tar", "test-1.tar"]),
        ("plain.tar", ["plain.tar"]),
        ("{literal}.tar", ["{literal}.tar"]),
    ],
)
def test_braces_stand_for_names(pattern: str, names: list[str]) -> None:
    assert list(expanded(pattern)) == names


def test_too_many_names_are_refused_before_they_are_made() -> None:
    with pytest.raises(HeadlightError, match="more than 1,000,000 files"):
        expanded("{0..99999999999}.tar")
    with pytest.raises(HeadlightError, match="stands for no file"):
        expanded("{9..0}.tar")


@pytest.mark.parametrize("url", ["https://h", "https://h/", "http://h/photos/", "https://h/p/?a=b"])
def test_a_folder_over_http_is_refused_without_asking_for_it(url: str) -> None:
    with pytest.raises(HeadlightError, match="over HTTP no folder can be listed"):
        open_source(url)
