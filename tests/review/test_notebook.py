"""What a notebook shows of a run."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.review.log import mark_done, merge, rename
from headlight.review.notebook import run_html
from headlight.review.review import review
from headlight.runs import Run, embed_run, load_run
from tests.conftest import draw
from tests.explore.handmade import handmade_run

HOSTILE = '<script>alert("1")</script>&amp;\'"><img src=x onerror=y>'
VOID = {"img", "meta", "input", "br", "link"}


class Reader(HTMLParser):
    """Elements, attributes and text; tags left open or closed twice fail."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.folded = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "img" and "details" in self.open:
            self.folded += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def photos(folder: Path, count: int, size: tuple[int, int] = (96, 80)) -> list[str]:
    folder.mkdir()
    for i in range(count):
        draw("noise", i, size).save(folder / f"{i:03d}.png")
    return [f"{i:03d}.png" for i in range(count)]


def test_a_run_shows_figures_and_strips_of_typical_images(fitted: Run) -> None:
    html = run_html(fitted)
    read = Reader(html)
    assert "36 images · 3 clusters · encoder lite0" in read.text
    for name in fitted.clusters["name"].to_pylist():
        assert name in read.text
    images = [attrs for tag, attrs in read.tags if tag == "img"]
    assert len(images) == 3 * 8
    typical = {path for paths in fitted.clusters["prototypes"].to_pylist() for path in paths[:8]}
    assert {attrs["alt"] for attrs in images} == typical
    assert all((attrs["src"] or "").startswith("data:image/jpeg;base64,") for attrs in images)
    assert len(html) < 200_000


def test_a_run_shows_edits(fitted_copy: Path) -> None:
    made = review(load_run(fitted_copy))
    made.edit(merge([0, 1], into=0))
    made.edit(rename(0, HOSTILE))
    made.edit(mark_done(0, True))
    read = Reader(run_html(load_run(fitted_copy)))
    assert "2 clusters" in read.text
    assert "3 edits, 1 cluster done" in read.text
    assert HOSTILE in read.text
    assert read.count("script") == 0
    assert all("onerror" not in attrs for _, attrs in read.tags)


def test_more_than_twenty_clusters_are_folded_and_the_whole_stays_small(tmp_path: Path) -> None:
    paths = photos(tmp_path / "photos", 240)
    clusters = {f"{HOSTILE} {k}": paths[2 * k : 2 * k + 2] for k in range(120)}
    html = run_html(handmade_run(tmp_path / "run", tmp_path / "photos", clusters))
    read = Reader(html)
    assert read.count("details") == 1
    assert "100 more clusters" in read.text
    assert "The 100 largest are shown." in read.text
    assert (read.count("img"), read.folded) == (200, 160)
    assert len(html) < 1_000_000


def test_pictures_that_would_make_it_too_large_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headlight.review.notebook.MOST_BYTES", 20_000)
    paths = photos(tmp_path / "photos", 12)
    run = handmade_run(tmp_path / "run", tmp_path / "photos", {"a": paths[:6], "b": paths[6:]})
    html = run_html(run)
    assert len(html) < 25_000
    assert 0 < Reader(html).count("img") < 12


def test_images_that_have_gone_leave_a_named_place(tmp_path: Path) -> None:
    paths = photos(tmp_path / "photos", 6)
    run = handmade_run(tmp_path / "run", tmp_path / "photos", {"a": paths[:3], "b": paths[3:]})
    (tmp_path / "photos" / paths[0]).unlink()
    read = Reader(run_html(run))
    assert read.count("img") == 5
    assert [attrs["title"] for tag, attrs in read.tags if "role" in attrs] == ["000.png"]
    shutil.rmtree(tmp_path / "photos")
    read = Reader(run_html(load_run(run.path)))
    assert read.count("img") == 0
    labels = {attrs.get("aria-label") for tag, attrs in read.tags if tag == "span"}
    assert set(paths) <= labels


def test_a_run_without_clusters_and_a_damaged_one_say_so(
    photos: Path, tmp_path: Path, fitted_copy: Path
) -> None:
    from headlight.images import open_source

    np.save(tmp_path / "made.npy", np.eye(36, dtype=np.float32))
    encoder = f"features:{tmp_path / 'made.npy'}"
    run, _ = embed_run(open_source(photos), tmp_path / "run", encoder=encoder)
    assert f"headlight fit {run.path}" in Reader(run_html(run)).text
    for file in fitted_copy.rglob("clusters.parquet"):
        file.unlink()
    read = Reader(run_html(load_run(fitted_copy)))
    assert f"clusters.parquet is missing: run `headlight fit {fitted_copy}`" in read.text


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=4))
def test_any_name_is_shown_as_text(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    clusters = {f"{k}{name}": [f"{k}.png"] for k, name in enumerate(names)}
    read = Reader(run_html(handmade_run(folder / "run", folder / "photos", clusters)))
    assert read.count("div") == 4 + 2 * (len(names) - 1) + 1
    plain = " ".join(read.text.split())
    for name in clusters:
        if len(name) <= 80:
            assert " ".join(name.split()) in plain
