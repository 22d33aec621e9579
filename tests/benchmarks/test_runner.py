"""The comparison from end to end, on blobs given by path."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.methods import data
from benchmarks.methods.__main__ import main
from benchmarks.methods.entrants import k_means as plain
from benchmarks.methods.registry import load
from benchmarks.methods.worker import warm_up


@pytest.fixture
def compare(tmp_path, make_blobs):
    """Runs the command on a small file of blobs; returns the rows of results."""
    features, classes = make_blobs(n=120, views=2)
    np.savez(tmp_path / "blobs.npz", x=features, y=classes)

    def run(*arguments):
        fixed = ["--data", str(tmp_path / "blobs.npz"), "--out", str(tmp_path / "out")]
        fixed += ["--cache", str(tmp_path / "cache")]
        assert main([*fixed, *arguments]) == 0
        return pq.read_table(tmp_path / "out/methods.parquet").to_pylist()

    return run


SHORT = ["--methods", "k-means", "--seeds", "2", "--views", "one", "--balance", "natural"]
ONE = ["--seeds", "1", *SHORT[-4:], "--methods"]


def test_table_parquet_and_plot_come_out(compare, tmp_path):
    rows = compare(*SHORT)
    assert {(row["method"], row["seed"]) for row in rows} == {
        ("k-means", 0),
        ("k-means", 1),
    }
    for row in rows:
        assert (row["data"], row["split"], row["error"]) == ("blobs", "fit", None)
        assert row["acc"] >= 0.98
        assert row["n_clusters"] == row["found"] == 4
        assert row["seconds"] > 0
        assert 0 <= row["memory_mib"] < 2000
    text = (tmp_path / "out/methods.md").read_text()
    assert "| k-means | 1.000 ± 0.000 |" in text
    assert rows[0]["machine"] in text
    if find_spec("matplotlib"):
        assert (tmp_path / "out/methods.png").stat().st_size > 1000
        assert (tmp_path / "out/methods.svg").exists()


def test_rerun_skips_what_is_there_and_fresh_does_not(compare):
    first = compare(*ONE, "k-means")
    more = compare(*ONE, "k-means", "spectral")
    assert [row for row in more if row["method"] == "k-means"] == first
    fresh = compare(*ONE, "k-means", "--fresh")
    assert [row["method"] for row in fresh] == ["k-means", "spectral"]
    assert fresh[0]["seconds"] != first[0]["seconds"]
    assert fresh[1] == more[1]
    assert compare("--table-only") == fresh


def test_fit_that_takes_too_long_becomes_a_row_and_ends_nothing(compare, tmp_path):
    rows = compare(*SHORT, "--timeout", "0.01")
    assert len(rows) == 2
    assert all(row["error"] == "not done after 0.01 s" for row in rows)
    assert "failed: not done after 0.01 s" in (tmp_path / "out/methods.md").read_text()


def test_method_that_fails_becomes_a_row_with_its_error(compare, tmp_path):
    np.save(tmp_path / "bad_x.npy", np.full((20, 5), np.nan, np.float32))
    np.save(tmp_path / "bad_y.npy", np.arange(20) % 2)
    compare(*ONE, "k-means")
    rows = compare("--data", str(tmp_path / "bad_x.npy"), *ONE, "k-means")
    failed, good = rows
    assert (failed["data"], failed["acc"]) == ("bad", None)
    assert "NaN" in failed["error"]
    assert good["error"] is None
    assert "failed: " in (tmp_path / "out/methods.md").read_text()


def test_images_kept_aside_are_judged_by_methods_that_predict(tmp_path, make_blobs, monkeypatch):
    features, classes = make_blobs(n=240)
    for name, rows in (("train", slice(0, 160)), ("test", slice(160, 240))):
        np.save(tmp_path / f"pair_{name}_x.npy", features[rows])
        np.save(tmp_path / f"pair_{name}_y.npy", classes[rows])
    monkeypatch.setitem(data.KNOWN, "pair", ("nowhere", "nowhere"))
    out = tmp_path / "out"
    arguments = ["--data", "pair", "--cache", str(tmp_path), "--out", str(out), "--seeds", "1"]
    assert main([*arguments, "--methods", "k-means", "ward"]) == 0
    rows = pq.read_table(out / "methods.parquet").to_pylist()
    splits = {(row["method"], row["balance"], row["split"]): row for row in rows}
    assert set(splits) == {
        ("k-means", "natural", "fit"),
        ("k-means", "natural", "test"),
        ("k-means", "long-tailed", "fit"),
        ("ward", "natural", "fit"),
        ("ward", "long-tailed", "fit"),
    }
    test = splits["k-means", "natural", "test"]
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


def test_only_the_views_asked_for_are_loaded(tmp_path, make_blobs):
    features, classes = make_blobs(views=3)
    np.save(tmp_path / "a_x.npy", features)
    np.save(tmp_path / "a_y.npy", classes)
    split = data.prepare(str(tmp_path / "a_x.npy")).fit
    np.testing.assert_array_equal(data.load(split, "one", "natural")[0], features[:, :1])
    np.testing.assert_array_equal(data.load(split, "several", "natural")[0], features)


def test_folder_of_images_is_embedded_once(tmp_path, photos):
    dataset = data.prepare(str(photos), tmp_path / "cache")
    features, classes = data.load(dataset.fit, "several", "natural")
    assert features.shape == (36, 3, 1280)
    assert features.dtype == np.float16
    assert np.bincount(classes).tolist() == [12, 12, 12]
    written = dataset.fit.x.stat().st_mtime_ns
    assert data.prepare(str(photos), tmp_path / "cache").fit.x.stat().st_mtime_ns == written


def test_adding_a_method_takes_a_name_and_a_function():
    assert isinstance(plain.NAME, str)
    assert callable(plain.fit)


@pytest.mark.parametrize("name", ["headlight-paper", "headlight-robust", "k-means"])
def test_a_method_is_warmed_up_on_data_it_can_fit(name):
    warm_up(load(name), 100)  # the paper's recipe needs two views
