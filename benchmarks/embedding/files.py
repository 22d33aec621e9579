"""The bundled encoder: files to store, against a plain PyTorch loop and against its engine alone.

All three see the same files and the same weights. The plain loop is what one writes in ten lines:
open, convert, resize, stack 32, forward in float32. It is an order of magnitude slower, so it runs
on the first part of the files only and is compared by rate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.embedding.sample import Sample, embed, noise
from benchmarks.embedding.turns import Entry, run, table
from headlight.encoders import Encoders, load_encoder
from headlight.engines import make_engine
from headlight.images import ImageRef, open_source

TITLE = "Files to features, bundled encoder"


def plain_loop(root: Path, refs: list[ImageRef], network: torch.nn.Module, size: int) -> None:
    """The loop one would write by hand."""
    larger = round(size / 0.875)
    for start in range(0, len(refs), 32):
        batch = []
        for ref in refs[start : start + 32]:
            image = Image.open(root / ref.path).convert("RGB")
            scale = larger / min(image.size)
            image = image.resize((round(image.width * scale), round(image.height * scale)), 3)
            x, y = (image.width - size) // 2, (image.height - size) // 2
            batch.append(np.asarray(image.crop((x, y, x + size, y + size))))
        with torch.no_grad():
            network(torch.from_numpy(np.stack(batch))).numpy()


def measure(folder: Path, images: int, rounds: int, encoder_name: str = "lite0") -> str:
    """Markdown.

    Arguments:
        folder: with image files.
        images: how many of them; the plain loop takes an eighth.
        rounds: of all three in turn.
        encoder_name: for `load_encoder`.
    """
    source = Sample(open_source(folder), images)
    encoder = load_encoder(encoder_name)
    engine = make_engine(encoder, "cpu")
    network = encoder.build()
    few = source.refs[: max(1, len(source.refs) // 8)]
    ready = noise(len(source.refs), encoder.input_size)
    headlight = Entry(
        "headlight, files → feature store",
        len(source.refs),
        lambda: embed(source, Encoders((encoder,)), [engine]),
    )
    entries = [
        Entry(
            "plain PyTorch fp32 loop, files → features",
            len(few),
            lambda: plain_loop(folder, few, network, encoder.input_size),
        ),
        Entry(
            f"{engine.name} alone, ready tensors → features",
            len(ready),
            lambda: list(engine.encode(iter(ready))),
        ),
        headlight,
    ]
    run(entries, rounds)
    about = f"{len(source.refs)} images of {folder.name}, {encoder.name}, plain view only"
    return f"{about}; {rounds} rounds in turn, median (min–max).\n\n{table(entries, headlight)}"
