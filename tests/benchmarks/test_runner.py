"""The comparison from end to end, on blobs given by path."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.methods import data
from benchmarks.methods.__main__ import main
from benchmarks.methods.worker import warm_up


@pytest.fixture
def compare(tmp_path, blobs_file):
    """Runs the command on a small file of blobs; returns the rows of results."""
    blobs = blobs_file("blobs", n=120, views=1)

    def run(*arguments):
        fixed = ["--data", blobs, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
        assert main([*fixed, *arguments]) == 0
        return pq.read_table(tmp_path / "out/methods.parquet").to_pylist()

    return run


SHORT = ["--seeds", "2", "--views", "none", "--balance", "natural", "--methods", "k_means"]
ONE = ["--seeds", "1", *SHORT[2:]]


def test_table_and_parquet_come_out(compare, tmp_path):
    rows = compare(*SHORT)
    assert [(row["method"], row["seed"]) for row in rows] == [("k_means", 0), ("k_means", 1)]
    for row in rows:
        assert (row["data"], row["split"], row["error"]) == ("blobs", "fit", None)
        assert row["acc"] >= 0.98
        assert row["n_clusters"] == row["found"] == 4
        assert row["seconds"] > 0
        assert row["input_mib"] == pytest.approx(120 * 50 * 2 / 2**20)
    assert 0 <= rows[0]["memory_mib"] < 2000
    assert rows[1]["memory_mib"] is None
    assert rows[0]["process"] == rows[1]["process"]
    text = (tmp_path / "out/methods.md").read_text()
    assert "| k_means | plain | 1.000 ± 0.000 |" in text
    assert "| natural, plain | k_means | 1.000 | 1.000 | 1 of 1 |" in text
    assert rows[0]["machine"] in text


def test_ours_is_measured_with_and_without_views_with_its_confidence_and_its_count(compare):
    chosen = ["--methods", "headlight_robust", "headlight_auto", "--seeds", "1"]
    rows = compare(*chosen, "--balance", "natural")
    assert {(row["method"], row["views"]) for row in rows} == {
        (method, views)
        for method in ("headlight_robust", "headlight_auto")
        for views in ("none", "gentle")
    }
    for row in rows:
        assert row["error"] is None
        auto = row["method"] == "headlight_auto"
        assert (row["ece"] is None) == auto
        assert (row["estimate"] is not None) == auto
        if auto:
            assert row["low"] <= row["estimate"] <= row["high"]
            assert row["found"] == row["estimate"]
        else:
            assert 0 <= row["ece"] < 0.5
    size = {r["views"]: r["input_mib"] for r in rows if r["method"] == "headlight_robust"}
    assert size["gentle"] == pytest.approx(1.5 * size["none"])


def test_rerun_skips_what_is_there_and_fresh_does_not(compare):
    first = compare(*ONE)
    more = compare(*ONE, "spectral")
    assert [row for row in more if row["method"] == "k_means"] == first
    fresh = compare(*ONE, "--fresh")
    assert [row["method"] for row in fresh] == ["k_means", "spectral"]
    assert fresh[0]["seconds"] != first[0]["seconds"]
    assert fresh[1] == more[1]
    assert compare("--table-only") == fresh


def test_fit_that_takes_too_long_becomes_a_row_and_ends_nothing(compare, tmp_path):
    rows = compare(*SHORT, "--timeout", "0.01")
    assert [row["error"] for row in rows] == ["not done after 0.01 s"] * 2
    assert "failed: not done after 0.01 s" in (tmp_path / "out/methods.md").read_text()


def test_a_crash_fails_one_fit_and_a_new_process_does_the_rest(monkeypatch, blobs_file, tmp_path):
    (tmp_path / "crashing.py").write_text(
        "import os, sys\n"
        "from benchmarks.methods import registry, worker\n"
        "k_means = registry.load('k_means')\n"
        "fit = k_means.fit\n"
        "k_means.fit = lambda x, k, seed: os.abort() if seed == 1 else fit(x, k, seed)\n"
        "worker.main(worker.Work.from_json(sys.argv[1]))\n"
    )
    runner = pytest.importorskip("benchmarks.methods.runner")
    start = runner.subprocess.Popen

    def crashing(command, **arguments):
        return start([command[0], str(tmp_path / "crashing.py"), command[-1]], **arguments)

    monkeypatch.setattr(runner.subprocess, "Popen", crashing)
    fits = [runner.Fit("k_means", "none", seed) for seed in range(3)]
    work = runner.Work(blobs_file("blobs", n=80), None, "natural", fits)
    found = dict(runner.run(work, 60))
    assert list(found) == fits
    errors = [rows[0].get("error") for rows in found.values()]
    assert errors[0] is None
    assert "ended with code -6" in errors[1]
    assert errors[2] is None


def test_method_that_fails_becomes_a_row_with_its_error(compare, tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.full((20, 5), np.nan, np.float32), y=np.arange(20) % 2)
    compare(*ONE)
    rows = compare("--data", str(tmp_path / "bad.npz"), *ONE)
    failed, good = rows
    assert (failed["data"], failed["acc"]) == ("bad", None)
    assert "NaN" in failed["error"]
    assert good["error"] is None
    assert "failed: " in (tmp_path / "out/methods.md").read_text()


def test_absent_sets_are_skipped_with_a_reason(compare, capsys, tmp_path, monkeypatch, blobs_file):
    gone = tmp_path / "nowhere"
    monkeypatch.setitem(data.KNOWN, "stl10", (gone, None))
    rows = compare(*ONE, "--data", "stl10", blobs_file("blobs", n=120))
    assert [row["data"] for row in rows] == ["blobs"]
    assert f"stl10 skipped: {gone} does not exist" in capsys.readouterr().out


def test_without_any_data_the_command_fails(capsys, tmp_path):
    arguments = ["--data", str(tmp_path / "no.npz"), "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "no data" in capsys.readouterr().err


def test_the_default_run_is_the_seven_sets():
    assert data.SETS == (
        "digits",
        "cifar10",
        "caltech101",
        "stl10",
        "trashnet",
        "rsscn7",
        "traffic_signs",
    )


def test_images_kept_aside_are_judged_by_methods_that_predict(tmp_path, make_blobs, monkeypatch):
    features, classes = make_blobs(n=240)
    for name, rows in (("fit", slice(0, 160)), ("test", slice(160, 240))):
        np.savez(tmp_path / f"pair.{name}.npz", x=features.plain[rows], y=classes[rows])
    monkeypatch.setitem(data.KNOWN, "pair", ("nowhere", "nowhere"))
    out = tmp_path / "out"
    arguments = ["--data", "pair", "--cache", str(tmp_path), "--out", str(out), "--seeds", "1"]
    assert main([*arguments, "--methods", "k_means", "ward"]) == 0
    rows = pq.read_table(out / "methods.parquet").to_pylist()
    splits = {(row["method"], row["balance"], row["split"]): row for row in rows}
    assert set(splits) == {
        ("k_means", "natural", "fit"),
        ("k_means", "natural", "test"),
        ("k_means", "long-tailed", "fit"),
        ("ward", "natural", "fit"),
        ("ward", "long-tailed", "fit"),
    }
    test = splits["k_means", "natural", "test"]
    assert (test["n"], test["acc"] >= 0.98) == (80, True)


def test_long_tail_falls_geometrically_and_keeps_two_of_each():
    classes = np.repeat(np.arange(5), [300, 300, 300, 300, 4])
    rows = data.long_tail(classes)
    sizes = np.bincount(classes[rows], minlength=5)
    order = np.random.default_rng(0).permutation(5)
    wanted = [min(n, have) for n, have in zip([300, 95, 30, 9, 3], [300] * 5, strict=True)]
    expected = np.minimum(wanted, np.bincount(classes)[order])
    np.testing.assert_array_equal(sizes[order], expected)
    assert sizes.min() >= 2
    np.testing.assert_array_equal(rows, data.long_tail(classes))
    assert (np.diff(rows) > 0).all()


def test_views_stay_with_their_images_in_a_subsample(make_blobs):
    features, _ = make_blobs(n=10, views=1)  # of the rows 0, 2, 4, 6, 8
    part = features.take(np.array([1, 2, 5, 8]))
    np.testing.assert_array_equal(part.plain, features.plain[[1, 2, 5, 8]])
    np.testing.assert_array_equal(part.viewed, [1, 3])
    np.testing.assert_array_equal(part.views, features.views[[1, 4]])


def test_only_the_views_asked_for_are_loaded(blobs_file, make_blobs):
    features, _ = make_blobs(views=2)
    file = data.prepare(blobs_file("a", views=2)).fit
    none, _ = data.load(file, "none", "natural")
    assert len(none.viewed) == len(none.views) == 0
    gentle, _ = data.load(file, "gentle", "natural")
    np.testing.assert_array_equal(gentle.views, features.views)
    with pytest.raises(data.HeadlightError, match="strong"):
        data.load(file, "strong", "natural")
    np.save(file.with_suffix(".strong.npy"), 2 * features.views)
    strong, _ = data.load(file, "strong", "natural")
    np.testing.assert_array_equal(strong.views, 2 * features.views)
    np.testing.assert_array_equal(strong.viewed, gentle.viewed)


def test_folder_of_images_is_embedded_once(tmp_path, photos):
    dataset = data.prepare(str(photos), tmp_path / "cache")
    features, classes = data.load(dataset.fit, "gentle", "natural")
    assert features.plain.shape == (36, 1280)
    assert features.views.shape == (36, 2, 1280)
    assert features.plain.dtype == features.views.dtype == np.float16
    assert np.bincount(classes).tolist() == [12, 12, 12]
    written = dataset.fit.stat().st_mtime_ns
    assert data.prepare(str(photos), tmp_path / "cache").fit.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["headlight_paper", "headlight_robust", "headlight_auto"])
def test_a_method_is_warmed_up_on_data_it_can_fit(name):
    warm_up(name, 100)  # the paper's recipe needs views
