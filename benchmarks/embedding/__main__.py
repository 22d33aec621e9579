"""What embedding costs, side by side with other ways to do it.

    python -m benchmarks.embedding [files] [transformer] [views] [memory] [precision]
    python -m benchmarks.embedding --device cuda

Without names all five parts run; with ``--device cuda`` only the one for GPUs. Each replaces its
section in ``benchmarks/results/embedding.md``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.embedding import files, gpu, memory, precision, transformer, views
from benchmarks.embedding.results import update
from benchmarks.embedding.turns import load
from benchmarks.machine import machine

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
PARTS = ("files", "transformer", "views", "memory", "precision")


def main(argv: list[str] | None = None) -> None:
    """Measures the parts asked for, prints them and keeps them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--folder", type=Path, default=DATA / "caltech101", help="image files")
    parser.add_argument("--parquet", type=Path, default=DATA / "cifar10" / "train.parquet")
    parser.add_argument(
        "--images", type=int, help="1,600; ten times as many on a GPU, all for precision"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=memory.SIZES, help="for memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu, cuda (all GPUs) or cuda:N")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/embedding.md")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if wrong := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(wrong))}; there are {', '.join(PARTS)}")
    if options.child:
        memory.child(options.parquet, options.child)
        return
    asked = options.parts or PARTS if options.device == "cpu" else ["gpu"]
    n, rounds = options.images or 1600, options.rounds
    measures = {
        "files": (files.TITLE, lambda: files.measure(options.folder, n, rounds)),
        "transformer": (
            transformer.TITLE,
            lambda: transformer.measure(options.folder, max(1, n // 8), rounds),
        ),
        "views": (views.TITLE, lambda: views.measure(options.folder, max(1, n // 2), rounds)),
        "memory": (memory.TITLE, lambda: memory.measure(options.parquet, tuple(options.sizes))),
        "precision": (precision.TITLE, lambda: precision.measure(DATA, options.images, rounds)),
        "gpu": (gpu.TITLE, lambda: gpu.measure(options.device, 10 * n, rounds)),
    }
    for part in asked:
        title, measure = measures[part]
        before = load()
        text = f"{measure()}\n\n{machine()}; {before}."
        update(options.out, title, text)
        print(f"## {title}\n\n{text}\n", flush=True)


if __name__ == "__main__":
    # Converted models of checkpoints that live for minutes are not for the user's cache.
    with tempfile.TemporaryDirectory() as cache:
        if "XDG_CACHE_HOME" not in os.environ:
            os.environ["XDG_CACHE_HOME"] = cache
        main()
