"""STL-10 (Coates, Lee & Ng 2011), in its binary version or as Parquet files."""

from __future__ import annotations

from pathlib import Path

from headlight.benchmark.datasets.base import Splits, require_labels
from headlight.benchmark.datasets.members import Member, RecordLayout, read_members
from headlight.benchmark.datasets.parquet import parquet_splits
from headlight.benchmark.datasets.pixels import Block, PixelSource
from headlight.counts import counted
from headlight.errors import HeadlightError

TITLE = "STL-10"
N_CLASSES = 10
SIDE = 96
ARCHIVE = "stl10_binary.tar.gz"
FOLDER = "stl10_binary"
IMAGES = {"train": 5_000, "test": 8_000}


def open_stl10(data: Path) -> Splits:
    """The 5,000 train images to fit on, the 8,000 test images to evaluate on.

    The 100,000 unlabelled images (``unlabeled_X.bin``) are not used, nor need they be there.

    Arguments:
        data: folder with the archive, with what it holds, or with Parquet files; or the archive.

    Raises:
        HeadlightError: the images are not there, in another format, or damaged.
    """
    files = {}
    for split, images in IMAGES.items():
        files[f"{split}_X.bin"] = RecordLayout(3 * SIDE * SIDE, images)
        files[f"{split}_y.bin"] = RecordLayout(1, images)
    members = read_members(data, ARCHIVE, FOLDER, files)
    if members is not None:
        train, test = (
            PixelSource(
                f"{data.resolve()}#{FOLDER}/{split}",
                [_block(members[f"{split}_X.bin"], members[f"{split}_y.bin"])],
            )
            for split in ("train", "test")
        )
        return Splits(train, test)
    if splits := parquet_splits(data, ("label",), N_CLASSES, TITLE):
        return splits
    raise HeadlightError(
        f"{data} has no images of {TITLE}: put {ARCHIVE} there, or its folder {FOLDER} with "
        f"{', '.join(files)}, or Parquet files train.parquet and test.parquet "
        "(or train-*.parquet and test-*.parquet) with an image column and label"
    )


def _block(images: Member, labels: Member) -> Block:
    if len(images.records) != len(labels.records):
        raise HeadlightError(
            f"{images.where} has {counted(len(images.records), 'image')}, but {labels.name} "
            f"{counted(len(labels.records), 'label')}: one of the two is cut short"
        )
    values = labels.records[:, 0]
    require_labels(values, 1, N_CLASSES, TITLE, labels.where)
    # Planes are stored column by column.
    planes = images.records.reshape(-1, 3, SIDE, SIDE)
    return Block(images.name, planes.transpose(0, 3, 2, 1), values, images.mtime_ns)
