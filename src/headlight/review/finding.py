"""Clusters and images as a person names them: by number or name, by path or file."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.runs.run import Run


def find_cluster(names: Mapping[int, str], text: str) -> int:
    """The cluster whose number or name ``text`` is.

    Arguments:
        names: cluster → name.
        text: the number, or the exact name; extra spaces, which no name has, don't count.

    Raises:
        HeadlightError: there is none, or more than one.
    """
    given = " ".join(text.split())
    found = [cluster for cluster, name in names.items() if given in (str(cluster), name)]
    if len(found) == 1:
        return found[0]
    if found:
        which = " or ".join(f"{cluster} ({names[cluster]!r})" for cluster in found)
        raise HeadlightError(
            f"{text!r} could be cluster {which}: give a number or name that only one of them has"
        )
    like = {name.casefold(): name for name in names.values()}
    near = [repr(like[name]) for name in difflib.get_close_matches(given.casefold(), like)]
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise HeadlightError(f"there is no cluster with the number or name {text!r}{hint}")


def find_rows(run: Run, files: Sequence[str]) -> np.ndarray:
    """The rows of some images.

    Arguments:
        run: fitted.
        files: of each image the path in ``run.assignments``, that of the file on disk, or its URL.

    Returns:
        int64 (m,), ascending, each once.

    Raises:
        HeadlightError: one is not an image of the run, or could be either of two.
    """
    uri = run.info.source.uri
    spelled = [
        dict.fromkeys((file, file.removeprefix(f"{uri}/"), *_inside(Path(uri), file)))
        for file in files
    ]
    # As bytes: the name of a file need not be valid Unicode.
    wanted = pa.array([os.fsencode(path) for paths in spelled for path in paths], pa.binary())
    paths = run.assignments["path"].combine_chunks()
    at = iter(pc.index_in(wanted, value_set=paths.cast(pa.binary())).to_pylist())
    found = [[row for _ in one if (row := next(at)) is not None] for one in spelled]
    if unknown := [file for file, rows in zip(files, found, strict=True) if not rows]:
        more = f" (and {counted(len(unknown) - 1, 'other')})" if len(unknown) > 1 else ""
        raise HeadlightError(
            f"{unknown[0]!r} is not an image of {run.path}{more}: give the path in "
            "assignments.parquet, or that of the file"
        )
    for file, rows in zip(files, found, strict=True):
        if len(rows) > 1:
            both = " or ".join(repr(paths[row].as_py()) for row in rows)
            raise HeadlightError(f"{file!r} could be the image {both}: give the file's whole path")
    return np.unique([row for (row,) in found])


def _inside(root: Path, file: str) -> list[str]:
    """What a file may be called in a source, whose folders may be links, as may be it."""
    with suppress(OSError, RuntimeError):  # links in a circle
        path = Path(file).absolute()
        if ".." in path.parts:
            path = path.parent.resolve() / path.name
        above = [folder for folder in path.parents if folder.resolve() == root]
        if not above and (path := path.resolve()).is_relative_to(root):
            above = [root]
        return [path.relative_to(folder).as_posix() for folder in above]
    return []
