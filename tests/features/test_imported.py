"""`--encoder features:FILE`: embeddings made elsewhere, with the images they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headlight.errors import HeadlightError
from headlight.images import open_source
from headlight.review import predict_run
from headlight.runs import embed_run, fit_run
from tests.conftest import KINDS, all_views

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 16)) * 4


def vectors(paths: list[str], views: int = 2) -> np.ndarray:
    """Of each image one that tells its kind, and other views near it."""
    kinds = [KINDS.index(path.split("/")[0]) for path in paths]
    noise = np.random.default_rng(1).normal(size=(len(paths), views, 16))
    return (CENTRES[kinds][:, None] + noise).astype(np.float32)


def paths_of(photos: Path) -> list[str]:
    return [ref.path for ref in open_source(photos)]


def table(paths: list[str], features: np.ndarray) -> pa.Table:
    columns = {f"view_{v}": list(features[:, v]) for v in range(features.shape[1])}
    return pa.table({"path": paths, **columns})


def embed(photos: Path, file: Path):
    return embed_run(open_source(photos), photos.parent / "run", encoder=f"features:{file}")


@pytest.fixture(params=["npy", "parquet", "lance"])
def file(request, photos: Path) -> Path:
    path = photos.parent / f"made.{request.param}"
    paths = paths_of(photos)
    features = vectors(paths)
    if request.param == "npy":
        np.save(path, features)
    else:
        order = RNG.permutation(len(paths))  # a table says itself what its rows are of
        rows = table([paths[i] for i in order], features[order])
        if request.param == "parquet":
            pq.write_table(rows, path)
        else:
            import lance

            lance.write_dataset(rows, path)
    return path


def test_features_from_a_file_are_clustered(photos: Path, file: Path) -> None:
    run, report = embed(photos, file)
    paths, stored = run.features.load()
    assert report.added == 36
    assert np.array_equal(all_views(stored), vectors(paths_of(photos)).astype(np.float16))
    run = fit_run(run, 3)
    kinds = [path.split("/")[0] for path in paths.to_pylist()]
    found = set(zip(kinds, run.assignments["cluster"].to_pylist(), strict=True))
    assert len(found) == 3
    with pytest.raises(HeadlightError, match="were precomputed"):
        predict_run(run, open_source(photos), photos.parent / "new.csv")


def test_a_second_run_takes_nothing_over_and_another_file_is_refused(photos: Path) -> None:
    first, second = photos.parent / "a.npy", photos.parent / "b.npy"
    features = vectors(paths_of(photos))
    np.save(first, features)
    np.save(second, features + 1)
    embed(photos, first)
    assert (embed(photos, first)[1].kept, embed(photos, first)[1].added) == (36, 0)
    with pytest.raises(HeadlightError, match="already holds features"):
        embed(photos, second)


def test_the_store_of_another_run_will_do(photos: Path, fitted) -> None:
    run, _ = embed(photos, fitted.path / "features.lance")
    assert np.array_equal(all_views(run.features.load()[1]), all_views(fitted.features.load()[1]))


def test_images_without_a_row_and_rows_beyond_float16_are_quarantined(photos: Path) -> None:
    paths = paths_of(photos)
    features = vectors(paths)
    features[5, 1, 3] = 1e30
    file = photos.parent / "some.parquet"
    pq.write_table(
        table([*paths[2:], "gone.png"], np.concatenate([features[2:], features[:1]])), file
    )
    _run, report = embed(photos, file)
    assert report.added == 33
    assert dict(report.quarantine) == {
        paths[0]: "no features in some.parquet",
        paths[1]: "no features in some.parquet",
        paths[5]: "its features go beyond float16",
    }


def npy(array):
    return lambda path, paths: np.save(path.with_suffix(".npy"), array) or path.with_suffix(".npy")


def parquet(make):
    def write(path: Path, paths: list[str]) -> Path:
        pq.write_table(make(paths), path.with_suffix(".parquet"))
        return path.with_suffix(".parquet")

    return write


def garbage(path: Path, paths: list[str]) -> Path:
    path.with_suffix(".npy").write_bytes(b"\x93NUMPY garbage")
    return path.with_suffix(".npy")


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (npy(np.zeros((7, 4), np.float32)), "has 7 rows, the source 36 images"),
        (npy(np.zeros((36, 4), np.int64)), r"int64 of shape \(36, 4\)"),
        (npy(np.array([{}], object)), "not a readable file of features"),
        (garbage, "not a readable file of features"),
        (
            parquet(lambda p: pa.table({"path": p})),
            "must have a column path of strings and one column",
        ),
        (parquet(lambda p: pa.table({"v": [[1.0]] * 36})), "must have a column path"),
        (parquet(lambda p: table(["x"] * 3, vectors(p)[:3])), "none of its paths is an image"),
        (
            parquet(lambda p: pa.table({"path": p, "v": [[1.0, 2.0]] * 35 + [[1.0]]})),
            "rows of another length than 2",
        ),
        (lambda path, paths: path.with_suffix(".parquet"), "no such file of features"),
    ],
)
def test_files_that_will_not_do_are_named(photos: Path, write, sentence: str) -> None:
    with pytest.raises(HeadlightError, match=sentence):
        embed(photos, write(photos.parent / "bad", paths_of(photos)))
