from __future__ import annotations

import pytest

from headlight.counts import counted, span


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2_000, ("image",), "2,000 images"),
        (1, ("class", "classes"), "1 class"),
        (3, ("class", "classes"), "3 classes"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, nouns: tuple[str, ...], text: str) -> None:
    assert counted(count, *nouns) == text


def test_a_range_of_one_number_is_that_number() -> None:
    assert span(2, 2) == "2"
    assert span(9, 1_600) == "9 to 1,600"
