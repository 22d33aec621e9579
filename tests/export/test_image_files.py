"""Safe names: whatever a file or a cluster is called, an export can hold it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headlight.export.image_files import alternative_names, folder_names, safe_name

NAMES = st.text(max_size=400) | st.text(alphabet="./\\ \n\x00aA~-:_é日🦋\u202e", max_size=400)


@settings(max_examples=60, deadline=None)
@given(NAMES)
@example("..")
@example(".")
@example("")
@example("../../etc/passwd")
@example("a" * 300 + ".jpeg")
@example("日" * 100 + ".png")
@example("." * 300)
@example(" . . ")
@example("\ud800")
@example("con.jpg")
@example(". con")
@example("a" * 254 + ". b")
def test_safe_names_are_one_visible_name_that_fits(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert not safe.startswith((".", " "))
    assert not safe.endswith((".", " "))
    assert not set(safe) & set('/\\<>:"|?*\x00\n')
    assert len(safe.encode()) <= 255
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in safe)
    assert safe.split(".")[0].strip().upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    "name", ["a.jpg", "IMG 0001 (2).JPEG", "ça, 日本語.png", "no extension", "a.tar.gz", "=1.png"]
)
def test_safe_names_are_kept_as_they_are(name: str) -> None:
    assert safe_name(name) == name


def test_long_names_keep_their_extension() -> None:
    assert safe_name("é" * 300 + ".jpeg") == "é" * 125 + ".jpeg"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (".hidden.png", "_hidden.png"),
        ("../up.png", "___up.png"),
        ("nul", "_nul"),
        ("COM1.jpg", "_COM1.jpg"),
        ("two\nlines.png", "two_lines.png"),
        ("12:30?.png", "12_30_.png"),
        ("dots...", "dots"),
    ],
)
def test_unsafe_names_are_mended(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@settings(max_examples=30, deadline=None)
@given(NAMES, st.text(), st.text())
def test_alternatives_differ_by_the_whole_path(name: str, one: str, other: str) -> None:
    names = list(alternative_names(name, one))
    assert len(set(names)) == 3
    assert all(len(n.encode()) <= 255 and "/" not in n for n in names)
    if one != other:
        assert names[2] != list(alternative_names(name, other))[2]


@settings(max_examples=30, deadline=None)
@given(st.lists(NAMES | st.sampled_from(["cat", "Cat", "CAT-2", "cat-2", "ﬁ", "fi"]), max_size=12))
def test_no_two_clusters_share_a_folder_even_where_case_does_not_count(names: list[str]) -> None:
    folders = folder_names(dict(enumerate(names)))
    assert len({unicodedata.normalize("NFC", f).casefold() for f in folders.values()}) == len(names)
    assert all(folder == safe_name(folder) for folder in folders.values())
