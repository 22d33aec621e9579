"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), in their binary versions or as Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headlight.benchmark.datasets.base import Splits, require_labels
from headlight.benchmark.datasets.members import Member, RecordLayout, read_members
from headlight.benchmark.datasets.parquet import parquet_splits
from headlight.benchmark.datasets.pixels import Block, PixelSource
from headlight.errors import HeadlightError

SIDE = 32
PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class BinaryVersion:
    """The binary version of one of the two: records of label bytes, then pixels plane by plane.

    Arguments:
        archive: its published name.
        folder: in it.
        train: files to fit on, and how many images each has.
        test: file to evaluate on, and how many images it has.
        label_bytes: before the pixels of each image.
        pickles: names of the version for Python, as archive and as folder.
    """

    archive: str
    folder: str
    train: dict[str, int]
    test: dict[str, int]
    label_bytes: int
    pickles: tuple[str, str]


@dataclass(frozen=True)
class LabelColumn:
    """Which of the labels to use.

    Arguments:
        title: of the data set they make.
        column: which of the label bytes.
        n_classes: labels go from 0 to one less.
        names: of the column in Parquet files; the first that is there.
    """

    title: str
    column: int
    n_classes: int
    names: tuple[str, ...]


TEN = BinaryVersion(
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-bin",
    {f"data_batch_{i}.bin": 10_000 for i in range(1, 6)},
    {"test_batch.bin": 10_000},
    1,
    ("cifar-10-python.tar.gz", "cifar-10-batches-py"),
)
HUNDRED = BinaryVersion(
    "cifar-100-binary.tar.gz",
    "cifar-100-binary",
    {"train.bin": 50_000},
    {"test.bin": 10_000},
    2,  # the superclass, then the class
    ("cifar-100-python.tar.gz", "cifar-100-python"),
)
CIFAR10 = LabelColumn("CIFAR-10", 0, 10, ("label",))
CIFAR20 = LabelColumn("CIFAR-20", 0, 20, ("coarse_label",))
CIFAR100 = LabelColumn("CIFAR-100", 1, 100, ("fine_label", "label"))


def open_cifar(data: Path, version: BinaryVersion, labels: LabelColumn) -> Splits:
    """Train images to fit on, test images to evaluate on: the standard splits.

    Arguments:
        data: folder with the archive, with what it holds, or with Parquet files; or the archive.
        version: CIFAR-10 or CIFAR-100.
        labels: which of its labels.

    Raises:
        HeadlightError: the images are not there, in another format, or damaged.
    """
    sizes = (version.train | version.test).items()
    record = version.label_bytes + PIXELS
    files = {name: RecordLayout(record, images) for name, images in sizes}
    members = read_members(data, version.archive, version.folder, files)
    if members is not None:
        uri = f"{data.resolve()}#{version.folder}"
        fit = [_block(members[name], version, labels) for name in version.train]
        test = [_block(members[name], version, labels) for name in version.test]
        return Splits(PixelSource(f"{uri}/train", fit), PixelSource(f"{uri}/test", test))
    if splits := parquet_splits(data, labels.names, labels.n_classes, labels.title):
        return splits
    for pickled in (data if data.name in version.pickles else data / p for p in version.pickles):
        if pickled.exists():
            raise HeadlightError(
                f"{pickled} is the Python version, whose pickles could run any code and are never "
                f"opened: use the binary version, {version.archive}"
            )
    names = ", ".join((*version.train, *version.test))
    raise HeadlightError(
        f"{data} has no images of {labels.title}: put {version.archive} there, or its folder "
        f"{version.folder} with {names}, or Parquet files train.parquet and test.parquet "
        f"(or train-*.parquet and test-*.parquet) with an image column and {labels.names[0]}"
    )


def _block(member: Member, version: BinaryVersion, labels: LabelColumn) -> Block:
    values = member.records[:, labels.column]
    require_labels(values, 0, labels.n_classes, labels.title, member.where)
    planes = member.records[:, version.label_bytes :].reshape(-1, 3, SIDE, SIDE)
    return Block(member.name, planes.transpose(0, 2, 3, 1), values, member.mtime_ns)
