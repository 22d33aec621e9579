"""The features compared on: made once with the bundled encoder, then read from a cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.preprocessing import normalize

from headlight.errors import HeadlightError

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "benchmarks" / ".cache"
SHARED = ROOT.parent / "shared" / "data"
# Each set's images to fit on, and those kept aside if there are any.
KNOWN: dict[str, tuple[str | Path, Path | None]] = {
    "digits": ("digits", None),
    # The test images: a fit takes seconds, and the training images remain for `cifar10-50k`.
    "cifar10": (SHARED / "cifar10/test.parquet", None),
    "caltech101": (SHARED / "caltech101", None),
    "stl10": (SHARED / "stl10", None),
    "trashnet": (SHARED / "trashnet", None),
    "rsscn7": (SHARED / "rsscn7", None),
    "traffic_signs": (SHARED / "traffic_signs", None),
    "cifar10-50k": (SHARED / "cifar10/train.parquet", SHARED / "cifar10/test.parquet"),
}
# Not in the default run, nor in the summary: `cifar10` already stands for these classes.
EXTRA = ("cifar10-50k",)
SETS = tuple(name for name in KNOWN if name not in EXTRA)

BALANCES = ("natural", "long-tailed")
VIEWS = ("none", "gentle", "strong")
TAIL = 100


@dataclass(frozen=True)
class Features:
    """Features of images, and of augmented views of some of them.

    Arguments:
        plain: (n, dim), of the images as they are.
        views: (m, views, dim), of augmented views of the rows that have them.
        viewed: int64 (m,), the numbers of these rows, sorted.
    """

    plain: np.ndarray
    views: np.ndarray
    viewed: np.ndarray

    def __len__(self) -> int:
        return len(self.plain)

    def unit(self) -> np.ndarray:
        """The plain features scaled to length 1: float32 (n, dim)."""
        return unit(self.plain)

    def take(self, rows: np.ndarray) -> Features:
        """Some rows, given by their numbers, sorted; of the views those that belong to them."""
        kept = np.isin(self.viewed, rows)
        viewed = np.searchsorted(rows, self.viewed[kept])
        return Features(self.plain[rows], self.views[kept], viewed)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1: float32 (n, dim)."""
    return normalize(rows.astype(np.float32), copy=False)


@dataclass(frozen=True)
class Dataset:
    """A data set's files: images to fit on and, where there are any, images kept aside."""

    name: str
    fit: Path
    test: Path | None = None


def prepare(spec: str, cache: Path = CACHE) -> Dataset:
    """The features of a data set, made now if they are not in the cache.

    Arguments:
        spec: a name (`KNOWN`), or a path: a folder of images with a folder for each class; a
            Parquet file of images with a column ``label``; or ``NAME.npz``, features ready made:
            ``x`` (n, dim), classes ``y`` (n,), and, where there are views, ``views``
            (m, views, dim) of the rows ``viewed`` (m,). The cache holds such files, too.
        cache: where features are kept. Nothing notices that images have changed since: delete
            the files to make them anew.

    Raises:
        HeadlightError: there is no such data, or it has no classes.
    """
    if spec in KNOWN:
        fit, test = KNOWN[spec]
        if test is None:
            return Dataset(spec, _embedded(fit, spec, cache))
        parts = [
            _embedded(part, f"{spec}.{end}", cache) for part, end in ((fit, "fit"), (test, "test"))
        ]
        return Dataset(spec, *parts)
    path = Path(spec).resolve()
    if path.suffix == ".npz":
        if not path.exists():
            raise HeadlightError(f"{path} does not exist")
        return Dataset(path.stem, path)
    key = f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    return Dataset(path.stem, _embedded(path, key, cache))


def load(path: Path, views: str, balance: str) -> tuple[Features, np.ndarray]:
    """Features and classes in memory, and no more of them than asked for.

    Arguments:
        path: of an ``.npz`` (`prepare`).
        views: ``none``; ``strong``, headlight's own augmentation; or ``gentle``: another one, that
            someone has put beside the file as ``NAME.gentle.npy``, (m, views, dim) of the same
            rows ``viewed``.
        balance: ``natural`` or ``long-tailed``.

    Returns:
        Features in their own dtype, and classes (n,) numbered from 0.

    Raises:
        HeadlightError: there are no such views.
    """
    with np.load(path) as file:
        plain, classes = file["x"], file["y"]
        if views != "none" and "views" not in file:
            raise HeadlightError(f"{path.name} has no views")
        viewed = file["viewed"] if views != "none" else np.empty(0, dtype=np.int64)
        augmented = file["views"] if views == "gentle" else np.empty((0, 1, plain.shape[1]))
    if views == "strong":
        beside = path.with_suffix(".strong.npy")
        if not beside.exists():
            raise HeadlightError(f"{path.name} has no strong views ({beside.name})")
        augmented = np.load(beside)
    features = Features(plain, augmented.astype(plain.dtype, copy=False), viewed)
    if balance == "long-tailed":
        rows = long_tail(classes)
        features, classes = features.take(rows), classes[rows]
    return features, np.unique(classes, return_inverse=True)[1]


def has_views(path: Path) -> bool:
    """Whether there are augmented views in a file of features."""
    with np.load(path) as file:
        return "views" in file


def long_tail(classes: np.ndarray, ratio: float = TAIL, seed: int = 0) -> np.ndarray:
    """Rows of a subsample whose class sizes fall geometrically, `ratio` to 1.

    The c-th of C classes, in an order shuffled by `seed`, keeps n_max · ratio^(-c/(C-1)) images,
    n_max being the size of the largest; all it has where that is fewer, and never less than 2.

    Returns:
        int64, sorted.
    """
    rng = np.random.default_rng(seed)
    names, sizes = np.unique(classes, return_counts=True)
    order = rng.permutation(len(names))
    wanted = sizes.max() * ratio ** (-np.arange(len(names)) / max(1, len(names) - 1))
    kept = [
        rng.permutation(np.flatnonzero(classes == names[c]))[: max(2, round(size))]
        for c, size in zip(order, wanted, strict=True)
    ]
    return np.sort(np.concatenate(kept))


def _embedded(source: str | Path, key: str, cache: Path) -> Path:
    file = cache / f"{key}.npz"
    if file.exists():
        return file
    if isinstance(source, Path) and not source.exists():
        raise HeadlightError(f"{source} does not exist")
    from headlight import embed
    from headlight.evaluation import read_labels
    from headlight.images import open_source
    from headlight.runs.files import atomic

    opened = open_source(str(source))
    embedded, paths = embed(opened, return_paths=True)
    known = opened.labels() or read_labels("folder", paths)
    rows = np.array([at for at, path in enumerate(paths) if path in known])
    features = embedded.take(rows)
    classes = np.unique([known[paths[at]] for at in rows], return_inverse=True)[1]
    cache.mkdir(parents=True, exist_ok=True)
    with atomic(file) as temporary, temporary.open("wb") as out:
        np.savez(out, x=features.plain, y=classes, views=features.views, viewed=features.viewed)
    return file
