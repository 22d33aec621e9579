"""Data sets in the very formats they are published in, made small."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headlight.benchmark.datasets import DATASETS, open_dataset
from headlight.benchmark.datasets.imagenet import DOGS, TEN
from headlight.errors import HeadlightError
from headlight.images import BadImage, ImageSource, decode

LIMIT = 2**20
CIFAR10 = [f"data_batch_{i}.bin" for i in range(1, 6)]
MTIME = 1_244_000_000
SHARED = Path(__file__).parents[3] / "shared" / "data" / "cifar10"


def random_images(n: int, side: int, seed: int = 0) -> np.ndarray:
    """(n, side, side, 3) uint8, rows from the top."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), np.uint8)


def by_rows(image: np.ndarray) -> bytes:
    """Red, green, blue; each row by row: CIFAR."""
    side = range(len(image))
    return bytes(int(image[y, x, c]) for c in range(3) for y in side for x in side)


def by_columns(image: np.ndarray) -> bytes:
    """Red, green, blue; each column by column: STL-10."""
    side = range(len(image))
    return bytes(int(image[y, x, c]) for c in range(3) for x in side for y in side)


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), MTIME
            archive.addfile(info, io.BytesIO(content))
    return path


def unpack(folder: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (MTIME, MTIME))
    return folder


def cifar10(images: np.ndarray, labels: list[int]) -> dict[str, bytes]:
    """Six files, as many images in each, the last one for testing."""
    records = [bytes([t]) + by_rows(x) for x, t in zip(images, labels, strict=True)]
    size = len(records) // 6
    names = [f"cifar-10-batches-bin/{name}" for name in (*CIFAR10, "test_batch.bin")]
    parts = {name: records[i * size : (i + 1) * size] for i, name in enumerate(names)}
    about = {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    return about | {name: b"".join(part) for name, part in parts.items()}


def small_cifar10() -> tuple[np.ndarray, list[int], dict[str, bytes]]:
    images, labels = random_images(60, 32), [(7 * i) % 10 for i in range(60)]
    return images, labels, cifar10(images, labels)


def pixels(source: ImageSource) -> np.ndarray:
    return np.stack([np.asarray(decode(source.read(ref.path, LIMIT), 1)) for ref in source])


def truth(source: ImageSource) -> list[str]:
    labels = source.labels()
    return [labels[ref.path] for ref in source]


def sentence(name: str, data: Path) -> str:
    with pytest.raises(HeadlightError) as error:
        open_dataset(name, data)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_cifar10_comes_out_pixel_by_pixel_from_archive_and_folder(tmp_path: Path) -> None:
    images, labels, members = small_cifar10()
    packed = tar(tmp_path / "cifar-10-binary.tar.gz", members)
    around = unpack(tmp_path / "unpacked", members)
    places = [tmp_path, packed, around, around / "cifar-10-batches-bin"]
    known = set()
    for place in places:
        data = open_dataset("cifar10", place)
        assert (data.n_clusters, data.official) == (10, (50_000, 10_000))
        train, test = data.splits
        assert np.array_equal(pixels(train), images[:50])
        assert np.array_equal(pixels(test), images[50:])
        assert truth(train) == [str(t) for t in labels[:50]]
        assert truth(test) == [str(t) for t in labels[50:]]
        known.add(tuple((ref.id, ref.stamp) for ref in train))
    assert len(known) == 1, "unpacking must not make images look new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cifar-10-binary.tar.gz", "unpacked"]


def test_cifar100_has_a_superclass_byte_and_a_class_byte(tmp_path: Path) -> None:
    images = np.repeat(random_images(5, 32), 40, axis=0)
    fine = [i % 100 for i in range(200)]
    coarse = [(3 * t) % 20 for t in fine]
    records = [
        bytes([c, f]) + x.transpose(2, 0, 1).tobytes()
        for x, c, f in zip(images, coarse, fine, strict=True)
    ]
    members = {
        "cifar-100-binary/train.bin": b"".join(records[:100]),
        "cifar-100-binary/test.bin": b"".join(records[100:]),
    }
    tar(tmp_path / "cifar-100-binary.tar.gz", members)
    train, test = open_dataset("cifar100", tmp_path).splits
    assert truth(train) + truth(test) == [str(t) for t in fine]
    assert np.array_equal(pixels(test), images[100:])
    train, test = open_dataset("cifar20", tmp_path).splits
    assert truth(train) + truth(test) == [str(t) for t in coarse]
    assert np.array_equal(pixels(train), images[:100])


def stl10(images: np.ndarray, labels: list[int]) -> dict[str, bytes]:
    half = len(images) // 2
    x = [by_columns(image) for image in images]
    return {
        "stl10_binary/test_X.bin": b"".join(x[half:]),
        "stl10_binary/test_y.bin": bytes(labels[half:]),
        "stl10_binary/train_X.bin": b"".join(x[:half]),
        "stl10_binary/train_y.bin": bytes(labels[:half]),
        "stl10_binary/unlabeled_X.bin": b"whatever this holds is not read",
    }


def test_stl10_is_turned_upright(tmp_path: Path) -> None:
    images = random_images(20, 96)
    images[0] = 0
    images[0, 10, 60] = (255, 128, 1)  # row 10, column 60
    labels = [1 + i % 10 for i in range(20)]
    tar(tmp_path / "stl10_binary.tar.gz", stl10(images, labels))
    train, test = open_dataset("stl10", tmp_path).splits
    first = decode(train.read(next(iter(train)).path, LIMIT), 1)
    assert first.getpixel((60, 10)) == (255, 128, 1)
    assert np.array_equal(pixels(train), images[:10])
    assert np.array_equal(pixels(test), images[10:])
    assert truth(train) == truth(test) == [str(t) for t in range(1, 11)]


def test_stl10_with_other_numbers_of_images_and_labels_is_refused(tmp_path: Path) -> None:
    members = stl10(random_images(20, 96), [1 + i % 10 for i in range(20)])
    short = members | {"stl10_binary/train_y.bin": bytes(range(1, 10))}
    tar(tmp_path / "stl10_binary.tar.gz", short)
    assert "has 10 images, but train_y.bin 9 labels" in sentence("stl10", tmp_path)
    tar(tmp_path / "stl10_binary.tar.gz", members | {"stl10_binary/train_y.bin": bytes(10)})
    assert "image 0 has label 0, but STL-10 has labels 1 to 10" in sentence("stl10", tmp_path)
    tar(tmp_path / "stl10_binary.tar.gz", members | {"stl10_binary/test_y.bin": bytes(8001)})
    assert "more than the published 8,000" in sentence("stl10", tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_damaged_files_are_refused(tmp_path: Path, packed: bool) -> None:
    _, _, members = small_cifar10()
    third = "cifar-10-batches-bin/data_batch_3.bin"

    def put(changed: dict[str, bytes]) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        if packed:
            tar(folder / "cifar-10-binary.tar.gz", changed)
        else:
            unpack(folder, changed)
        return folder

    cut = sentence("cifar10", put(members | {third: members[third][:-1]}))
    assert "data_batch_3.bin has 30,729 bytes, not a whole number of records of 3,073" in cut
    empty = sentence("cifar10", put(members | {third: b""}))
    assert "data_batch_3.bin has 0 bytes" in empty
    wrong = bytes([10]) + members[third][1:]
    assert "data_batch_3.bin: image 0 has label 10, but CIFAR-10 has labels 0 to 9" in sentence(
        "cifar10", put(members | {third: wrong})
    )
    gone = {name: content for name, content in members.items() if name != third}
    assert "data_batch_3.bin" in sentence("cifar10", put(gone))
    same = bytes([1]) + bytes(3072)
    lacking = {name: same * 10 for name in members if name.endswith(".bin")}
    assert "images of 1 classes, but CIFAR-10 has 10" in sentence("cifar10", put(lacking))


def test_archive_cut_short_is_said(tmp_path: Path) -> None:
    _, _, members = small_cifar10()
    archive = tar(tmp_path / "cifar-10-binary.tar.gz", members)
    whole = archive.read_bytes()
    for size in (len(whole) // 2, 100, 0):
        archive.write_bytes(whole[:size])
        assert f"{archive} is damaged or cut short" in sentence("cifar10", tmp_path)
    archive.write_bytes(whole[:5000] + bytes(500) + whole[5500:])
    assert f"{archive} is damaged or cut short" in sentence("cifar10", tmp_path)


def test_members_that_climb_out_or_link_are_passed_over(tmp_path: Path) -> None:
    images, _, members = small_cifar10()
    test = "cifar-10-batches-bin/test_batch.bin"
    secret = tmp_path / "secret"
    secret.write_bytes(members[test])
    folder = tmp_path / "data"
    folder.mkdir()
    archive = folder / "cifar-10-binary.tar.gz"
    evil = bytes(len(members[test]))

    def build(last: str | None) -> None:
        with tarfile.open(archive, "w:gz") as out:
            for name in (f"../{test}", f"/{test}", f"x/../{test}", f"{test}/../test_batch.bin"):
                info = tarfile.TarInfo(name)
                info.size = len(evil)
                out.addfile(info, io.BytesIO(evil))
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                link = tarfile.TarInfo(test)
                link.type, link.linkname = kind, str(secret)
                out.addfile(link)
            for name, content in members.items():
                if name != test or last:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    out.addfile(info, io.BytesIO(content))

    build("test")
    assert np.array_equal(pixels(open_dataset("cifar10", folder).splits.test), images[50:])
    build(None)
    assert f"lacks the file {test}" in sentence("cifar10", folder)
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(
        ["data", "secret", "cifar-10-binary.tar.gz"]
    )


def test_archive_that_claims_to_be_huge_is_not_read_on(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as out:
        bomb = tarfile.TarInfo("cifar-10-batches-bin/readme.html")
        bomb.size = 2**40
        out.fileobj.write(bomb.tobuf())
    assert "holds more than 4 GiB" in sentence("cifar10", tmp_path)


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py"])
def test_pickles_are_not_opened(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"cos\nsystem\n(S'touch pickle-was-run'\ntR.")
    for place in (tmp_path, file):
        message = sentence("cifar10", place)
        assert "pickles" in message
        assert "cifar-10-binary.tar.gz" in message
    assert not Path("pickle-was-run").exists()


def test_missing_images_are_said_with_what_goes_where(tmp_path: Path) -> None:
    for name, files in {
        "cifar10": ("cifar-10-binary.tar.gz", "cifar-10-batches-bin", "data_batch_5.bin", "label"),
        "cifar20": ("cifar-100-binary.tar.gz", "train.bin", "coarse_label"),
        "cifar100": ("cifar-100-binary.tar.gz", "test.bin", "fine_label"),
        "stl10": ("stl10_binary.tar.gz", "train_X.bin", "test_y.bin", "test-*.parquet"),
        "imagenet10": ("n07747607", "train-*.parquet", "there, or in"),
        "imagenet-dogs": ("n02112137", "train-*.parquet"),
    }.items():
        for place in (tmp_path, tmp_path / "nowhere"):
            message = sentence(name, place)
            assert f"{place} has no images of {DATASETS[name].title}: put" in message
            assert all(file in message for file in files), message


def test_unknown_name_lists_the_names(tmp_path: Path) -> None:
    message = sentence("cifar", tmp_path)
    assert all(name in message for name in DATASETS)


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def parquet(file: Path, images: np.ndarray, column: str = "image", **labels: list) -> Path:
    values = [{"bytes": png(image), "path": None} for image in images]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: values} | labels), file, row_group_size=7)
    return file


def test_parquet_folder_as_on_the_hub(tmp_path: Path) -> None:
    images, labels = random_images(40, 32), [i % 10 for i in range(40)]
    for part in range(2):
        rows = slice(15 * part, 15 * part + 15)
        name = f"plain_text/train-{part:05d}-of-00002.parquet"
        parquet(tmp_path / name, images[rows], "img", label=labels[rows])
    parquet(tmp_path / "plain_text/test-00000-of-00001.parquet", images[30:], label=labels[30:])
    train, test = open_dataset("cifar10", tmp_path).splits
    assert np.array_equal(pixels(train), images[:30])
    assert np.array_equal(pixels(test), images[30:])
    assert truth(train) == [str(t) for t in labels[:30]]
    assert train.uri != test.uri
    for wrong in ("train-00009-of-00002.parquet#0", "../secret#0", "x"):
        with pytest.raises(BadImage):
            train.read(wrong, LIMIT)


def test_parquet_labels_of_cifar20_and_cifar100(tmp_path: Path) -> None:
    images = np.repeat(random_images(1, 32), 100, axis=0)
    fine, coarse = list(range(100)), [t % 20 for t in range(100)]
    for split in ("train", "test"):
        file = tmp_path / f"{split}.parquet"
        parquet(file, images, "img", fine_label=fine, coarse_label=coarse)
    assert truth(open_dataset("cifar100", tmp_path).splits.fit) == [str(t) for t in fine]
    assert truth(open_dataset("cifar20", tmp_path).splits.fit) == [str(t) for t in coarse]


def test_parquet_files_that_do_not_fit_get_a_sentence(tmp_path: Path) -> None:
    images, labels = random_images(10, 32), list(range(10))

    def put(name: str, **columns: list) -> Path:
        folder = tmp_path / name
        parquet(folder / "train.parquet", images, **columns)
        parquet(folder / "test.parquet", images, **columns)
        return folder

    good = put("good", label=labels)
    open_dataset("cifar10", good)
    assert "no column coarse_label" in sentence("cifar20", good)
    assert "must hold integers" in sentence("cifar10", put("text", label=list("abcdefghij")))
    assert "1 empty rows" in sentence("cifar10", put("null", label=[None, *labels[1:]]))
    hidden = sentence("cifar10", put("hidden", label=[-1] * 10))
    assert "image 0 has label -1, but CIFAR-10 has labels 0 to 9" in hidden
    (good / "test.parquet").rename(good / "validation.parquet")
    assert "no test.parquet" in sentence("cifar10", good)
    (good / "test.parquet").write_bytes(b"PAR1 but no")
    assert "test.parquet is not a readable Parquet file" in sentence("cifar10", good)
    parts = tmp_path / "parts"
    parquet(parts / "train-00001-of-00003.parquet", images, label=labels)
    assert "has 1 of the 3 parts train-*.parquet" in sentence("cifar10", parts)
    assert "all have train files" in sentence("cifar10", tmp_path)


@pytest.mark.parametrize("root", ["train", ".", "ILSVRC/Data/CLS-LOC/train"])
def test_imagenet_classes_are_picked_from_folders(tmp_path: Path, root: str) -> None:
    images = random_images(30, 8)
    for i, name in enumerate([*DOGS.classes, "n01440764"]):
        folder = tmp_path / root / name
        folder.mkdir(parents=True)
        Image.fromarray(images[i]).save(folder / f"{name}_1.JPEG", "PNG")
    data = open_dataset("imagenet-dogs", tmp_path)
    assert data.splits.test is None
    paths = [ref.path for ref in data.splits.fit]
    assert paths == [f"{name}/{name}_1.JPEG" for name in DOGS.classes]
    assert truth(data.splits.fit) == list(DOGS.classes)
    assert np.array_equal(pixels(data.splits.fit), images[:15])
    with pytest.raises(BadImage):
        data.splits.fit.read("n01440764/n01440764_1.JPEG", LIMIT)
    lacking = sentence("imagenet10", tmp_path)
    assert "lacks folders for classes of ImageNet-10: n02056570, n02128757" in lacking


def test_imagenet_classes_are_picked_from_parquet_files_of_all_of_it(tmp_path: Path) -> None:
    images = random_images(24, 8)
    labels = [0, 999, *TEN.classes.values(), 1, 152, *TEN.classes.values()]
    parquet(tmp_path / "data/train-00000-of-00001.parquet", images, label=labels)
    source = open_dataset("imagenet10", tmp_path).splits.fit
    kept = [*range(2, 12), *range(14, 24)]
    assert truth(source) == [str(labels[i]) for i in kept]
    assert np.array_equal(pixels(source), images[kept])
    alone = tmp_path / "alone"
    parquet(alone / "train.parquet", images[:10], label=list(range(10)))
    assert np.array_equal(pixels(open_dataset("imagenet10", alone).splits.fit), images[:10])


def test_places_of_classes_follow_their_ids() -> None:
    for subset, size in ((TEN, 10), (DOGS, 15)):
        assert len(subset.classes) == size
        assert list(subset.classes) == sorted(subset.classes)
        assert list(subset.classes.values()) == sorted(subset.classes.values())
    assert TEN.classes["n02085936"] == DOGS.classes["n02085936"]


@pytest.mark.skipif(not SHARED.exists(), reason="CIFAR-10 itself (its files in ../shared/data)")
def test_all_of_cifar10_is_found() -> None:
    train, test = open_dataset("cifar10", SHARED).splits
    assert (train.count, test.count) == (50_000, 10_000)
    for source, images in ((train, 5000), (test, 1000)):
        classes, counts = np.unique(truth(source), return_counts=True)
        assert classes.tolist() == list("0123456789")
        assert counts.tolist() == [images] * 10
    assert decode(test.read("test.parquet#9999", LIMIT), 32).size == (32, 32)
