"""``headlight fits`` and ``headlight compare``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headlight.cli.commands import app
from headlight.review.log import rename
from headlight.review.review import review
from headlight.runs import fit_run, load_run
from tests.conftest import contents
from tests.explore.handmade import FIT
from tests.review.test_comparing import OTHER, two_fits


def output(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "120"})
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout if code == 0 else done.stderr


def test_fits_are_listed_with_their_edits_the_current_one_marked(fitted_copy: Path) -> None:
    first = load_run(fitted_copy)
    review(first).edit(rename(0, "discs"))
    second = fit_run(first, 2, device="cpu")
    before = contents(fitted_copy)
    found = json.loads(output("fits", fitted_copy, "--json"))["fits"]
    assert [(one["id"], one["current"], one["edits"]) for one in found] == [
        (first.fit.id, False, "1 name"),
        (second.fit.id, True, ""),
    ]
    assert [one["asked"] for one in found] == [3, 2]
    shown = output("fits", fitted_copy)
    assert f"{second.fit.id} *" in shown
    assert f"{first.fit.id} *" not in shown
    assert contents(fitted_copy) == before


def test_compare_shows_what_changes_and_says_it_in_a_sentence(tmp_path: Path) -> None:
    run = two_fits(tmp_path).path
    before = contents(run)
    shown = output("compare", run)
    assert "5 groups → 5: 1 stays" in shown
    assert "small dogs" in shown
    assert "felines" not in shown  # they stay
    found = json.loads(output("compare", run, OTHER[:4], FIT, "--json"))
    assert (found["before"]["fit"], found["after"]["fit"]) == (OTHER, FIT)
    assert sum(flow["images"] for flow in found["flows"]) == 27
    assert {"id": 4, "name": "birds", "size": 3} in found["before"]["groups"]
    (gone,) = (flow for flow in found["flows"] if flow["before"] == 4)
    assert gone == {
        "before": 4,
        "after": None,
        "images": 3,
        "stays": False,
        "examples": ["bird0.jpg", "bird1.jpg", "bird2.jpg"],
    }
    assert contents(run) == before


@pytest.mark.parametrize("name", ["fits", "compare"])
def test_a_run_that_was_never_fitted_is_said(name: str, tmp_path: Path) -> None:
    assert "no such run folder" in output(name, tmp_path / "nothing", code=1)


def test_one_fit_is_nothing_to_compare(fitted_copy: Path) -> None:
    assert "nothing to compare" in output("compare", fitted_copy, code=1)
    assert "has no fit 'abc'" in output("compare", fitted_copy, "abc", code=1)
