"""Changed bytes are noticed: one sentence, or what was written, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.sources import FEATURES, KINDS, PATHS, outcome, store
from headlight.errors import HeadlightError
from headlight.features import FeatureStore


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_end_in_rows_or_one_sentence(kind: str) -> None:
    found = {outcome(kind, seed) for seed in range(25)}
    assert found == {"read", "refused"}


def vectors_file(path: Path) -> tuple[Path, int]:
    """The store's file that holds row 7, and where its plain vector begins."""
    for file in sorted((path / "data").iterdir()):
        if (place := file.read_bytes().find(FEATURES[7, 0].tobytes())) >= 0:
            return file, place
    raise AssertionError("no such vector")


def test_one_flipped_bit_of_a_vector_is_noticed_wherever_it_is_read(tmp_path: Path) -> None:
    path = store(tmp_path)
    file, place = vectors_file(path)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    opened = FeatureStore.open(path)
    for read in (opened.load, lambda: list(opened.scan((0,)))):
        with pytest.raises(HeadlightError, match="damaged.*é07.png.*not those written.*delete it"):
            read()


def test_appends_deletes_and_missing_views_keep_the_store_intact(tmp_path: Path) -> None:
    opened = FeatureStore.open(store(tmp_path))
    opened.append([99], ["z.png"], [-1], [None], [FEATURES[5, :1]])
    rows = opened.rows("id", "place")
    places = dict(zip(rows["id"].to_pylist(), rows["place"].to_pylist(), strict=True))
    opened.delete(np.array([places[8], places[21]]))
    opened.tidy()
    paths, features = opened.load()
    left = [name for i, name in enumerate(PATHS) if i not in (3, 8, 21)]
    assert paths.to_pylist() == ["z.png", *left]  # in the order of their bytes
    row = paths.to_pylist().index("z.png")
    assert np.array_equal(features.plain[row], FEATURES[5, 0])
    assert row not in features.viewed
    assert sorted(opened.rows("id")["id"].to_pylist()) == sorted({*range(30), 99} - {3, 8, 21})


def test_changed_settings_are_noticed(tmp_path: Path) -> None:
    path = store(tmp_path)
    for file in (path / "_versions").iterdir():
        file.write_bytes(file.read_bytes().replace(b"/photos", b"/fotos2"))
    with pytest.raises(HeadlightError, match="settings are not those written"):
        FeatureStore.open(path)
