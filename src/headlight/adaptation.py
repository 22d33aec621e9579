"""An encoder fitted to the images: tuned on the clusters of a run, to cluster them again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from headlight.encoders import load_fusion
from headlight.encoders.adapted import save_adapted
from headlight.encoders.base import Encoder
from headlight.encoders.lora import Batch, require, tune
from headlight.errors import HeadlightError
from headlight.features import Progress
from headlight.images import BadImage, DecodeLimits, ImageSource, augment, decode
from headlight.runs import Run
from headlight.runs.describe import cluster_centres

# Images learned from, and how often each, in another view every time; more often where few.
MOST_IMAGES, EPOCHS, LEAST_STEPS = 4000, 3, 60
BATCH = 32
# Of each cluster, the share of its images that are learned from: its most confident.
CONFIDENT = 0.5
# Views numbered from here on: none that clustering has seen.
FIRST_VIEW = 1000


def adapt(
    run: Run, out: Path, *, device: str = "auto", seed: int = 0, progress: Progress | None = None
) -> Path:
    """Tunes the last blocks of a run's encoder on the images its clusters are most sure of.

    An experiment, for a GPU: docs/encoders.md has its figures.

    Arguments:
        run: fitted, of one encoder that is a PyTorch network.
        out: folder to make; ``--encoder adapted:OUT`` uses it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: of the order of the images.
        progress: told the steps done and their total.

    Returns:
        ``out``.

    Raises:
        HeadlightError: the encoder can't be tuned, ``out`` exists, or no image can be read.
    """
    encoder = adaptable(run.info["encoder"]["encoder"])
    if out.exists():
        raise HeadlightError(f"{out} exists already: choose another place")
    rows = confident_rows(run, MOST_IMAGES)
    labels = run.assignments["cluster"].to_numpy()
    features = run.features.load()[1].plain
    paths = run.assignments["path"].take(rows).to_pylist()
    n_steps = max(LEAST_STEPS, EPOCHS * len(rows) // BATCH)
    network = tune(
        encoder,
        islice(_batches(run.source, encoder, paths, labels[rows], seed), n_steps),
        run.model.projection_.mean,
        torch.from_numpy(cluster_centres(features, labels, len(run.clusters))),
        n_steps=n_steps,
        device=_device(device),
        progress=progress,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        made = Path(folder) / "encoder"
        made.mkdir()
        save_adapted(made, encoder, network, run.info["source"]["uri"])
        shutil.move(made, out)
    return out


def adaptable(name: str) -> Encoder:
    """The encoder of this name, if it can be tuned.

    Raises:
        HeadlightError: it can't, or peft is not installed.
    """
    if name.startswith("features:"):
        raise HeadlightError("--adapt needs an encoder, and these features came from a file")
    encoders = load_fusion(name).parts
    if len(encoders) > 1:
        raise HeadlightError(f"--adapt tunes one encoder, and {name} are several")
    require(encoders[0])
    return encoders[0]


def confident_rows(run: Run, most: int) -> np.ndarray:
    """Rows of the more confident half of every cluster, the most confident first to be taken.

    Arguments:
        run: fitted.
        most: in all; clusters share it evenly.

    Returns:
        int64 (rows,), sorted.
    """
    labels = run.assignments["cluster"].to_numpy()
    confidence = run.assignments["confidence"].to_numpy()
    share = max(2, most // len(run.clusters))
    kept = []
    for cluster in np.unique(labels):
        members = np.flatnonzero(labels == cluster)
        order = members[np.argsort(-confidence[members], kind="stable")]
        kept.append(order[: min(share, max(1, int(len(order) * CONFIDENT)))])
    return np.sort(np.concatenate(kept))


def _batches(
    source: ImageSource, encoder: Encoder, paths: list[str], labels: np.ndarray, seed: int
) -> Iterator[Batch]:
    """Augmented views in random order, without end; images that can't be read any more left out."""
    rng = np.random.default_rng(seed)
    limits = DecodeLimits()

    def view(item: tuple[int, int]) -> tuple[np.ndarray, int] | None:
        at, number = item
        try:
            image = decode(source.read(paths[at], limits.file_bytes), encoder.min_side, limits)
        except BadImage:
            return None
        return np.asarray(augment(image, encoder.input_size, at, number)), int(labels[at])

    batch: list[tuple[np.ndarray, int]] = []
    epoch = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while True:
            order = rng.permutation(len(paths))
            seen = 0
            for start in range(0, len(order), BATCH):
                items = [(int(at), FIRST_VIEW + epoch) for at in order[start : start + BATCH]]
                found = [one for one in pool.map(view, items) if one is not None]
                seen += len(found)
                batch += found
                while len(batch) >= min(BATCH, len(paths)):
                    size = min(BATCH, len(paths))
                    now, batch = batch[:size], batch[size:]
                    pixels = torch.from_numpy(np.stack([image for image, _ in now]))
                    yield pixels, torch.tensor([label for _, label in now])
            if not seen:
                raise HeadlightError(f"none of the images of {source.uri} can be read any more")
            epoch += 1


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
