"""A ViT-S/14 of DINOv2's shape: files to store, against transformers' own loop and the engine.

transformers' loop is the one of its documentation: open 32 files, its image processor (the one that
uses Pillow), its model in float32, the class token.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.embedding.checkpoint import save
from benchmarks.embedding.sample import Sample, embed, noise
from benchmarks.embedding.turns import Entry, run, table
from headlight.encoders import Encoders, load_encoder
from headlight.engines import make_engine
from headlight.images import ImageRef, open_source

TITLE = "A ViT-S/14 of DINOv2's shape"


def documented_loop(root: Path, refs: list[ImageRef], processor: Any, model: Any) -> torch.Tensor:
    """Features (n, dim) float32, as transformers' documentation makes them."""
    features = []
    for start in range(0, len(refs), 32):
        batch = [Image.open(root / ref.path).convert("RGB") for ref in refs[start : start + 32]]
        with torch.no_grad():
            output = model(**processor(images=batch, return_tensors="pt"))
        features.append(output.last_hidden_state[:, 0])
    return torch.cat(features)


def measure(folder: Path, images: int, rounds: int, shape: str = "S") -> str:
    """Markdown.

    Arguments:
        folder: with image files.
        images: how many of them; transformers' loop takes a quarter.
        rounds: of all three in turn.
        shape: of the network, one of `checkpoint.SHAPES`.
    """
    from transformers import AutoImageProcessor, AutoModel

    source = Sample(open_source(folder), images)
    few = source.refs[: max(1, len(source.refs) // 4)]
    with tempfile.TemporaryDirectory() as checkpoint:
        save(Path(checkpoint), shape)
        encoder = load_encoder(f"hf:{checkpoint}")
        engine = make_engine(encoder, "cpu")
        processor = AutoImageProcessor.from_pretrained(checkpoint)
        model = AutoModel.from_pretrained(checkpoint).eval()
        ready = noise(len(source.refs), encoder.input_size)
        headlight = Entry(
            "headlight, files → feature store",
            len(source.refs),
            lambda: embed(source, Encoders((encoder,)), [engine]),
        )
        entries = [
            Entry(
                "transformers, processor and model in fp32, files → features",
                len(few),
                lambda: documented_loop(folder, few, processor, model),
            ),
            Entry(
                f"{engine.name} alone, ready tensors → features",
                len(ready),
                lambda: list(engine.encode(iter(ready))),
            ),
            headlight,
        ]
        run(entries, rounds)
    about = f"{len(source.refs)} images of {folder.name}, 224 px, random weights, plain view only"
    return f"{about}; {rounds} rounds in turn, median (min–max).\n\n{table(entries, headlight)}"
