"""Growth with the number of images, on sizes that take seconds."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import scale


def test_table_and_parquet_come_out(tmp_path):
    arguments = ["--sizes", "400", "800", "--dim", "32", "--clusters", "4", "8"]
    scale.main([*arguments, "--out", str(tmp_path), "--folder", str(tmp_path)])
    rows = pq.read_table(tmp_path / "scale.parquet").to_pylist()
    assert [(row["n"], row["n_clusters"]) for row in rows] == [
        (400, 4),
        (800, 4),
        (400, 8),
        (800, 8),
    ]
    assert all(row["k_means_seconds"] > 0 and 0 < row["k_means_acc"] <= 1 for row in rows)
    assert all(row["seconds"] > 0 and row["anonymous_mib"] >= 0 for row in rows)
    text = (tmp_path / "scale.md").read_text()
    assert "With 4 clusters, seconds grow as n^" in text
    assert "With 800 images, seconds grow as K^" in text
    assert not list(tmp_path.glob("headlight-scale-*"))


def test_features_of_a_smaller_size_are_the_first_rows_of_a_larger(tmp_path):
    for n in (300, 11_000):
        (tmp_path / str(n)).mkdir()
        scale.synthetic(tmp_path / str(n), n, 16, 4)
    small, large = (np.load(tmp_path / n / "x.npy") for n in ("300", "11000"))
    assert large.dtype == np.float16
    np.testing.assert_array_equal(small, large[:300])


def test_peak_of_anonymous_memory_sees_what_was_given_back():
    with scale.AnonymousPeak(interval=0.001) as peak:
        block = np.ones(64 * scale.MIB, np.uint8)
        del block
    assert 50 * scale.MIB < peak.growth < 160 * scale.MIB


def test_slope_is_the_exponent():
    rows = [{"n": n, "seconds": 3 * n**1.5} for n in (10, 100, 1000)]
    assert scale.slope(rows, "seconds") == pytest.approx(1.5)
