"""ImageNet-10 and ImageNet-Dogs (DAC, Chang et al. 2017): images of a few classes of ImageNet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headlight.benchmark.datasets.base import Splits, require_labels
from headlight.benchmark.datasets.parquet import ParquetSplit, read_labels, split_files
from headlight.errors import HeadlightError
from headlight.images import BadImage, ImageRef, ImageSource, image_id
from headlight.images.folder import FolderSource

FOLDERS = ("train", ".", "ILSVRC/Data/CLS-LOC/train")
ALL_CLASSES = 1000


@dataclass(frozen=True)
class Subset:
    """Some classes of ImageNet.

    Arguments:
        title: as papers write it.
        classes: WordNet id → its place among ImageNet's 1,000, sorted by id.
    """

    title: str
    classes: dict[str, int]


TEN = Subset(
    "ImageNet-10",
    {
        "n02056570": 145,
        "n02085936": 153,
        "n02128757": 289,
        "n02690373": 404,
        "n02692877": 405,
        "n03095699": 510,
        "n04254680": 805,
        "n04285008": 817,
        "n04467665": 867,
        "n07747607": 950,
    },
)
DOGS = Subset(
    "ImageNet-Dogs",
    {
        "n02085936": 153,
        "n02086646": 156,
        "n02088238": 161,
        "n02091467": 174,
        "n02097130": 197,
        "n02099601": 207,
        "n02101388": 215,
        "n02101556": 216,
        "n02102177": 218,
        "n02105056": 224,
        "n02105412": 227,
        "n02105855": 230,
        "n02107142": 236,
        "n02110958": 254,
        "n02112137": 260,
    },
)


class ClassFolders(ImageSource):
    """The images in some of a folder's subfolders, each a class.

    Arguments:
        root: holds a subfolder for each class.
        subset: which classes.
    """

    def __init__(self, root: Path, subset: Subset) -> None:
        self.uri = f"{root.resolve()}#{subset.title}"
        self._folders = {name: FolderSource(root / name) for name in subset.classes}

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        for name, folder in self._folders.items():
            for ref in folder:
                path = f"{name}/{ref.path}"
                yield ref._replace(path=path, id=image_id(path))

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        name, _, rest = path.partition("/")
        if name not in self._folders:
            raise BadImage("not an image of this source")
        return self._folders[name].read(rest, limit)

    def labels(self) -> dict[str, str]:
        """The subfolder each image lies in."""
        return {ref.path: ref.path.partition("/")[0] for ref in self}


def open_imagenet(data: Path, subset: Subset) -> Splits:
    """The train images of the classes, both to fit and to evaluate on.

    This is standard in the literature on clustering: ImageNet's validation images are not used.

    Arguments:
        data: ``data/train``, ``data`` or ``data/ILSVRC/Data/CLS-LOC/train`` has a folder of
            images for each class, named by its WordNet id; or ``data`` has Parquet files of
            train images, of the subset (labels from 0) or of all of ImageNet.
        subset: which classes.

    Raises:
        HeadlightError: the images are not there, or not all classes are.
    """
    for root in (data / folder for folder in FOLDERS):
        missing = [name for name in subset.classes if not (root / name).is_dir()]
        if not missing:
            return Splits(ClassFolders(root, subset), None)
        if len(missing) < len(subset.classes):
            raise HeadlightError(
                f"{root} lacks folders for classes of {subset.title}: {', '.join(missing)}"
            )
    if files := split_files(data, "train"):
        return Splits(_parquet(files, subset), None)
    raise HeadlightError(
        f"{data} has no images of {subset.title}: put a folder of train images for each of its "
        f"classes there, or in {data / 'train'}, named {', '.join(subset.classes)}; or Parquet "
        "files train-*.parquet with an image column and label"
    )


def _parquet(files: list[Path], subset: Subset) -> ParquetSplit:
    """Rows of the classes, whether the files hold them alone, numbered from 0, or all of ImageNet.

    All of ImageNet is known by a label beyond those of the subset.
    """
    labels = {file.name: read_labels(file, ("label",)) for file in files}
    n_classes = len(subset.classes)
    everything = max(int(values.max(initial=0)) for values in labels.values()) >= n_classes
    if everything:
        places = np.array(list(subset.classes.values()))
        for file in files:
            require_labels(labels[file.name], 0, ALL_CLASSES, "ImageNet", str(file))
    else:
        places = np.arange(n_classes)
        for file in files:
            require_labels(labels[file.name], 0, n_classes, subset.title, str(file))
    picked = {}
    for name, values in labels.items():
        rows = np.flatnonzero(np.isin(values, places))
        picked[name] = (rows, values[rows])
    uri = f"{files[0].resolve()}#{subset.title}"
    return ParquetSplit(uri, files, picked)
