"""An image is itself wherever it lies: known by its bytes, whatever its path and date."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headlight.errors import HeadlightError
from headlight.features import EncodingHere, FeatureStore, embed_source
from headlight.features import update as update_module
from headlight.features.contents import DTYPE, KnownContents
from headlight.features.store import CHECK_KEY, _checks
from headlight.features.update import EmbedReport
from headlight.images import BadImage, content_hash, open_source
from headlight.images.folder import FolderSource
from tests.conftest import draw
from tests.features.test_embedding import ONE, MeanColour, contents, embed, new_store


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> FeatureStore:
    made = new_store(photos, tmp_path / "features.lance")
    embed(photos, made)
    return made


class NoEngine(MeanColour):
    """Fails if an image reaches the encoder."""

    def encode(self, images):
        for _ in images:
            raise AssertionError("an image is encoded")
        yield from ()


class Ahead(MeanColour):
    """Takes all images before it returns the features of the first."""

    def encode(self, images):
        yield from super().encode(list(images))


def by_path(store: FeatureStore) -> dict[str, np.ndarray]:
    return dict(zip(*contents(store), strict=True))


def check_contents(photos: Path, store: FeatureStore) -> None:
    """Every row has the content of its file, and its state."""
    rows = store.rows("id", "path", "stamp", "content").to_pylist()
    refs = {ref.path: ref for ref in open_source(photos)}
    assert {row["path"] for row in rows} == set(refs)
    assert len(rows) == len(refs)
    for row in rows:
        assert row["content"] == content_hash((photos / row["path"]).read_bytes())
        assert (row["id"], row["stamp"]) == (refs[row["path"]].id, refs[row["path"]].stamp)


def test_rows_have_the_content_of_their_files(photos: Path, store: FeatureStore) -> None:
    check_contents(photos, store)


def test_renamed_moved_and_redated_files_keep_their_features(
    photos: Path, store: FeatureStore
) -> None:
    before = by_path(store)
    moves = {"disc/00.png": "disc/zz.png", "disc/01.png": "elsewhere/01.png"}
    (photos / "elsewhere").mkdir()
    for old, new in moves.items():
        (photos / old).rename(photos / new)
    os.utime(photos / "disc" / "02.png", ns=(1, 1))
    report = embed(photos, store, NoEngine())
    assert report == EmbedReport(kept=33, found=3)
    after = by_path(store)
    assert set(after) == {moves.get(path, path) for path in before}
    for path, features in before.items():
        assert (after[moves.get(path, path)] == features).all()
    check_contents(photos, store)
    assert embed(photos, store, NoEngine()) == EmbedReport(kept=36)


def test_files_that_swap_their_names_swap_their_features(photos: Path, store: FeatureStore) -> None:
    before = by_path(store)
    one, other, spare = photos / "disc/00.png", photos / "noise/00.png", photos / "spare"
    for old, new in ((one, spare), (other, one), (spare, other)):
        old.rename(new)
    report = embed(photos, store, NoEngine())
    assert (report.kept, report.changed, report.gone) == (34, 2, 0)
    after = by_path(store)
    assert (after["disc/00.png"] == before["noise/00.png"]).all()
    assert (after["noise/00.png"] == before["disc/00.png"]).all()
    check_contents(photos, store)


def test_an_image_replaced_while_it_moves_keeps_its_features(
    photos: Path, store: FeatureStore
) -> None:
    """The new file comes before the moved one, whose row must not be gone by then."""
    before = by_path(store)
    (photos / "disc/00.png").rename(photos / "zzz.png")
    draw("disc", 99).save(photos / "disc/00.png")
    engine = MeanColour()
    embed(photos, store, engine)
    assert engine.images == 2
    assert (by_path(store)["zzz.png"] == before["disc/00.png"]).all()
    check_contents(photos, store)


def test_a_source_of_new_paths_only_is_known_by_its_images(
    photos: Path, store: FeatureStore
) -> None:
    shutil.copytree(photos, photos.parent / "copies")  # with other dates
    for file in (photos.parent / "copies").rglob("*.png"):
        os.utime(file, ns=(7, 7))
    shutil.rmtree(photos)
    photos.mkdir()
    (photos.parent / "copies").rename(photos / "2024")
    assert embed(photos, store, NoEngine()) == EmbedReport(found=36)


@pytest.mark.parametrize("engine", [MeanColour(), Ahead()], ids=["one by one", "ahead"])
@pytest.mark.parametrize("batch", [1, 5, 256])
def test_equal_images_share_a_vector(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, engine: MeanColour
) -> None:
    engine.images = 0
    monkeypatch.setattr(update_module, "FEWEST_A_COMMIT", batch)
    for n in range(3):
        shutil.copy(photos / "disc/03.png", photos / f"copy {n}.png")
    shutil.copy(photos / "disc/04.png", photos / "zzz.png")
    store = new_store(photos, tmp_path / "features.lance")
    report = embed(photos, store, engine)
    assert (report.added, report.copied, engine.images) == (36, 4, 2 * 36)
    rows = by_path(store)
    assert (rows["disc/03.png"] == rows["copy 0.png"]).all()
    assert (rows["copy 0.png"] == rows["copy 2.png"]).all()
    assert (rows["zzz.png"] == rows["disc/04.png"]).all()
    check_contents(photos, store)
    # A copy made later, and the first of them deleted: the others keep their vector.
    shutil.copy(photos / "disc/03.png", photos / "aaa.png")
    (photos / "copy 0.png").unlink()
    report = embed(photos, store, NoEngine())
    assert (report.kept, report.found, report.gone) == (39, 1, 0)
    assert (by_path(store)["aaa.png"] == rows["disc/03.png"]).all()


def test_copies_of_an_image_whose_features_are_no_use_are_quarantined(
    photos: Path, tmp_path: Path
) -> None:
    class Huge(MeanColour):
        def encode(self, images):
            for features in super().encode(images):
                yield features * (1e6 if self.images == 1 else 1)

    for n in range(3):
        shutil.copy(photos / "disc/00.png", photos / f"copy {n}.png")
    report = embed(photos, new_store(photos, tmp_path / "features.lance"), Huge())
    assert [path for path, _ in report.quarantine] == [
        "copy 0.png", "copy 1.png", "copy 2.png", "disc/00.png",
    ]  # fmt: skip
    assert report.added == 35


def test_killed_between_renames_nothing_is_encoded_again(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "FEWEST_A_COMMIT", 5)
    before = by_path(store)
    (photos / "disc").rename(photos / "round")
    for file in (photos / "noise").iterdir():
        os.utime(file, ns=(3, 3))
    append, commits = store.append, []

    def dying(*rows: object) -> None:
        append(*rows)
        commits.append(rows)
        if len(commits) == 2:
            raise SystemExit("killed")

    # Nothing after the second commit: neither the last batch nor the deletion of old rows.
    with monkeypatch.context() as patch:
        patch.setattr(store, "append", dying)
        patch.setattr(update_module.StoreUpdate, "__exit__", lambda *_: None)
        with pytest.raises(SystemExit):
            embed(photos, store)
    assert len(store) == 36 + 10
    embed(photos, store, NoEngine())
    after = by_path(store)
    assert len(after) == len(store) == 36
    for path, features in before.items():
        assert (after[path.replace("disc/", "round/")] == features).all()
    check_contents(photos, store)


def test_cells_of_parquet_are_known_by_their_bytes(photos: Path, tmp_path: Path) -> None:
    data = [(photos / ref.path).read_bytes() for ref in open_source(photos)]
    (tmp_path / "tables").mkdir()
    file = tmp_path / "tables" / "a.parquet"
    pq.write_table(pa.table({"image": pa.array(data, pa.binary())}), file)
    store = new_store(file, tmp_path / "features.lance")
    embed(file, store)
    before = by_path(store)
    more = [*data[::-1], data[3]]
    pq.write_table(pa.table({"image": pa.array(more, pa.binary())}), file)
    report = embed(file, store, NoEngine())
    assert (report.added, report.copied, report.gone) == (0, 1, 0)
    after = by_path(store)
    for row in range(36):
        assert (after[f"a.parquet#{row}"] == before[f"a.parquet#{35 - row}"]).all()
    assert (after["a.parquet#36"] == before["a.parquet#3"]).all()


def without_contents(store: FeatureStore) -> FeatureStore:
    """The store as it was made before contents were kept."""
    whole = lance.dataset(store.path).to_table()
    keys = (
        b"%d %d %b" % (row["id"], row["stamp"], row["path"].encode())
        for row in whole.select(["id", "stamp", "path"]).to_pylist()
    )
    views = [whole[f"view_{v}"].to_pylist() for v in range(store.settings.views + 1)]
    checks = [
        _checks(key, np.array(vectors, np.float16))
        for key, *vectors in zip(keys, *views, strict=True)
    ]
    check = pa.array(checks, whole.schema.field("check").type)
    old = whole.set_column(whole.schema.get_field_index("check"), "check", check)
    old = old.drop_columns(["content"])
    assert CHECK_KEY in old.schema.metadata
    shutil.rmtree(store.path)
    lance.write_dataset(old, store.path)
    return FeatureStore.open(store.path)


def test_a_store_without_contents_is_read_and_gets_them(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "FEWEST_A_COMMIT", 5)
    before = by_path(store)
    old = without_contents(store)
    assert old.rows("content")["content"].null_count == 36
    for path, features in by_path(old).items():
        assert (features == before[path]).all()
    draw("disc", 99).save(photos / "new.png")
    engine = MeanColour()
    report = embed(photos, old, engine)
    assert report == EmbedReport(kept=36, added=1)
    assert engine.images == 2
    check_contents(photos, old)
    for path, features in by_path(old).items():
        assert path == "new.png" or (features == before[path]).all()
    (photos / "disc").rename(photos / "round")
    assert embed(photos, old, NoEngine()) == EmbedReport(kept=25, found=12)


def test_an_unreadable_file_keeps_its_row_without_content(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = without_contents(store)
    read = FolderSource.read

    def failing(self: FolderSource, path: str, limit: int) -> bytes:
        if path == "disc/00.png":
            raise BadImage("unreadable: permission denied")
        return read(self, path, limit)

    monkeypatch.setattr(FolderSource, "read", failing)
    assert embed(photos, old, NoEngine()) == EmbedReport(kept=36)
    assert (len(old), old.rows("content")["content"].null_count) == (36, 1)


def test_views_missing_from_an_image_are_missing_from_its_copy(
    photos: Path, tmp_path: Path
) -> None:
    made = new_store(photos, tmp_path / "a.lance")
    store = FeatureStore.create(tmp_path / "b.lance", replace(made.settings, view_images=10))
    embed(photos, store)
    viewed = store.load()[1].viewed
    paths = store.load()[0].to_pylist()
    assert viewed is not None
    (photos / "disc").rename(photos / "elsewhere")
    embed(photos, store, NoEngine())
    again, features = store.load()
    moved = [path.replace("disc/", "elsewhere/") for path in paths]
    expected = sorted(moved[i] for i in viewed)
    assert sorted(again.to_pylist()[i] for i in features.viewed) == expected


def test_known_contents_are_found_however_many_came_later() -> None:
    rng = np.random.default_rng(0)
    made = [rng.bytes(15) + b"\0" for _ in range(30_000)]  # zeros at the end are part of them
    known = KnownContents(np.array(made[:100], DTYPE), np.arange(100))
    for i in range(100, 30_000):
        assert known.get(made[i]) is None
        known.add(made[i], i)
    assert [known.get(one) for one in made] == list(range(30_000))
    assert known.get(bytes(16)) is None


def test_a_changed_content_is_noticed(photos: Path, store: FeatureStore) -> None:
    wanted = store.rows("content")["content"][7].as_py()
    for file in (store.path / "data").iterdir():
        data = file.read_bytes()
        file.write_bytes(data.replace(wanted, bytes(15) + b"x"))
    with pytest.raises(HeadlightError, match="not those written"):
        store.rows("content")


def test_images_are_read_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, read = open_source(photos), []
    one = type(source).read
    monkeypatch.setattr(type(source), "read", lambda *args: (read.append(args[1]), one(*args))[1])
    store = new_store(photos, tmp_path / "features.lance")
    embed_source(source, store, EncodingHere(ONE, [MeanColour()]))
    assert sorted(read) == [ref.path for ref in source]
