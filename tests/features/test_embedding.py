from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from headlight.encoders import load_encoder
from headlight.encoders.engine import Engine
from headlight.errors import HeadlightError
from headlight.features import FeatureStore, StoreSettings, embed_source
from headlight.features import embed as embed_module
from headlight.images import open_source
from tests.conftest import draw

LITE0 = load_encoder("lite0")


class MeanColour(Engine):
    """Stands in for a network: quick, and its features tell which pixels came in."""

    name = "mean-colour"

    def __init__(self) -> None:
        self.images = 0

    def encode(self, images):
        for image in images:
            self.images += 1
            yield np.resize(image.reshape(-1, 3).mean(0) / 255, LITE0.dim).astype(np.float32)


def new_store(photos: Path, path: Path, views: int = 1) -> FeatureStore:
    settings = StoreSettings(str(photos), "lite0", "w", LITE0.dim, views, "mean-colour")
    return FeatureStore.create(path, settings)


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> FeatureStore:
    return new_store(photos, tmp_path / "features.lance")


def embed(photos: Path, store: FeatureStore, engine: Engine | None = None):
    return embed_source(open_source(photos), store, LITE0, engine or MeanColour())


def test_every_image_gets_a_row_with_all_its_views(photos: Path, store: FeatureStore) -> None:
    report = embed(photos, store)
    paths, features = store.load()
    assert report.added == 36
    assert features.shape == (36, 2, 1280)
    assert features.dtype == np.float16
    assert paths.to_pylist() == [ref.path for ref in open_source(photos)]
    assert (features[:, 0] != features[:, 1]).any(axis=1).all()  # an augmented view is another


def test_second_run_encodes_nothing(photos: Path, store: FeatureStore) -> None:
    embed(photos, store)
    engine = MeanColour()
    report = embed(photos, store, engine)
    assert (report.kept, report.added, engine.images) == (36, 0, 0)


def test_new_changed_and_gone_files_are_noticed(photos: Path, store: FeatureStore) -> None:
    embed(photos, store)
    before = dict(zip(*[store.load()[0].to_pylist(), store.load()[1]], strict=True))
    (photos / "disc" / "00.png").unlink()
    draw("noise", 99).save(photos / "disc" / "01.png")
    os.utime(photos / "disc" / "02.png", ns=(1, 1))
    draw("disc", 50).save(photos / "aaa.png")
    engine = MeanColour()
    report = embed(photos, store, engine)
    assert (report.kept, report.added, report.changed, report.gone) == (33, 1, 2, 1)
    assert engine.images == 2 * 3
    after = dict(zip(*[store.load()[0].to_pylist(), store.load()[1]], strict=True))
    assert set(after) == set(before) - {"disc/00.png"} | {"aaa.png"}
    assert (after["disc/01.png"] != before["disc/01.png"]).any()
    assert (after["disc/02.png"] == before["disc/02.png"]).all()


def test_store_looks_the_same_however_it_came_about(photos: Path, tmp_path: Path) -> None:
    at_once, piecemeal = (new_store(photos, tmp_path / f"{n}.lance") for n in "ab")
    embed(photos, at_once)
    hidden = photos.parent / "later"
    (photos / "noise").rename(hidden)
    embed(photos, piecemeal)
    hidden.rename(photos / "noise")
    embed(photos, piecemeal)
    for one, other in zip(at_once.load(), piecemeal.load(), strict=True):
        assert np.array_equal(one, other)


def test_batches_committed_before_a_crash_are_kept(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_module, "FEWEST_A_COMMIT", 5)

    class Crashing(MeanColour):
        def encode(self, images):
            for i, features in enumerate(super().encode(images)):
                if i == 2 * 23:
                    raise RuntimeError("power cut")
                yield features

    with pytest.raises(RuntimeError):
        embed(photos, store, Crashing())
    assert len(store) == 23
    report = embed(photos, store)
    assert (report.kept, report.added) == (23, 13)


def test_stopped_right_after_a_commit_no_row_is_written_twice(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = store.append

    def stopped(*rows: object) -> None:
        append(*rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "append", stopped)
    with pytest.raises(KeyboardInterrupt):
        embed(photos, store)
    assert len(store) == 36


def test_rows_written_twice_are_mended(photos: Path, store: FeatureStore) -> None:
    embed(photos, store)
    ref = next(iter(open_source(photos)))
    store.append([ref.id], [ref.path], [ref.stamp], np.zeros((1, 2, LITE0.dim), np.float16))
    report = embed(photos, store)
    assert (report.kept, report.added, report.gone, len(store)) == (35, 1, 0, 36)
    assert store.load()[1].any(axis=(1, 2)).all()


def test_bad_images_are_quarantined_wherever_they_stand(photos: Path, store: FeatureStore) -> None:
    for name in ("aaa.png", "disc/05b.png", "disc/05c.png", "zzz.png"):
        (photos / name).write_text("no image")
    report = embed(photos, store)
    assert [path for path, _ in report.quarantine] == [
        "aaa.png", "disc/05b.png", "disc/05c.png", "zzz.png",
    ]  # fmt: skip
    assert {reason for _, reason in report.quarantine} == {"not an image, or of an unknown format"}
    assert report.added == len(store) == 36
    (photos / "zzz.png").unlink()
    draw("disc", 7).save(photos / "zzz.png")  # mended: taken up by the next run
    assert embed(photos, store).added == 1


def test_features_beyond_float16_are_quarantined(photos: Path, store: FeatureStore) -> None:
    class Huge(MeanColour):
        def encode(self, images):
            for features in super().encode(images):
                yield features * (1e6 if self.images == 1 else 1)

    report = embed(photos, store, Huge())
    assert [reason for _, reason in report.quarantine] == ["the encoder gave values beyond float16"]


def test_another_folder_in_its_place_is_refused(photos: Path, store: FeatureStore) -> None:
    embed(photos, store)
    photos.rename(photos.parent / "old")
    photos.mkdir()
    draw("disc", 0).save(photos / "other.png")
    with pytest.raises(HeadlightError, match="none of the images embedded before"):
        embed(photos, store)
    assert len(store) == 36


def test_progress_ends_at_the_total(photos: Path, store: FeatureStore) -> None:
    (photos / "text.txt").write_text("x")
    seen: list[tuple[int, int]] = []
    embed_source(open_source(photos), store, LITE0, MeanColour(), lambda *step: seen.append(step))
    assert seen == [(i, 37) for i in range(1, 38)]


def test_features_larger_than_memory_become_a_memory_map(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(photos, store)
    _, plain = store.load()
    monkeypatch.setattr("os.sysconf", lambda name: 1)
    _, mapped = store.load()
    assert isinstance(mapped, np.memmap)
    assert (mapped == plain).all()
    assert not list(store.path.parent.glob(".features-*"))


def test_damaged_store_is_said(photos: Path, store: FeatureStore) -> None:
    for file in (store.path / "_versions").iterdir():
        file.write_bytes(b"garbage")
    with pytest.raises(HeadlightError, match=r"features\.lance is damaged"):
        FeatureStore.open(store.path)
    with pytest.raises(HeadlightError, match="holds no features"):
        FeatureStore.open(store.path.parent / "none.lance")


def test_many_commits_leave_few_files(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_module, "FEWEST_A_COMMIT", 1)
    embed(photos, store)
    assert len(list((store.path / "_versions").glob("*.manifest"))) == 1
