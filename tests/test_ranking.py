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
        rank_encoders(photos, ["lite0@32"])
    with pytest.raises(HeadlightError, match="unknown encoder 'lite9'"):
        rank_encoders(photos, ["lite0@32", "lite9"])


def test_one_encoder_alone_has_no_score(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", per_kind=20)
    command = ["rank-encoders", str(photos), "--encoders", "lite0@32", "-k", "3"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "nothing to compare it with" in result.output
    result = CliRunner().invoke(app, [*command, "--json"])
    (row,) = json.loads(result.stdout)["encoders"]
    assert (row["encoder"], row["score"]) == ("lite0@32", None)
