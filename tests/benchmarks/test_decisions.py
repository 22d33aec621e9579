from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from benchmarks.decisions import __main__ as command
from benchmarks.decisions.choices import DECISIONS, Decision, Option
from benchmarks.decisions.leave_one_out import leave_one_out
from headlight import SCP


def test_each_set_is_scored_with_what_the_others_choose():
    verdict = leave_one_out(
        "shipped",
        {
            "shipped": {"a": 0.5, "b": 0.6, "c": 0.7},
            "other": {"a": 0.9, "b": 0.5, "c": 0.6},
        },
    )
    # Without a: shipped .65 to .55; without b: .60 to .75; without c: .55 to .70.
    assert verdict.sets == ("a", "b", "c")
    assert verdict.picked == ("shipped", "other", "other")
    assert verdict.scores == (0.5, 0.5, 0.6)
    assert verdict.mean == pytest.approx(1.6 / 3)
    assert verdict.means == {"shipped": pytest.approx(0.6), "other": pytest.approx(2 / 3)}
    assert not verdict.survives


def test_what_wins_on_one_set_alone_does_not_survive():
    shipped = {"a": 1.0, "b": 0.5, "c": 0.5}
    verdict = leave_one_out("s", {"s": shipped, "o": {"a": 0.6, "b": 0.6, "c": 0.6}})
    assert verdict.means["s"] > verdict.means["o"]
    assert verdict.picked == ("o", "s", "s")
    assert not verdict.survives  # .533 against .6


def test_what_wins_throughout_survives_and_what_loses_throughout_does_not():
    better, worse = {"a": 0.6, "b": 0.7}, {"a": 0.5, "b": 0.6}
    assert leave_one_out("s", {"s": better, "o": worse}).survives
    losing = leave_one_out("s", {"s": worse, "o": better})
    assert losing.picked == ("o", "o")
    assert losing.mean == losing.means["o"]
    assert not losing.survives


def test_of_equals_the_shipped_one_is_picked():
    level = {"a": 0.1 + 0.2, "b": 0.1 + 0.2}  # above .3 by rounding alone
    verdict = leave_one_out("s", {"o": level, "s": {"a": 0.3, "b": 0.3}})
    assert verdict.picked == ("s", "s")
    assert verdict.survives


def test_one_set_decides_nothing():
    with pytest.raises(ValueError, match="takes two"):
        leave_one_out("s", {"s": {"a": 1.0}, "o": {"a": 0.5}})


@dataclass(frozen=True)
class Constants:
    hops: int = 2
    decay: float = 0.5


class WithConstants(SCP):
    constants: ClassVar[Constants] = Constants()


def test_an_option_overrides_constants_and_parameters_and_nothing_else(monkeypatch):
    monkeypatch.setattr(command, "SCP", WithConstants)
    built = command.build(Option({"n_components": 64}, {"hops": 5}), 4, 7)
    assert (built.n_components, built.n_clusters, built.random_state) == (64, 4, 7)
    assert built.constants == Constants(hops=5)
    assert WithConstants.constants == Constants()
    shipped = command.settings(Option())
    assert command.settings(Option(constants={"hops": 2})) == shipped
    assert command.settings(Option({"n_components": 256})) == shipped
    for other in (
        Option(constants={"hops": 5}),
        Option({"n_components": 64}),
        Option(views="none"),
    ):
        assert command.settings(other) != shipped
    with pytest.raises(TypeError, match="skips"):
        command.build(Option(constants={"skips": 1}), 4, 0)


def test_the_decisions_listed_can_be_built():
    names = [decision.name for decision in DECISIONS]
    assert len(set(names)) == len(names)
    for decision in DECISIONS:
        options = decision.options()
        assert len(options) == 1 + len(decision.alternatives)
        assert len({command.settings(option) for option in options.values()}) == len(options)


@pytest.fixture
def decide(tmp_path, blobs_file):
    """Runs the command on two small files of blobs; returns the rows of results."""
    files = [blobs_file(name, n=120, views=1, seed=at) for at, name in enumerate("ab")]

    def run(decisions, *arguments):
        out = ["--out", str(tmp_path / "out"), "--seeds", "1"]
        assert command.main(["--data", *files, *out, *arguments], decisions) == 0
        return pq.read_table(tmp_path / "out/decisions.parquet").to_pylist()

    return run


COMPONENTS = Decision("components", "256", {"64": Option({"n_components": 64})})
VIEWS = Decision("views", "gentle", {v: Option(views=v) for v in ("none", "strong")})


def test_rows_already_measured_are_measured_once(decide, tmp_path):
    rows = decide([COMPONENTS])
    assert len(rows) == 2 * 2 * 2  # sets, balances, options
    assert all(row["error"] is None for row in rows)
    assert all(row["acc"] > 0.95 for row in rows if row["balance"] == "natural")
    more = decide([COMPONENTS, VIEWS])
    assert len(more) == 2 * 2 * 3  # what is shipped is shared, strong views are not there
    assert [row for row in more if row in rows] == rows
    text = (tmp_path / "out/decisions.md").read_text()
    assert "## components" in text
    assert "| views | gentle |" in text
    assert "strong was not measured on a, b: not an option." in text
    again = decide([COMPONENTS], "--fresh")
    assert [row["seconds"] for row in again if row in more] != [row["seconds"] for row in more]


def test_an_option_that_fails_is_a_row_and_no_option(decide, tmp_path):
    impossible = Decision("components", "256", {"0": Option({"n_components": 0})})
    rows = decide([impossible])
    assert sum(row["error"] is not None for row in rows) == 4
    text = (tmp_path / "out/decisions.md").read_text()
    assert "0 was not measured on a, b: not an option." in text


def test_the_report_says_what_was_picked_without_each_set():
    shipped, other = (command.settings(one) for one in COMPONENTS.options().values())
    scores = {shipped: {"a": 0.5, "b": 0.6, "c": 0.7}, other: {"a": 0.9, "b": 0.5, "c": 0.6}}
    rows = [
        {"data": data, "balance": balance, "seed": 0, "settings": text, "acc": acc + shift}
        | {"error": None, "machine": "here", "code": "x"}
        for text, levels in scores.items()
        for data, acc in levels.items()
        for balance, shift in (("natural", 0.1), ("long-tailed", -0.1))
    ]
    text = command.report([COMPONENTS], rows, set("abc"), 1)
    assert "| components | 256 | 0.6000 | 0.5333 | 64 0.6667 | -0.1333 | **no** |" in text
    assert "| a | 0.500 | 0.900 | 256 | 0.500 |" in text
    assert "| b | 0.600 | 0.500 | 64 | 0.500 |" in text
    assert "different states" not in text
    mixed = [rows[0] | {"code": "y"}, *rows[1:]]
    assert "2 different states" in command.report([COMPONENTS], mixed, set("abc"), 1)


def test_means_are_of_both_balances_in_full():
    text = command.settings(Option())
    rows = [
        {"data": "a", "balance": balance, "seed": 0, "settings": text, "acc": acc, "error": None}
        for balance, acc in (("natural", 0.4), ("long-tailed", 0.6))
    ]
    alone = Decision("d", "s", {})
    assert command._scores(alone, rows, 1)[0] == {"s": {"a": pytest.approx(0.5)}}
    assert command._scores(alone, rows[:1], 1)[0] == {"s": {}}
