"""A run whose images were moved: where they are now."""

from __future__ import annotations

import heapq
import shlex
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.features import FeatureStore
from headlight.images import BadImage, DecodeLimits, ImageSource, content_hash
from headlight.runs.info import write_record
from headlight.runs.run import FEATURES, INFO, load_run, locked

SAMPLE = 200  # images compared: their share is that of all within 7 percentage points


def relocate_run(path: Path, source: ImageSource) -> tuple[int, int]:
    """Record that the images of a run are now in ``source``; nothing else of the run changes.

    A random sample of the run's images is compared, the same one every time: at least half must
    be in the new place, under the same path inside it and with the same bytes. What else is new or
    gone there is taken up when the run is next embedded.

    Arguments:
        path: the run folder, with features.
        source: where its images are now.

    Returns:
        How many images of the sample are there, and how many it has.

    Raises:
        HeadlightError: there is no run, or too few of its images are there; nothing was changed.
    """
    if not (path / FEATURES).exists():
        load_run(path).features  # noqa: B018 - says what is missing
    with locked(path):
        run = load_run(path) if (path / INFO).exists() else None  # stopped before there was one
        store = FeatureStore.open(path / FEATURES)
        rows = store.rows("id", "path", "content")
        marks = zip(*(rows[name].to_pylist() for name in ("id", "path", "content")), strict=True)
        sample = heapq.nsmallest(SAMPLE, marks)  # ids are hashes
        found = sum(_is_there(source, inside, content) for _, inside, content in sample)
        if 2 * found < len(sample):
            raise HeadlightError(
                f"{source.uri} does not take the place of {store.settings.source}: of "
                f"{len(sample)} images of {path} compared, {found} are there under the same path "
                "and with the same bytes; give the new place of that folder or file itself"
            )
        store.set_source(source.uri)
        if run:  # stopped before this, the same command does it
            moved = run.info.source.model_copy(update={"uri": source.uri})
            write_record(path / INFO, run.info.model_copy(update={"source": moved}))
    return found, len(sample)


def refuse_other_source(path: Path, source: ImageSource) -> None:
    """Keep the images of another place from replacing those of a run.

    Raises:
        HeadlightError: the run folder ``path`` is of another source; the message says what to do
            if the images were moved.
    """
    if not (path / FEATURES).exists():
        return
    stored = FeatureStore.open(path / FEATURES).settings.source
    if stored != source.uri:
        command = shlex.join(["headlight", "relocate", str(path), source.uri])
        raise HeadlightError(
            f"{path} already holds features with source {stored}, not {source.uri}: choose another "
            f"-o, or, if the images were moved there, run `{command}` first"
        )


def _is_there(source: ImageSource, inside: str, content: bytes | None) -> bool:
    """Whether a source has an image; one without a known content needs no more than its path."""
    try:
        data = source.read(inside, DecodeLimits().file_bytes)
    except BadImage:
        return False
    return content is None or content_hash(data) == content
