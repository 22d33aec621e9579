"""Which encoder suits these images: a sample embedded with each, ranked without labels."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.features import Progress
from headlight.images import ImageRef, ImageSource, open_source

if TYPE_CHECKING:
    import torch

    from headlight.clustering import Features


VIEWS = 2
# Fewer images say nothing of which encoder is better.
FEWEST = 50


@dataclass(frozen=True)
class RankedEncoder:
    """An encoder and its scores.

    Arguments:
        encoder: its name.
        score: label-free, 0 to 1, 1 the best (`judge_by_peers`).
        n_clusters: number of clusters estimated from its own features.
        confidence: mean calibrated confidence of its clustering.
        images_per_second: embedding speed, with plain and augmented views of each image.
    """

    encoder: str
    score: float
    n_clusters: int
    confidence: float
    images_per_second: float


class Sample(ImageSource):
    """A random sample of a source's images, always the same.

    Arguments:
        whole: the source.
        images: at most this many.
    """

    def __init__(self, whole: ImageSource, images: int) -> None:
        self.uri, self.readers, self._whole = whole.uri, whole.readers, whole
        refs = sorted(whole, key=lambda ref: ref.id)[:images]  # ids are hashes
        self._refs = sorted(refs, key=lambda ref: ref.path)

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        return iter(self._refs)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        return self._whole.read(path, limit)


def rank_encoders(
    source: str | os.PathLike[str] | ImageSource,
    encoders: Sequence[str],
    *,
    images: int = 2000,
    n_clusters: int | Literal["auto"] = "auto",
    device: str = "auto",
    stage: Callable[[str], Progress | None] | None = None,
) -> list[RankedEncoder]:
    """Embed a sample of images with each encoder, cluster it, and rank the encoders without labels.

    Arguments:
        source: the images.
        encoders: at least 2 names; several joined by ``+`` count as one.
        images: size of the sample.
        n_clusters: K of all clusterings; ``auto``: the median of the estimates from each encoder's
            features.
        device: where encoders run.
        stage: called with each encoder's name; returns the progress callback of its embedding.

    Returns:
        The encoders, best first.

    Raises:
        HeadlightError: fewer than two encoders, too few usable images, or an encoder can't be
            loaded.
    """
    from headlight.encoders import load_encoders

    if len(set(encoders)) < 2:
        raise HeadlightError(
            f"ranking needs at least two encoders, but got {', '.join(set(encoders)) or 'none'}: "
            "choose more (--encoders A,B; `headlight encoders` lists them)"
        )
    for name in encoders:
        load_encoders(name)  # fails before any work is done
    sample = Sample(open_source(source), images)
    found = [
        _embed_sample(sample, name, device, stage(name) if stage else None) for name in encoders
    ]
    common = sorted(set.intersection(*(set(one.paths) for one in found)))
    if len(common) < FEWEST:
        raise HeadlightError(
            f"{counted(len(common), 'usable image')} in {sample.uri}: "
            f"ranking encoders needs {FEWEST} or more"
        )
    rows = [one.rows(common) for one in found]
    counts = [_estimate_clusters(features) for features in rows]
    k = int(np.median(counts)) if n_clusters == "auto" else n_clusters
    if not 2 <= k <= len(common):
        raise HeadlightError(f"-k {k}: give 2 to {len(common)} clusters, for {len(common)} images")
    labels, graphs, confidence = zip(
        *(_cluster_sample(features, k) for features in rows), strict=True
    )
    from headlight.clustering.fusion import judge_by_peers

    scores = judge_by_peers(labels, graphs, k).tolist()
    ranked = [
        RankedEncoder(name, score, count, sure, one.rate)
        for name, score, count, sure, one in zip(
            encoders, scores, counts, confidence, found, strict=True
        )
    ]
    return sorted(ranked, key=lambda one: -one.score)


@dataclass(frozen=True)
class _EmbeddedSample:
    paths: list[str]
    features: Features
    rate: float

    def rows(self, paths: list[str]) -> Features:
        """Features of these images, in this order, which is that of the sample's."""
        place = {path: i for i, path in enumerate(self.paths)}
        return self.features.take(np.array([place[path] for path in paths]))


def _embed_sample(
    sample: Sample, encoder: str, device: str, progress: Progress | None
) -> _EmbeddedSample:
    from headlight.runs import embed_run

    with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
        run, _ = embed_run(
            sample,
            Path(folder) / "run",
            encoder=encoder,
            views=VIEWS,
            device=device,
            progress=progress,
        )
        paths, stored = run.features.load()
        spent = run.info.timings["embed"]
        rate = (spent.images or 0) / max(spent.seconds, 1e-3)
        return _EmbeddedSample(paths.to_pylist(), stored, rate)


def _estimate_clusters(features: Features) -> int:
    from headlight.clustering.graph import Spectrum, neighbour_graph
    from headlight.clustering.levels import estimate_clusters
    from headlight.clustering.projection import fit_projection, project

    graph = neighbour_graph(project(features, fit_projection(features, 256)))
    return estimate_clusters([Spectrum(graph)]).n_clusters


def _cluster_sample(features: Features, n_clusters: int) -> tuple[np.ndarray, torch.Tensor, float]:
    """Labels, neighbours and mean confidence."""
    from headlight.clustering import SCP
    from headlight.clustering.graph import neighbour_graph
    from headlight.clustering.projection import project

    scp = SCP(n_clusters, random_state=0).fit(features)
    near = neighbour_graph(project(features, scp.projection_)).neighbours
    confidence = float(scp.predict_proba(features).max(axis=1).mean())
    return scp.labels_, near, confidence
