"""`headlight rank-encoders`: which encoder suits these images, told without labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headlight.cli.commands import app
from headlight.errors import HeadlightError
from headlight.images import open_source
from headlight.ranking import Sample, rank_encoders
from tests.conftest import make_photos


def test_the_encoder_that_sees_too_little_comes_last() -> None:
    """Real digits: of images 32 pixels wide the network has one position left, and sees blurs."""
    names = ["lite0@32", "lite0@64", "lite0@96"]
    ranked = rank_encoders("digits", names, images=300, n_clusters=10)
    assert ranked[-1].encoder == "lite0@32"
    assert {one.encoder for one in ranked} == set(names)
    assert all(one.images_per_second > 0 for one in ranked)


def test_the_sample_is_random_and_always_the_same(photos: Path) -> None:
    whole = open_source(photos)
    names = [ref.path for ref in Sample(whole, 12)]
    assert names == [ref.path for ref in Sample(whole, 12)]
    assert len({name.split("/")[0] for name in names}) == 3
    assert Sample(whole, 100).count == 36


def test_what_cannot_be_ranked_is_said(photos: Path) -> None:
    with pytest.raises(HeadlightError, match="36 usable images .* needs 50 or more"):
        rank_encoders(photos, ["lite0@32", "lite0@48"])
    with pytest.raises(HeadlightError, match="unknown encoder 'lite9'"):
        rank_encoders(photos, ["lite0@32", "lite9"])


@pytest.mark.parametrize(
    ("names", "only"), [([], "none"), (["lite0"], "lite0"), (["lite0", "lite0"], "lite0")]
)
def test_fewer_than_two_encoders_are_refused_before_anything_is_read(names, only: str) -> None:
    with pytest.raises(HeadlightError, match=f"but got {only}: choose more") as caught:
        rank_encoders("no/such/folder", names)
    assert "\n" not in str(caught.value)


def test_command_prints_a_ranking_as_table_and_json(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", per_kind=20)
    command = ["rank-encoders", str(photos), "--encoders", "lite0@32,lite0@48", "-k", "3"]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["encoders"]
    assert {row["encoder"] for row in rows} == {"lite0@32", "lite0@48"}
    assert rows[0]["score"] >= rows[1]["score"]
    result = CliRunner().invoke(app, command)
    assert f"To use the best: --encoder {rows[0]['encoder']}" in " ".join(result.output.split())
