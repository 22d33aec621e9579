"""Peak resident memory of embedding, from a thousand images to fifty thousand.

Real images, CIFAR-10's, by the bundled encoder at 32 pixels, which makes it quick and leaves the
way of the data as it is. Each size is embedded by a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.embedding.sample import Sample, embed
from headlight.encoders import Encoders, load_encoder
from headlight.engines import make_engine
from headlight.images import open_source

TITLE = "Memory"
SIZES = (1_000, 5_000, 20_000, 50_000)
MIB = 2**20
ENCODER = "lite0@32"
VIEWS = 2


def resident(field: str) -> float:
    """A field of this process's status, MiB: VmRSS is memory now, VmHWM the most so far."""
    with Path("/proc/self/status").open() as lines:
        return next(int(line.split()[1]) * 1024 / MIB for line in lines if line.startswith(field))


def child(file: Path, images: int) -> None:
    """Embeds the first images of a Parquet file, and prints what it took as JSON."""
    encoder = load_encoder(ENCODER)
    engine = make_engine(encoder, "cpu")
    source = Sample(open_source(file), images, spread=False)
    list(engine.encode([]))
    before, begin = resident("VmRSS"), time.perf_counter()
    embed(source, Encoders((encoder,)), [engine], VIEWS)
    row = {
        "images": len(source.refs),
        "before": before,
        "peak": resident("VmHWM"),
        "seconds": time.perf_counter() - begin,
    }
    print(json.dumps(row))


def measure(file: Path, sizes: tuple[int, ...] = SIZES) -> str:
    """Markdown.

    Arguments:
        file: Parquet with an image column.
        sizes: numbers of images.
    """
    make_engine(load_encoder(ENCODER), "cpu")  # converts it, so that no process has to
    rows = []
    for images in sizes:
        command = [sys.executable, "-m", "benchmarks.embedding", "memory", "--parquet", str(file)]
        out = subprocess.run(
            [*command, "--child", str(images)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        rows.append(json.loads(out.splitlines()[-1]))
    lines = [
        "| images | resident before, MiB | peak, MiB | peak against the smallest | s |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        times = row["peak"] / rows[0]["peak"]
        lines.append(
            f"| {row['images']:,} | {row['before']:.0f} | {row['peak']:.0f} | {times:.2f} × "
            f"| {row['seconds']:.0f} |"
        )
    about = f"{file.parent.name}/{file.name}, {ENCODER}, plain and {VIEWS} augmented views"
    return f"{about}; each size in a process of its own.\n\n" + "\n".join(lines)
