from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headlight.encoders import Encoders, load_encoder
from headlight.engines.base import Engine
from headlight.errors import HeadlightError
from headlight.features import EncodingHere, FeatureStore, StoreSettings, embed_source
from headlight.features import update as update_module
from headlight.images import content_hash, open_source
from tests.conftest import all_views, draw

LITE0 = load_encoder("lite0")
ONE = Encoders((LITE0,))


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
    return embed_source(open_source(photos), store, EncodingHere(ONE, [engine or MeanColour()]))


def contents(store: FeatureStore) -> tuple[list[str], np.ndarray]:
    paths, stored = store.load()
    return paths.to_pylist(), all_views(stored)


def test_every_image_gets_a_row_with_all_its_views(photos: Path, store: FeatureStore) -> None:
    report = embed(photos, store)
    paths, stored = store.load()
    features = all_views(stored)
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
    before = dict(zip(*contents(store), strict=True))
    (photos / "disc" / "00.png").unlink()
    draw("noise", 99).save(photos / "disc" / "01.png")
    draw("disc", 50).save(photos / "aaa.png")
    engine = MeanColour()
    report = embed(photos, store, engine)
    assert (report.kept, report.added, report.changed, report.gone) == (34, 1, 1, 1)
    assert engine.images == 2 * 2
    after = dict(zip(*contents(store), strict=True))
    assert set(after) == set(before) - {"disc/00.png"} | {"aaa.png"}
    assert (after["disc/01.png"] != before["disc/01.png"]).any()


def test_store_looks_the_same_however_it_came_about(photos: Path, tmp_path: Path) -> None:
    at_once, piecemeal = (new_store(photos, tmp_path / f"{n}.lance") for n in "ab")
    embed(photos, at_once)
    hidden = photos.parent / "later"
    (photos / "noise").rename(hidden)
    embed(photos, piecemeal)
    hidden.rename(photos / "noise")
    embed(photos, piecemeal)
    for one, other in zip(contents(at_once), contents(piecemeal), strict=True):
        assert np.array_equal(one, other)


def test_batches_committed_before_a_crash_are_kept(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "FEWEST_A_COMMIT", 5)

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
    store.append([ref.id], [ref.path], [ref.stamp], [None], np.zeros((1, 2, LITE0.dim), np.float16))
    report = embed(photos, store)
    assert (report.kept, report.added, report.gone, len(store)) == (35, 1, 0, 36)
    assert all_views(store.load()[1]).any(axis=(1, 2)).all()


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
    draw("disc", 70).save(photos / "zzz.png")  # mended: taken up by the next run
    assert embed(photos, store).added == 1


def test_features_beyond_float16_are_quarantined(photos: Path, store: FeatureStore) -> None:
    class Huge(MeanColour):
        def encode(self, images):
            for features in super().encode(images):
                yield features * (1e6 if self.images == 1 else 1)

    report = embed(photos, store, Huge())
    assert [reason for _, reason in report.quarantine] == ["its features go beyond float16"]


def test_another_folder_in_its_place_is_refused(photos: Path, store: FeatureStore) -> None:
    embed(photos, store)
    photos.rename(photos.parent / "old")
    photos.mkdir()
    draw("disc", 50).save(photos / "other.png")
    with pytest.raises(HeadlightError, match="none of the images embedded before"):
        embed(photos, store)
    assert len(store) == 36


def test_features_of_another_engine_do_not_join(photos: Path, store: FeatureStore) -> None:
    class Other(MeanColour):
        name = "another"

    embed(photos, store)
    (photos / "broken.png").write_text("no image")
    assert embed(photos, store, Other()).kept == 36  # nothing to encode: nothing to refuse
    draw("disc", 50).save(photos / "new.png")
    with pytest.raises(HeadlightError, match="computed by mean-colour; another rounds"):
        embed(photos, store, Other())
    assert embed(photos, store).added == 1


def test_other_files_are_counted_apart(photos: Path, store: FeatureStore) -> None:
    (photos / "notes.txt").write_text("x")
    (photos / "IMG_1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    report = embed(photos, store)
    assert (report.added, report.others, len(report.quarantine)) == (36, 1, 1)
    assert "HEIC isn't supported yet" in report.quarantine[0][1]


def test_progress_ends_at_the_total(photos: Path, store: FeatureStore) -> None:
    (photos / "text.png").write_text("x")
    seen: list[tuple[int, int]] = []
    embed_source(
        open_source(photos),
        store,
        EncodingHere(ONE, [MeanColour()]),
        lambda *step: seen.append(step),
    )
    assert seen == [(i, 37) for i in range(1, 38)]


def root(array: np.ndarray) -> np.ndarray:
    """The array whose memory this one shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_features_larger_than_memory_become_a_memory_map(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(photos, store)
    held = store.load()[1]
    monkeypatch.setattr("headlight.features.store.available_memory", lambda: 1)
    mapped = store.load()[1]
    for one, other in ((held.plain, mapped.plain), (held.views, mapped.views)):
        assert isinstance(root(other), np.memmap)
        assert not isinstance(root(one), np.memmap)
        assert (one == other).all()
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
    monkeypatch.setattr(update_module, "FEWEST_A_COMMIT", 1)
    embed(photos, store)
    assert len(list((store.path / "_versions").glob("*.manifest"))) == 1


def test_views_of_some_images_only(photos: Path, tmp_path: Path) -> None:
    """Those with the smallest contents, a random sample, whatever the images are called."""
    whole, part = new_store(photos, tmp_path / "a.lance"), None
    embed(photos, whole)
    settings = replace(whole.settings, view_images=10)
    part = FeatureStore.create(tmp_path / "b.lance", settings)
    engine = MeanColour()
    embed(photos, part, engine)
    paths, stored = FeatureStore.open(part.path).load()
    contents = [content_hash((photos / path).read_bytes()) for path in paths.to_pylist()]
    chosen = [i for i, one in enumerate(contents) if one < (2**128 * 10 // 36).to_bytes(16, "big")]
    assert stored.viewed.tolist() == chosen
    assert 4 < len(chosen) < 16
    assert engine.images == 36 + len(chosen)
    everything = whole.load()[1]
    assert np.array_equal(stored.plain, everything.plain)
    assert np.array_equal(stored.views, everything.views[stored.viewed])


def test_views_of_no_image_and_of_more_than_there_are(photos: Path, tmp_path: Path) -> None:
    found = []
    for images in (0, 99):
        settings = StoreSettings(
            str(photos), "lite0", "w", LITE0.dim, 1, "mean-colour", view_images=images
        )
        store = FeatureStore.create(tmp_path / f"{images}.lance", settings)
        embed(photos, store)
        found.append(store.load()[1].views)
    assert found[0] is None
    assert found[1].shape == (36, 1, 1280)


def test_fused_encoders_stand_side_by_side(photos: Path, tmp_path: Path) -> None:
    """Each encoder sees every image and view at its own size; its features don't change."""
    small = load_encoder("lite0@64")
    sizes: list[set[int]] = []

    class Sized(MeanColour):
        def encode(self, images):
            sizes.append(seen := set())
            for image in images:
                seen.add(image.shape[0])
                yield from super().encode([image])

    (photos / "noise" / "broken.png").write_bytes(b"nothing")
    stores = []
    for name, parts in (("one", (LITE0,)), ("other", (small,)), ("both", (LITE0, small))):
        both = Encoders(parts)
        settings = StoreSettings(
            str(photos), both.name, "w", both.dim, 1, "sized", dims=both.dims, view_images=20
        )
        store = FeatureStore.create(tmp_path / f"{name}.lance", settings)
        report = embed_source(
            open_source(photos), store, EncodingHere(both, [Sized() for _ in parts])
        )
        assert len(report.quarantine) == 1
        stores.append(store.load()[1])
    one, other, both = stores
    assert sizes == [{224}, {64}, {224}, {64}]
    assert both.plain.shape == (36, 2560)
    assert np.array_equal(both.plain, np.concatenate([one.plain, other.plain], axis=1))
    assert np.array_equal(both.views, np.concatenate([one.views, other.views], axis=2))
