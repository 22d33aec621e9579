"""Two fits beside each other: what stays, what splits, merges, comes and goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.review.comparing import Comparison, compare, compare_fits, match_groups
from headlight.review.log import merge, move, rename
from headlight.review.review import Review, review
from headlight.runs import Run, fit_run, load_run, run_at
from headlight.runs.image_keys import KEY
from tests.explore.handmade import FIT, handmade_fit, handmade_run, replace_assignments

OTHER = "fedcba9876543210"


def names(kind: str, n: int, first: int = 0) -> list[str]:
    return [f"{kind}{i}.jpg" for i in range(first, first + n)]


def two_fits(folder: Path) -> Run:
    """Cats stay, dogs are split, cars and carts merge; one image is gone and three are new."""
    first = {
        "cats": names("cat", 6),
        "dogs": names("dog", 10),
        "cars": names("car", 4),
        "carts": names("cart", 3),
        "gone": names("gone", 1),
    }
    second = {
        "vehicles": names("car", 4) + names("cart", 3),
        "felines": names("cat", 5),
        "big dogs": names("dog", 6),
        "small dogs": [*names("dog", 4, 6), "cat5.jpg"],
        "birds": names("bird", 3),
    }
    return handmade_fit(handmade_run(folder / "r.headlight", folder, first), OTHER, second)


def flows(found: Comparison) -> dict[tuple[str | None, str | None], int]:
    def name(side: dict[int, str], group: int | None) -> str | None:
        return None if group is None else side[group]

    return {
        (name(found.before.names, f.before), name(found.after.names, f.after)): len(f.rows)
        for f in found.flows
    }


def test_flows_between_two_fits_and_their_sentence(tmp_path: Path) -> None:
    found = compare_fits(two_fits(tmp_path))
    assert (found.before.fit.id, found.after.fit.id) == (FIT, OTHER)
    assert flows(found) == {
        ("dogs", "big dogs"): 6,
        ("cats", "felines"): 5,
        ("cars", "vehicles"): 4,
        ("dogs", "small dogs"): 4,
        ("carts", "vehicles"): 3,
        (None, "birds"): 3,
        ("cats", "small dogs"): 1,
        ("gone", None): 1,
    }
    assert found.sentence == (
        "5 groups → 5: 1 stays, 1 splits into 2, 2 merge into 1, 1 is dissolved, 1 is new; "
        "8 of 23 images change group; 1 image is only in the first; 3 images are only in the second"
    )
    same = {(found.before.names[a], found.after.names[b]) for a, b in found.partner.items()}
    assert same == {("cats", "felines"), ("dogs", "big dogs"), ("cars", "vehicles")}


def test_examples_are_those_the_fit_after_is_surest_of(tmp_path: Path) -> None:
    found = compare_fits(two_fits(tmp_path))
    of = {(f.before, f.after): found.examples(f) for f in found.flows}
    assert of[1, 3] == ["dog6.jpg", "dog7.jpg", "dog8.jpg"]
    assert of[None, 4] == ["bird0.jpg", "bird1.jpg", "bird2.jpg"]
    assert of[4, None] == ["gone0.jpg"]


def test_edits_of_both_fits_count(tmp_path: Path) -> None:
    run = two_fits(tmp_path)
    then = Review(run_at(run, FIT))
    assert then.run.fit.id == FIT
    first = np.array(run_at(run, FIT).assignments["path"].to_pylist())
    with pytest.raises(HeadlightError, match="fitted again"):  # it is not the current one
        then.edit(rename(0, "x"))
    now = review(run)
    now.edit(merge([2, 3], 2))
    now.edit(rename(2, "dogs"))
    paths = run.assignments["path"].to_pylist()
    now.edit(move({1: np.array([paths.index("cat5.jpg")])}))
    found = compare_fits(run)
    assert "5 groups → 4: 2 stay, 2 merge into 1, 1 is dissolved, 1 is new" in found.sentence
    assert "no image changes group" not in found.sentence
    assert found.changed == 3  # the carts
    (carts,) = (f for f in found.flows if found.before.names.get(f.before) == "carts")
    assert {*first[carts.rows]} == {*names("cart", 3)}


def test_equal_fits_differ_in_nothing(fitted_copy: Path) -> None:
    run = load_run(fitted_copy)
    found = compare(Review(run), Review(run))
    assert found.sentence == "3 groups → 3: all stay; no image changes group"
    assert all(flow.stays for flow in found.flows)


def test_real_fits_are_compared_whichever_is_current(fitted_copy: Path) -> None:
    first = load_run(fitted_copy)
    second = fit_run(first, 2, device="cpu")
    found = compare_fits(second)
    assert (found.before.fit, found.after.fit) == (first.fit, second.fit)
    assert found.sentence.startswith("3 groups → 2: ")
    back = compare_fits(second, second.fit.id, first.fit.id[:6])
    assert (back.before.fit, back.after.fit) == (second.fit, first.fit)
    assert back.changed == found.changed > 0
    assert load_run(fitted_copy).fit == second.fit


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    run = handmade_run(tmp_path / "r.headlight", tmp_path, {"a": ["1.jpg"], "b": ["2.jpg"]})
    with pytest.raises(HeadlightError, match="one fit only"):
        compare_fits(run)
    handmade_fit(run, "0123aaaaaaaaaaaa", {"a": ["1.jpg"]})
    run = load_run(run.path)
    for unknown in ("none", "", "../fits"):
        with pytest.raises(HeadlightError, match=f"has no fit .*{FIT}"):
            compare_fits(run, unknown, FIT)
    with pytest.raises(HeadlightError, match="several fits that begin with '0123'"):
        compare_fits(run, "0123")


def test_images_are_known_by_content_where_both_fits_have_it(tmp_path: Path) -> None:
    def with_keys(run: Run, keys: list[bytes]) -> Run:
        return replace_assignments(run, run.assignments.append_column("image", pa.array(keys, KEY)))

    one = handmade_run(tmp_path / "one", tmp_path, {"a": ["1.jpg", "2.jpg"], "b": ["3.jpg"]})
    two = handmade_run(tmp_path / "two", tmp_path, {"a": ["1.jpg", "x.jpg"], "b": ["y.jpg"]})
    assert compare(Review(one), Review(two)).images == 1
    one = with_keys(one, [b"1" * 16, b"2" * 16, b"3" * 16])
    two = with_keys(two, [b"1" * 16, b"2" * 16, b"3" * 16])
    found = compare(Review(one), Review(two))
    assert (found.images, found.changed, found.only_before) == (3, 0, 0)


def test_numbers_decide_within_a_series_and_overlap_between_others() -> None:
    before, after = np.array([0] * 5 + [1] * 5), np.array([1] * 4 + [0] + [0] * 4 + [1])
    assert match_groups(before, after, [0, 1], [0, 1], True)[0] == {0: 0, 1: 1}
    assert match_groups(before, after, [0, 1], [0, 1], False)[0] == {0: 1, 1: 0}
    # Numbers that only one has are matched by overlap.
    after = np.array([7] * 3 + [8] * 2 + [1] * 5)
    partner, families = match_groups(before, after, [0, 1], [1, 7, 8], True)
    assert partner == {0: 7, 1: 1}
    assert families == (((0,), (7, 8)), ((1,), (1,)))
    # A number that is new takes most of 0: the old number is still the same group.
    after = np.array([7] * 4 + [0] + [1] * 5)
    partner, families = match_groups(before, after, [0, 1], [0, 1, 7], True)
    assert partner == {0: 0, 1: 1}
    assert families == (((0,), (0, 7)), ((1,), (1,)))


def test_a_mixture_of_small_shares_is_nobodys_child() -> None:
    before = np.repeat(np.arange(6), 10)
    after = before.copy()
    after[::10] = 9
    partner, families = match_groups(before, after, range(6), [*range(6), 9], False)
    assert partner == {i: i for i in range(6)}
    assert families[-1] == ((), (9,))


labels = st.lists(st.tuples(st.integers(0, 5), st.integers(3, 8)), max_size=40)


@given(labels, st.booleans())
def test_every_group_is_in_one_family_and_partners_are_one_to_one(
    pairs: list[tuple[int, int]], by_number: bool
) -> None:
    before, after = np.array(pairs, np.int64).reshape(-1, 2).T
    partner, families = match_groups(before, after, range(6), range(3, 9), by_number)
    assert sorted(i for old, _ in families for i in old) == list(range(6))
    assert sorted(j for _, new in families for j in new) == list(range(3, 9))
    assert len({*partner.values()}) == len(partner)
    for i, j in partner.items():
        assert any(i in old and j in new for old, new in families)
