"""Embedding a folder end to end, against a plain PyTorch loop and against the engine alone.

    python -m benchmarks.embedding FOLDER [--images 600] [--rounds 3]

All three see the same files and the same weights, in turn, in one process. The plain loop is what
one writes in ten lines: open, convert, resize, stack 32, forward in float32. It is an order of
magnitude slower, so it runs on the first part of the files only (--plain) and is compared by rate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import machine
from headlight.encoders import Encoder, Engine, load_encoder, make_engine
from headlight.features import FeatureStore, StoreSettings, embed_source
from headlight.images import ImageRef, ImageSource, open_source


class Sample(ImageSource):
    """Some images of a folder, evenly spread."""

    def __init__(self, whole: ImageSource, images: int) -> None:
        refs = list(whole)
        step = max(1, len(refs) // images)
        self.whole, self.uri, self.refs = whole, whole.uri, refs[::step][:images]

    def __iter__(self):  # type: ignore[no-untyped-def]
        """See `ImageSource`."""
        return iter(self.refs)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource`."""
        return self.whole.read(path, limit)


def end_to_end(source: Sample, encoder: Encoder, engine: Engine) -> None:
    """What ``headlight embed --views 0`` does: list, read, decode, resize, encode, store."""
    settings = StoreSettings(
        source.uri, encoder.name, encoder.weights_hash, encoder.dim, 0, engine.name
    )
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.create(Path(folder) / "features.lance", settings)
        report = embed_source(source, store, encoder, engine)
        assert report.added == len(source.refs), report.quarantine[:3]


def plain_loop(root: Path, refs: list[ImageRef], network: torch.nn.Module) -> None:
    """The loop one would write by hand."""
    for start in range(0, len(refs), 32):
        batch = []
        for ref in refs[start : start + 32]:
            image = Image.open(root / ref.path).convert("RGB")
            scale = 256 / min(image.size)
            image = image.resize((round(image.width * scale), round(image.height * scale)), 3)
            x, y = (image.width - 224) // 2, (image.height - 224) // 2
            batch.append(np.asarray(image.crop((x, y, x + 224, y + 224))))
        with torch.no_grad():
            network(torch.from_numpy(np.stack(batch))).numpy()


def seconds(work: Callable[[], object]) -> float:
    """Time one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--plain", type=int, default=96, help="images for the plain loop")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    source = Sample(open_source(options.folder), options.images)
    encoder = load_encoder("lite0")
    engine = make_engine(encoder, "cpu")
    network = encoder.build()
    size = encoder.input_size
    ready = list(np.random.default_rng(0).integers(0, 256, (64, size, size, 3), np.uint8))
    tensors = [ready[i % 64] for i in range(len(source.refs))]
    list(engine.encode(ready))
    plain_loop(options.folder, source.refs[:32], network)

    rates: dict[str, list[float]] = {"plain": [], "engine": [], "headlight": []}
    few = source.refs[: options.plain]
    for _ in range(options.rounds):
        whole = len(source.refs)
        rates["plain"].append(len(few) / seconds(lambda: plain_loop(options.folder, few, network)))
        rates["headlight"].append(whole / seconds(lambda: end_to_end(source, encoder, engine)))
        rates["engine"].append(whole / seconds(lambda: list(engine.encode(iter(tensors)))))
    names = {
        "plain": "plain PyTorch fp32 loop, files → features",
        "engine": f"{engine.name} alone, ready tensors → features",
        "headlight": "headlight, files → feature store",
    }
    print(f"{machine()}\n{len(source.refs)} images of {options.folder.name}, "
          f"{options.rounds} rounds in turn, median (min–max)\n")  # fmt: skip
    print("| | images/s | headlight against it |\n| --- | --- | --- |")
    for key, name in names.items():
        ratios = [h / r for h, r in zip(rates["headlight"], rates[key], strict=True)]
        ratio = f"{median(ratios):.2f} × ({min(ratios):.2f}–{max(ratios):.2f})"
        rate = f"{median(rates[key]):.0f} ({min(rates[key]):.0f}–{max(rates[key]):.0f})"
        print(f"| {name} | {rate} | {'' if key == 'headlight' else ratio} |")


if __name__ == "__main__":
    main()
