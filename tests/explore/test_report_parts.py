"""What the parts of the report say: edits, labels, the tree, the curve, copies, samples."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from headlight.cli.commands import app
from headlight.explore import write_report
from headlight.explore.palette import palette
from headlight.explore.report.cards import make_cards
from headlight.explore.report.confusion import compare
from headlight.explore.report.contents import contents_of
from headlight.explore.report.duplicates import near_duplicates
from headlight.explore.report.relations import TREE_WIDTH, curve_of, draw_tree, tree_of
from headlight.explore.report.sprite_sheet import BYTES, CELLS, SMALLEST, Sheet
from headlight.explore.report.thumbnails import make_thumbnails, shrunk
from headlight.export.json_file import export_json
from headlight.images import open_source
from headlight.images.thumbnail import Thumbnail
from headlight.review import evaluate
from headlight.review.log import merge, move, rename
from headlight.review.notebook import run_html
from headlight.review.review import review
from headlight.runs import Run, embed_run, fit_run, load_run
from tests.conftest import draw, make_photos, rewrite_info
from tests.explore.conftest import Opened
from tests.explore.handmade import handmade_run
from tests.explore.test_report import save


def test_the_report_shows_the_clusters_as_edited(fitted_copy: Path) -> None:
    run = load_run(fitted_copy)
    before = contents_of(run)
    reviewed = review(run)
    reviewed.edit(rename(0, "<i>discs & more"))
    reviewed.edit(merge([0, 1], 0))
    after = contents_of(load_run(fitted_copy))
    assert len(after.cards) == len(before.cards) - 1 == 2
    merged = next(card for card in after.cards if card.cluster == 0)
    assert (merged.name, merged.size, merged.quality) == ("<i>discs & more", 24, None)
    assert after.cards[-1] == merged  # without a quality: last
    text = write_report(load_run(fitted_copy)).read_text("utf-8")
    assert "with 2 edits made by hand" in text
    assert "&lt;i&gt;discs &amp; more" in text
    assert "before 2 edits" in text
    assert "This makes the clusters as fitted" in text
    assert "<i>discs" not in text


def headline(run: Path) -> dict[str, tuple[str, str]]:
    return {f.label: (f.value, f.note) for f in contents_of(load_run(run)).figures}


def test_the_headline_of_an_edited_report_is_of_the_edited_clusters_or_says_that_it_is_not(
    fitted_copy: Path,
) -> None:
    before = headline(fitted_copy)
    made = review(load_run(fitted_copy))
    made.edit(rename(0, "discs"))
    assert headline(fitted_copy)["quality"] == before["quality"]
    made.edit(merge([0, 1], 0))
    after = headline(fitted_copy)
    assert (before["clusters"][0], after["clusters"][0]) == ("3", "2")
    for label in ("quality", "mean confidence"):
        assert after[label] == (before[label][0], "as fitted, before edits")
    made.edit(move({0: np.flatnonzero(made.labels == 2)}, {}))
    assert headline(fitted_copy)["clusters"][0] == "1"  # an emptied one counts nowhere


def test_scores_are_of_the_clusters_as_edited(fitted_copy: Path) -> None:
    assert "ACC" not in headline(fitted_copy)
    evaluate(fitted_copy, "folder")
    assert headline(fitted_copy)["ACC"] == ("100.0%", "against known labels")
    review(load_run(fitted_copy)).edit(merge([0, 1], 0))
    assert headline(fitted_copy)["ACC"] == ("66.7%", "against known labels")
    result = evaluate(fitted_copy, "folder")
    assert (round(result["acc"], 3), result["edits"]) == (0.667, 1)
    assert "ACC 0.667" in run_html(load_run(fitted_copy))
    file = export_json(load_run(fitted_copy), fitted_copy.parent / "x.json").path
    shown = json.loads(file.read_text())
    assert round(shown["scores"]["acc"], 3) == 0.667


def test_the_time_is_that_of_all_embedding_not_of_the_last_few_images(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", per_kind=4)
    added = photos / "disc" / "new.png"
    embed_run(open_source(photos), tmp_path / "run", views=0, device="cpu")
    draw("disc", 99).save(added)
    run, _ = embed_run(open_source(photos), tmp_path / "run", views=0, device="cpu")
    fit_run(run, 3, device="cpu")
    assert headline(tmp_path / "run")["time"][1].startswith("13 images embedded, ")


@pytest.mark.parametrize("fitted_on", ["auto", "cpu"])
def test_the_command_in_the_report_makes_the_same_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted_on: str
) -> None:
    photos = make_photos(tmp_path / "my photos")
    run, _ = embed_run(open_source(photos), tmp_path / "run", views=1, view_images=20)
    first = fit_run(run, "auto", recipe="paper", seed=3, device=fitted_on)
    monkeypatch.chdir(tmp_path)
    lines = contents_of(first).command.splitlines()
    assert len(lines) == (1 if fitted_on == "auto" else 2)
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
    second = load_run("NEW_RUN")
    assert second.assignments.equals(first.assignments)
    assert second.info.encoder == first.info.encoder
    assert second.fit == first.fit


def test_labels_give_a_matrix_that_follows_edits(
    fitted_copy: Path, open_report: Callable[..., Opened]
) -> None:
    evaluate(fitted_copy, "folder")
    page = open_report(write_report(load_run(fitted_copy))).page
    assert page.locator(".matrix tbody tr").count() == 3
    assert page.locator(".matrix td.own").all_inner_texts() == ["12", "12", "12"]
    assert page.locator(".matrix td.other").count() == 0
    assert "ACC\n100.0%" in page.inner_text("header").replace("\n\n", "\n")
    review(load_run(fitted_copy)).edit(merge([0, 1], 0))
    truth = contents_of(load_run(fitted_copy)).truth
    assert truth
    assert truth.scores["acc"] == pytest.approx(24 / 36)
    (mistake,) = truth.mistakes
    assert (mistake.count, mistake.share) == (12, 1.0)


def test_damaged_labels_cost_the_matrix_and_not_the_report(fitted_copy: Path) -> None:
    evaluate(fitted_copy, "folder")
    assert contents_of(load_run(fitted_copy)).truth
    (fitted_copy / "labels.parquet").write_bytes(b"PAR1")
    contents = contents_of(load_run(fitted_copy))
    assert contents.truth is None
    assert "ACC" not in [figure.label for figure in contents.figures]


def test_the_largest_mistakes_come_first_and_say_whose_cluster_it_is() -> None:
    labels = ["cat"] * 10 + ["dog"] * 8 + ["owl"] * 3
    clusters = np.array([0] * 6 + [1] * 4 + [2] * 6 + [0] * 2 + [3] * 3)
    truth = compare(labels, clusters, {0: "cats", 1: "kittens", 2: "dogs", 3: "owls"})
    found = [(m.label, m.name, m.most, m.count) for m in truth.mistakes]
    assert found == [("cat", "kittens", "cat", 4), ("dog", "cats", "cat", 2)]
    assert [name for name, _ in truth.classes] == ["cat", "dog", "owl"]
    assert [k for k, _ in truth.columns] == [0, 2, 3, 1]
    assert {(c.row, c.column) for c in truth.cells if c.matched} == {(0, 0), (1, 1), (2, 2)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), min_size=1, max_size=60))
def test_a_matrix_counts_every_image_once(pairs: list[tuple[int, int]]) -> None:
    labels, clusters = [str(a) for a, _ in pairs], np.array([b for _, b in pairs])
    truth = compare(labels, clusters, {})
    assert sum(cell.count for cell in truth.cells) == len(pairs)
    for cell in truth.cells:
        label, number = truth.classes[cell.row][0], truth.columns[cell.column][0]
        assert cell.count == sum(a == label and b == number for a, b in zip(labels, clusters))  # noqa: B905


def test_a_tree_joins_every_cluster_without_crossings(fitted: Run) -> None:
    from scipy.cluster.hierarchy import linkage

    rng = np.random.default_rng(0)
    merges = linkage(rng.normal(size=(40, 3)), "average")
    merges[:, 2] /= merges[:, 2].max() * 1.01
    tree = draw_tree(merges)
    assert sorted(tree.leaves) == list(range(40))
    assert len(tree.branches) == 39
    row = {leaf: i for i, leaf in enumerate(tree.leaves)}
    below = {i: [i] for i in range(40)}
    for step, (a, b) in enumerate(merges[:, :2].astype(int)):
        below[40 + step] = below[a] + below[b]
        rows = sorted(row[leaf] for leaf in below[40 + step])
        assert rows == list(range(rows[0], rows[0] + len(rows)))
    numbers = [float(x) for x in tree.branches[-1].replace("M", " ").replace("H", " ").replace(
        "V", " ").split()]  # fmt: skip
    assert 0 <= numbers[2] <= 0.05 * TREE_WIDTH  # the root is at the left
    drawn = tree_of(fitted)
    assert drawn
    assert sorted(drawn.leaves) == [0, 1, 2]


def test_a_run_without_its_model_has_no_tree_and_still_a_report(fitted_copy: Path) -> None:
    for file in fitted_copy.rglob("model.safetensors"):
        file.write_bytes(b"damaged")
    assert tree_of(load_run(fitted_copy)) is None
    assert write_report(load_run(fitted_copy)).exists()


def test_the_curve_is_shown_for_an_automatic_number_only(fitted_copy: Path) -> None:
    given = load_run(fitted_copy).fit
    found = {"asked": "auto", "n_clusters_range": (2, 5)}
    found["n_clusters_levels"] = (3, 6)
    found["n_clusters_curve"] = ((2, 0.4), (3, 0.7), (4, 0.5), (5, 0.4), (6, 0.6), (7, 0.1))
    curve = curve_of(given.model_copy(update=found))
    assert curve
    points = [point.split(",") for point in curve.line.split()]
    assert [k for k, _ in curve.levels] == [3, 6]
    # The levels are marked where their scores are drawn, the best at the top.
    assert [str(x) for _, x in curve.levels] == [points[1][0], points[4][0]]
    assert min(points, key=lambda point: float(point[1])) == points[1]
    assert curve.x_low == 0 < curve.x_high < 1000
    assert len(points) == 6
    assert curve_of(given) is None
    rewrite_info(fitted_copy, lambda info: info["fit"].update(found))
    assert "3 found, 2 to 5 likely" in write_report(load_run(fitted_copy)).read_text("utf-8")
    review(load_run(fitted_copy)).edit(rename(0, "named"))
    text = write_report(load_run(fitted_copy)).read_text("utf-8")
    assert "the fit found 3, 2 to 5 likely, before edits" in text


def test_near_duplicates_show_the_largest_groups_first() -> None:
    group = [None, 0, 1, 1, 1, 0, None, 2, 2]
    table = pa.table(
        {
            "path": [f"{i}.png" for i in range(9)],
            "cluster": [0, 0, 1, 1, 1, 1, 0, 0, 0],
            "duplicates": pa.array(group, pa.int32()),
        }
    )
    found = near_duplicates(table)
    assert found
    assert (found.groups, found.images) == (3, 7)
    assert [copies.paths for copies in found.shown] == [
        ["2.png", "3.png", "4.png"], ["1.png", "5.png"], ["7.png", "8.png"]
    ]  # fmt: skip
    assert [copies.apart for copies in found.shown] == [False, True, False]
    assert near_duplicates(table.drop_columns(["duplicates"])) is None


def test_marked_outliers_come_first_among_the_outlying(tmp_path: Path) -> None:
    names = [f"{i:02}.jpg" for i in range(30)]
    reviewed = review(handmade_run(tmp_path / "run", tmp_path, {"a": names, "b": []}))
    table = reviewed.assignments()
    marked = pa.array([path == "15.jpg" for path in table["path"].to_pylist()])
    score = pa.array(np.linspace(0, 1, 30), pa.float32())
    for name, column in (("outlier", marked), ("outlier_score", score)):
        table = table.set_column(table.schema.get_field_index(name), name, column)
    (card,) = make_cards(table, reviewed.clusters(), {0: "#000000", 1: "#ffffff"})
    # The four least certain, 26 to 29, are shown as borderline.
    assert [(i.path, i.note) for i in card.outlying] == [
        ("15.jpg", "marked"), ("25.jpg", ""), ("24.jpg", ""), ("23.jpg", "")
    ]  # fmt: skip
    assert sum(card.histogram) == 30


def test_colours_differ_and_stand_out_on_black_and_white() -> None:
    colours = palette(300)
    assert len(set(colours[:200])) == 200
    assert palette(5) == colours[:5]

    def light(colour: str) -> float:
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in colours:
        assert (light("#ffffff") + 0.05) / (light(colour) + 0.05) > 2
        assert (light(colour) + 0.05) / (light("#171b24") + 0.05) > 2.5
    first = [np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in colours[:10]]
    assert min(np.abs(a - b).sum() for a, b in combinations(first, 2)) > 60


def test_a_sheet_of_noise_keeps_to_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headlight.explore.report.sprite_sheet.BYTES", 60_000)
    sheet = Sheet([f"{i}" for i in range(100)])
    assert sheet.side == 96
    for i in range(0, 100, 2):
        sheet.put(f"{i}", draw("noise", i, (96, 96)), tiny=False)
    uri, side = sheet.encoded()
    assert 0 < len(uri) * 3 / 4 <= 60_100
    assert side < 96
    assert sheet.there == [True, False] * 50
    assert BYTES > 60_000
    assert Sheet(["x"] * CELLS).side >= SMALLEST
    assert Sheet([]).encoded()[0] == ""


def test_thumbnails_of_noise_shrink_to_their_budget(tmp_path: Path) -> None:
    for i in range(8):
        draw("noise", i, (200, 200)).save(tmp_path / f"{i}.png")
    whole = make_thumbnails(open_source(tmp_path), [f"{i}.png" for i in range(8)])
    size = sum(len(thumbnail.uri) for thumbnail in whole.values())
    less = shrunk(whole, size // 3)
    assert sum(len(thumbnail.uri) for thumbnail in less.values()) <= size // 3
    assert shrunk(whole, size) is whole
    gone = {"x": Thumbnail(problem="gone"), **whole}
    assert shrunk(gone, size // 3)["x"] == replace(gone["x"])


def test_three_clusters_of_a_real_run_stand_in_the_report(
    fitted: Run, tmp_path: Path, open_report: Callable[..., Opened]
) -> None:
    seen = open_report(write_report(fitted, tmp_path / "r.html"))
    page = seen.page
    page.wait_for_selector("html[data-ready=map]", state="attached")
    assert seen.complaints == []
    assert page.locator("article .histogram svg").count() == 3
    assert page.locator(".tree li").count() == 3
    assert page.locator(".tree li img:visible").count() == 3
    qualities = [float(q) for q in page.locator("article .measures b").all_text_contents()]
    assert qualities == sorted(qualities, reverse=True)
    assert "Every image has its picture" in page.inner_text("main")


def test_images_saved_for_the_report_are_pictures(tmp_path: Path) -> None:
    save(tmp_path, "1.jpg")
    (thumbnail,) = make_thumbnails(open_source(tmp_path), ["1.jpg"]).values()
    assert thumbnail.uri.startswith("data:image/webp;base64,")
