"""The features compared on: made once with the bundled encoder, then read from a cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "benchmarks" / ".cache"
SHARED = ROOT.parent / "shared" / "data"
KNOWN = {
    "digits": ("digits", None),
    "cifar10": (SHARED / "cifar10/train.parquet", SHARED / "cifar10/test.parquet"),
    "caltech101": (SHARED / "caltech101", None),
}
VIEWS = 2
TAIL = 100


@dataclass(frozen=True)
class Split:
    """Files of one set of images.

    Arguments:
        x: .npy, features (n, views, dim) or (n, dim).
        y: .npy, integer classes (n,).
    """

    x: Path
    y: Path


@dataclass(frozen=True)
class Dataset:
    """A data set: images to fit on and, where there are any, images kept aside."""

    name: str
    fit: Split
    test: Split | None = None


def prepare(spec: str, cache: Path = CACHE) -> Dataset:
    """The features of a data set, made now if they are not in the cache.

    Arguments:
        spec: ``digits``, ``cifar10``, ``caltech101``, or a path: ``NAME.npz`` with arrays ``x`` and
            ``y``; ``NAME_x.npy`` with ``NAME_y.npy`` beside it; a folder of images with a folder
            for each class; a Parquet file of images with a column ``label``.
        cache: where features are kept. Nothing notices that images have changed since: delete
            the files to make them anew.

    Raises:
        HeadlightError: there is no such data, or it has no classes.
        FileNotFoundError: no ``NAME_y.npy``.
    """
    if spec in KNOWN:
        fit, test = KNOWN[spec]
        if test is None:
            return Dataset(spec, _embedded(str(fit), spec, cache))
        return Dataset(
            spec,
            _embedded(str(fit), f"{spec}_train", cache),
            _embedded(str(test), f"{spec}_test", cache),
        )
    path = Path(spec).resolve()
    if path.name.endswith("_x.npy"):
        name = path.name.removesuffix("_x.npy")
        y = path.with_name(f"{name}_y.npy")
        if not y.exists():
            raise FileNotFoundError(f"{y}: the classes of {path.name} should be there")
        return Dataset(name, Split(path, y))
    key = f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    split = _unpacked(path, key, cache) if path.suffix == ".npz" else _embedded(spec, key, cache)
    return Dataset(path.stem, split)


def load(split: Split, views: str, balance: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes in memory, and no more of them than asked for.

    Arguments:
        views: ``one`` (the plain image) or ``several`` (all there are).
        balance: ``natural`` or ``long-tailed``.

    Returns:
        (n, views, dim) in their own dtype, and classes (n,) numbered from 0.
    """
    features = np.load(split.x, mmap_mode="r")
    classes = np.load(split.y)
    if features.ndim == 2:
        features = features[:, None]
    if views == "one":
        features = features[:, :1]
    if balance == "long-tailed":
        rows = long_tail(classes)
        features, classes = features[rows], classes[rows]
    return np.array(features), np.unique(classes, return_inverse=True)[1]


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


def _embedded(spec: str, key: str, cache: Path) -> Split:
    split = Split(cache / f"{key}_x.npy", cache / f"{key}_y.npy")
    if not (split.x.exists() and split.y.exists()):
        from headlight import embed
        from headlight.evaluation import read_labels
        from headlight.images import open_source

        source = open_source(spec)
        features, paths = embed(source, views=VIEWS, view_images=source.count, return_paths=True)
        whole = np.concatenate([features.plain[:, None], features.views], axis=1)
        known = source.labels() or read_labels("folder", paths)
        labelled = np.array([path in known for path in paths])
        _save(split, whole[labelled], [known[path] for path in paths if path in known])
    return split


def _unpacked(path: Path, key: str, cache: Path) -> Split:
    split = Split(cache / f"{key}_x.npy", cache / f"{key}_y.npy")
    if not split.y.exists() or split.y.stat().st_mtime < path.stat().st_mtime:
        with np.load(path) as arrays:
            _save(split, arrays["x"], arrays["y"])
    return split


def _save(split: Split, features: np.ndarray, classes: object) -> None:
    split.x.parent.mkdir(parents=True, exist_ok=True)
    np.save(split.x, features)
    np.save(split.y, np.unique(np.asarray(classes), return_inverse=True)[1])
