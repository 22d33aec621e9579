"""How long it takes to find out that a store has all images of a source already.

    python -m benchmarks.listing [--images 1000000] [--kinds folder parquet tar list]

The images are files of one byte in folders of a thousand each, or as many rows and members; the
store has 8-dimensional features of all of them, so that nothing is left to encode. One process per
kind lists the source once, and then updates the store from it, as `headlight embed` does.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import machine
from headlight.features import FeatureStore, StoreSettings
from headlight.features.update import StoreUpdate
from headlight.images import content_hash, open_source

DIM = 8
A_FOLDER = 1000
A_SHARD = 10_000
A_COMMIT = 100_000


def names(images: int) -> Iterator[str]:
    """Paths of all images."""
    return (f"{i // A_FOLDER:06d}/{i:09d}.jpg" for i in range(images))


def write_folder(place: Path, images: int) -> Path:
    """A file each."""
    for i, name in enumerate(names(images)):
        if i % A_FOLDER == 0:
            (place / name).parent.mkdir(parents=True)
        (place / name).write_bytes(b"x")
    return place


def write_list(place: Path, images: int) -> Path:
    """Files, and the list of their paths."""
    write_folder(place, images)
    (place / "list.txt").write_text("\n".join(names(images)))
    return place / "list.txt"


def write_tar(place: Path, images: int) -> Path:
    """Shards of ten thousand members."""
    place.mkdir(parents=True)
    stream = names(images)
    for shard in range(-(-images // A_SHARD)):
        with tarfile.open(place / f"{shard:06d}.tar", "w") as tar:
            for name in islice(stream, A_SHARD):
                info = tarfile.TarInfo(name)
                info.size = 1
                tar.addfile(info, io.BytesIO(b"x"))
    return place


def write_parquet(place: Path, images: int) -> Path:
    """Files of ten thousand rows."""
    place.mkdir(parents=True)
    for shard in range(-(-images // A_SHARD)):
        rows = min(A_SHARD, images - shard * A_SHARD)
        pq.write_table(pa.table({"image": [b"x"] * rows}), place / f"{shard:06d}.parquet")
    return place


KINDS: dict[str, Callable[[Path, int], Path]] = {
    "folder": write_folder,
    "list": write_list,
    "parquet": write_parquet,
    "tar": write_tar,
}


def fill(store: FeatureStore, spec: Path) -> None:
    """A row for every image."""
    features = np.zeros((1, DIM), np.float16)
    refs = iter(open_source(spec))
    while chunk := list(islice(refs, A_COMMIT)):
        store.append(
            [ref.id for ref in chunk],
            [ref.path for ref in chunk],
            [ref.stamp for ref in chunk],
            [content_hash(ref.path.encode()) for ref in chunk],
            [features] * len(chunk),
        )


def measure(kind: str, spec: Path, store: Path, images: int, found: dict[str, object]) -> None:
    """Seconds of both steps, of the processor for both, and the most memory the process had."""
    started, busy = time.perf_counter(), time.process_time()
    source = open_source(spec)
    assert source.count == images
    listed = time.perf_counter()
    with StoreUpdate(source, FeatureStore.open(store), "none") as update:
        assert not list(update.todo())
    assert update.report.kept == images
    resumed, busy = time.perf_counter(), time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found[kind] = {
        "listing_s": round(listed - started, 1),
        "resuming_s": round(resumed - listed, 1),
        "processor_s": round(busy, 1),
        "peak_mib": round(peak / 1024),
    }


def main() -> None:
    """Write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=sorted(KINDS))
    given = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager:
        found = manager.dict()
        for kind in given.kinds:
            with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
                spec = KINDS[kind](Path(folder) / "images", given.images)
                settings = StoreSettings("", "none", "", DIM, 0, "none")
                store = FeatureStore.create(Path(folder) / "features.lance", settings)
                fill(store, spec)
                arguments = (kind, spec, store.path, given.images, found)
                process = spawn.Process(target=measure, args=arguments)
                process.start()
                process.join()
                if process.exitcode:
                    raise SystemExit(process.exitcode)
        print(json.dumps({"images": given.images, **found, "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
