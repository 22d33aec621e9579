"""The bundled encoder in each arithmetic the processor has: speed, and what clusters lose by it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.embedding.sample import Sample
from benchmarks.embedding.turns import ratios, spread
from headlight.clustering import SCP
from headlight.encoders import Encoder, load_encoder
from headlight.encoders.offline_openvino import ov
from headlight.engines import Engine, make_engine
from headlight.engines.probe import agreement
from headlight.errors import HeadlightError
from headlight.evaluation import metrics
from headlight.images import DecodeLimits, decode, open_source

TITLE = "Arithmetic"
SETS = ("stl10", "trashnet", "caltech101")
CALIBRATION = 300  # images of the set that int8's ranges are taken from, NNCF's default
CHUNK = 250  # images that each arithmetic encodes in its turn


def measure(data: Path, images: int | None, seeds: int) -> str:
    """Markdown.

    Arguments:
        data: folder with a folder for each set, and in that one for each class.
        images: of each set, evenly over it; None: all.
        seeds: fits of each arithmetic on each set.
    """
    lines = [
        "| images | arithmetic | images/s | against f32 | core time, against f32 | cosine | same "
        "nearest neighbour | ACC | NMI |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in SETS:
        source = open_source(data / name)
        lines += _rows(name, Sample(source, images or source.count), seeds)
    about = (
        f"lite0, plain view, pixels → features, `SCP` with the true number of classes, {seeds} "
        f"seeds (mean ± standard deviation). Every arithmetic in turn on each {CHUNK} images, "
        "median (min–max). Cosine (centred) and nearest neighbours are those of f32, over the "
        f"set. int8 is NNCF's post-training quantization, calibrated on {CALIBRATION} images of "
        "the set; its other layers are in the processor's fastest arithmetic."
    )
    return about + "\n\n" + "\n".join(lines)


def _rows(name: str, source: Sample, seeds: int) -> Iterator[str]:
    encoder = load_encoder("lite0")
    pixels, classes = _pixels(encoder, source)
    engines = {"f32": make_engine(encoder, "cpu", "f32")}
    with contextlib.suppress(HeadlightError):  # a processor without it
        engines["bf16"] = make_engine(encoder, "cpu", "bf16")
    engines["int8"] = make_engine(_quantized(encoder, pixels, name), "cpu")
    features, clock, cores = _encode(engines, pixels)
    truth = np.unique(classes, return_inverse=True)[1]
    for arithmetic, X in features.items():
        found = [
            SCP(int(truth.max()) + 1, random_state=seed).fit(X).labels_ for seed in range(seeds)
        ]
        acc = np.array([metrics.clustering_accuracy(truth, labels) for labels in found])
        nmi = np.array([metrics.normalized_mutual_info(truth, labels) for labels in found])
        cosine, same = agreement(X, features["f32"])
        rate = spread([1 / seconds for seconds in clock[arithmetic]], ".0f")
        times = spread(ratios(clock["f32"], clock[arithmetic]), ".2f")
        cheaper = spread(ratios(cores["f32"], cores[arithmetic]), ".2f")
        yield (
            f"| {name}, {len(X):,} | {arithmetic} | {rate} | {times} × | {cheaper} × | "
            f"{cosine:.4f} | {same:.1%} | {acc.mean():.3f} ± {acc.std():.3f} | {nmi.mean():.3f} |"
        )


def _pixels(encoder: Encoder, source: Sample) -> tuple[np.ndarray, list[str]]:
    """(n, size, size, 3) uint8, and the folder of each image, its class."""
    limits = DecodeLimits()
    views, classes = [], []
    for ref in source:
        image = decode(source.read(ref.path, limits.file_bytes), encoder.input_size, limits)
        views.append(np.asarray(encoder.plain_view(image)))
        classes.append(Path(ref.path).parts[0])
    return np.stack(views), classes


def _encode(
    engines: dict[str, Engine], pixels: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, list[float]], dict[str, list[float]]]:
    """Features, (n, dim) float32; seconds an image of each chunk, clock and cores."""
    features: dict[str, list[np.ndarray]] = {name: [] for name in engines}
    clock: dict[str, list[float]] = {name: [] for name in engines}
    cores: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        list(engine.encode(pixels[:CHUNK]))  # the first requests are slower
    for start in range(0, len(pixels), CHUNK):
        chunk = pixels[start : start + CHUNK]
        for name, engine in engines.items():
            began = time.perf_counter(), time.process_time()
            features[name] += engine.encode(chunk)
            clock[name].append((time.perf_counter() - began[0]) / len(chunk))
            cores[name].append((time.process_time() - began[1]) / len(chunk))
    return {name: np.stack(rows) for name, rows in features.items()}, clock, cores


def _quantized(encoder: Encoder, pixels: np.ndarray, images: str) -> Encoder:
    """The encoder with weights and activations in int8 where NNCF can."""
    import nncf
    import torch

    size = encoder.input_size
    with torch.no_grad():
        example = torch.zeros(1, size, size, 3).byte()
        model = ov.convert_model(encoder.build(), example_input=example)
    model.reshape([1, size, size, 3])
    some = pixels[:: max(1, len(pixels) // CALIBRATION)][:CALIBRATION]
    quantized = nncf.quantize(model, nncf.Dataset([image[None] for image in some]))
    # The cache of conversions tells the models of different images apart by their name.
    return replace(encoder, name=f"{encoder.name}-int8-{images}", convert=lambda: quantized)
