"""Parquet files, files of features and feature stores with some bytes changed.

    python -m benchmarks.faults.sources --count 300 --seed 0

Each must end as ``read`` (all rows, or some as bad images) or ``refused`` (a HeadlightError of one
line); a store never returns other features than those written. Anything else is listed and the
command exits with 1.
"""

from __future__ import annotations

import argparse
import collections
import io
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from headlight.errors import HeadlightError
from headlight.features import FeatureFile, FeatureStore, StoreSettings
from headlight.images import BadImage, content_hash, open_source

ROWS, DIM = 30, 16
PATHS = [f"é{row:02d}.png" for row in range(ROWS)]
FEATURES = np.random.default_rng(0).normal(size=(ROWS, 2, DIM)).astype(np.float16)


def images_parquet(path: Path) -> Path:
    """Images in Hugging Face's column, in three row groups."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "PNG")
    images = [{"bytes": stream.getvalue(), "path": name} for name in PATHS]
    table = pa.table({"image": images, "label": list(range(ROWS))})
    pq.write_table(table, path / "images.parquet", row_group_size=10)
    return path / "images.parquet"


def features_npy(path: Path) -> Path:
    """Features as an array."""
    np.save(path / "features.npy", FEATURES)
    return path / "features.npy"


def features_parquet(path: Path) -> Path:
    """Features as a table."""
    views = {f"view_{v}": list(FEATURES[:, v]) for v in range(2)}
    pq.write_table(pa.table({"path": PATHS, **views}), path / "features.parquet")
    return path / "features.parquet"


def store(path: Path) -> Path:
    """A feature store with two commits and a deletion."""
    settings = StoreSettings("/photos", "lite0", "0" * 64, DIM, 1, "openvino")
    made = FeatureStore.create(path / "features.lance", settings)
    for rows in (slice(0, 20), slice(20, ROWS)):
        ids = list(range(ROWS))[rows]
        contents = [content_hash(b"%d" % i) for i in ids]
        made.append(ids, PATHS[rows], [7] * len(ids), contents, list(FEATURES[rows]))
    made.delete(made.rows("place")["place"].to_numpy()[[3]])
    return made.path


def read_images(path: Path) -> None:
    """Every row's bytes, and the labels."""
    source = open_source(path)
    for ref in source:
        try:
            source.read(ref.path, 2**20)
        except BadImage as bad:
            if "\n" in str(bad):
                raise AssertionError(f"several lines: {bad}") from bad
    source.labels()


def read_features(path: Path) -> None:
    """All rows."""
    file = FeatureFile(path)
    for _ in file.rows(PATHS):
        pass


def read_store(path: Path) -> None:
    """All that a resume and a fit read, compared with what was written."""
    opened = FeatureStore.open(path)
    opened.rows("id", "stamp", "content")
    paths, features = opened.load()
    whole = np.concatenate([features.plain[:, None], features.views], axis=1)
    expected = dict(zip(PATHS, FEATURES, strict=True))
    for name, row in zip(paths.to_pylist(), whole, strict=True):
        if not np.array_equal(expected[name], row):
            raise AssertionError(f"other features than those written, of {name}")


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], None]]] = {
    "images in Parquet": (images_parquet, read_images),
    "features in NumPy": (features_npy, read_features),
    "features in Parquet": (features_parquet, read_features),
    "feature store": (store, read_store),
}


def mutate(path: Path, rng: np.random.Generator) -> str:
    """Changes some bytes of a file, or of one of a folder, or cuts it; returns what was done."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    file = files[rng.integers(len(files))]
    data = bytearray(file.read_bytes())
    how = rng.choice(["flip", "flips", "cut", "empty"], p=[0.6, 0.2, 0.15, 0.05])
    if how == "empty":
        data.clear()
    elif how == "cut":
        del data[rng.integers(len(data)) :]
    else:
        for _ in range(1 if how == "flip" else rng.integers(2, 12)):
            # Half of them near the end, where Parquet and Lance describe themselves.
            low = max(0, len(data) - 600) if rng.random() < 0.5 else 0
            data[rng.integers(low, len(data))] ^= 1 << rng.integers(8)
    file.write_bytes(data)
    return f"{how} {file.name}"


def outcome(kind: str, seed: int) -> str:
    """``read``, ``refused``, or what went wrong with the file of one seed."""
    make, read = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="headlight-faults-") as folder:
        path = make(Path(folder))
        how = mutate(path, np.random.default_rng(seed))
        try:
            read(path)
        except HeadlightError as refusal:
            one_line = "\n" not in str(refusal) and ".rs:" not in str(refusal)
            return "refused" if one_line else f"{how}: {refusal!r}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            return f"{how}: {type(error).__name__} at {where.filename}:{where.lineno}: {error}"
    return "read"


def main() -> None:
    """Runs ``--count`` mutations of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = False
    for kind in KINDS:
        counts: collections.Counter[str] = collections.Counter()
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            found = outcome(kind, seed)
            counts[found if found in ("read", "refused") else "wrong"] += 1
            if found not in ("read", "refused"):
                failed = True
                print(f"{kind}, seed {seed}: {found}")
        print(f"{kind}: {dict(counts)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
