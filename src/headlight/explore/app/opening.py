"""A run opened for review, or as much of it as can be shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.errors import HeadlightError
from headlight.images import ImageSource
from headlight.review.review import Review, review
from headlight.runs import Run, load_run


@dataclass
class Opened:
    """What there is to show.

    Arguments:
        run: its ``assignments`` and ``clusters`` can be read; None if not even that.
        review: the run with edits; None if it can't be edited.
        source: the images; None if they are gone.
        read_only: why nothing can be edited, one sentence; empty if all can.
        notes: other things to know, a sentence each.
    """

    run: Run | None
    review: Review | None = None
    source: ImageSource | None = None
    read_only: str = ""
    notes: list[str] = field(default_factory=list)


def open_run(path: Path) -> Opened:
    """Opens what can be opened.

    Arguments:
        path: a run folder, perhaps half written, damaged, of another version, or moved.

    Raises:
        HeadlightError: there is no such folder, or it is no run at all.
    """
    if not path.is_dir() or not (path / "run.json").exists():
        if (path / "features.lance").is_dir():
            return Opened(None, read_only=_unfinished(path))
        load_run(path)  # says which of the two it is
    try:
        run = load_run(path)
    except HeadlightError as error:
        return Opened(None, read_only=_sentence(error))
    opened = _with_clusters(run)
    if opened.run:
        try:
            opened.source = run.source
        except (HeadlightError, OSError) as error:
            opened.notes.append(
                f"{_sentence(error)} Pictures made earlier are shown, the others are missing."
            )
    return opened


def _with_clusters(run: Run) -> Opened:
    try:
        run.assignments, run.clusters  # noqa: B018 - read now, so that what is wrong shows now
    except HeadlightError as error:
        whole, sentence = _without_clusters(run), _sentence(error)
        more = " Its images are shown, without clusters." if whole else ""
        return Opened(whole, read_only=sentence + more)
    try:
        found = review(run)
    except HeadlightError as error:
        return Opened(run, read_only=_sentence(error) + " Shown are the clusters as fitted.")
    return Opened(run, found, notes=[found.note] if found.note else [])


def _without_clusters(run: Run) -> Run | None:
    """The run as if all its images were in one cluster."""
    try:
        paths = _paths(run)
    except (HeadlightError, OSError, KeyError, ValueError):
        return None
    n = len(paths)
    bare = Run(run.path, run.info.model_copy(update={"fit": None}))
    nan, zero = np.full(n, np.nan, np.float32), np.zeros(n, np.int32)
    columns = {"path": paths, "cluster": zero, "confidence": nan, "second": zero, "margin": nan}
    clusters = {
        "cluster": pa.array([0], pa.int32()),
        "name": ["all images"],
        "size": [n],
        "mean_confidence": pa.array([None], pa.float32()),
        "prototypes": pa.array([[]], pa.list_(pa.string())),
        "nearest": pa.array([[]], pa.list_(pa.int32())),
    }
    bare.__dict__ |= {"assignments": pa.table(columns), "clusters": pa.table(clusters)}
    return bare


def _paths(run: Run) -> pa.Array:
    with suppress(HeadlightError):
        return run.assignments["path"].combine_chunks()
    import lance

    table = lance.dataset(run.features.path).to_table(columns=["path"])
    paths = table["path"].combine_chunks()
    return paths.take(pc.sort_indices(paths))


def _unfinished(path: Path) -> str:
    return (
        f"{path} is half written: embedding was interrupted before its first images were done. "
        "Run the same command again to go on."
    )


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith((".", "!")) else text + "."
