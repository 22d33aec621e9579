"""Bringing a run up to date: new images flow into the groups that people made."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.features import EmbedReport, Stages
from headlight.review.changes import free_name
from headlight.review.drift import Drift
from headlight.review.fitting import edits_in_words
from headlight.review.images import Images
from headlight.review.model import groups_model
from headlight.review.newcomers import Known, Newcomers, place_newcomers
from headlight.review.review import Review
from headlight.review.taking_over import take_over
from headlight.runs.duplicates import extended_duplicates
from headlight.runs.embedding import embed_run
from headlight.runs.features import features_digest, in_step
from headlight.runs.files import read_table
from headlight.runs.fits import GONE, save_fit
from headlight.runs.image_keys import COLUMN, KEY, as_numpy, image_keys, sorted_images
from headlight.runs.projected import project, projection_of
from headlight.runs.run import Run, load_run, locked
from headlight.runs.tables import CLUSTERS, JOINED, PROPOSED, cluster_rows

if TYPE_CHECKING:
    from headlight.clustering import Features
    from headlight.images import ImageSource

TIME = pa.timestamp("ms", "UTC")  # Parquet has no whole seconds


@dataclass
class UpdateReport:
    """What an update did.

    Arguments:
        embedded: what was done to the features.
        joined: group → number of new images that joined it.
        proposed: group → number of its images, of the groups it proposes.
        unlike: new images that joined a group though they are unlike any image before them.
        returned: images that were gone and are back where they were.
        gone: images that are no longer in the source.
        drifted: groups whose new images differ from the earlier ones.
        changed: whether there is a new fit.
    """

    embedded: EmbedReport
    joined: dict[int, int] = field(default_factory=dict)
    proposed: dict[int, int] = field(default_factory=dict)
    unlike: int = 0
    returned: int = 0
    gone: int = 0
    drifted: list[Drift] = field(default_factory=list)
    changed: bool = False


def is_living(run: Run) -> bool:
    """Whether people have edited a run, or it has been updated: its groups then stay.

    Raises:
        HeadlightError: the log of edits is damaged.
    """
    return bool(run.info.fit and (run.info.fit.base or edits_in_words(run)))


def update_run(
    run: Run,
    source: ImageSource | None = None,
    *,
    stages: Stages | None = None,
    on_embedded: Callable[[EmbedReport], None] | None = None,
    **embedding: Any,
) -> tuple[Run, UpdateReport]:
    """Embed what is new or changed, put it into the groups, and drop what is gone.

    No group gets another number, and no known image another group. New images are assigned by the
    model of the groups as reviewed; those that belong nowhere form proposed groups with numbers of
    their own. An image that comes back is where it was. The result is a new fit, to which all
    edits of the review apply; the one before is kept.

    Arguments:
        run: fitted.
        source: its images; None: where they were.
        stages: called with ``embed`` and ``update``; returns the progress callback of each.
        on_embedded: called with the `EmbedReport` after embedding.
        embedding: other settings than the run's own, as of `headlight.runs.embed_run`.

    Returns:
        The run, opened again, and what was done. With nothing new no file is changed.

    Raises:
        HeadlightError: the run is not fitted, or its images or features can't be read; nothing is
            lost, and the same command goes on.
    """
    run.fit  # noqa: B018 - says what is missing
    opened = run.source if source is None else source
    nothing = not len(run.quarantine) and in_step(run, opened)
    if nothing and run.fit.features == features_digest(run.features):
        return run, UpdateReport(EmbedReport(kept=opened.count))
    review = Review(run)
    review.keys  # noqa: B018 - read now: embedding deletes what is gone
    made = run.info.encoder
    settings: dict[str, Any] = {
        "encoder": made.name,
        "views": made.views,
        "view_images": made.view_images,
        "device": made.device,
        "precision": made.precision,
    }
    progress = stages("embed") if stages else None
    _, embedded = embed_run(opened, run.path, **(settings | embedding), progress=progress)
    if on_embedded:
        on_embedded(embedded)
    if stages:
        stages("update")
    with locked(run.path):
        now = load_run(run.path)
        # Its images and edits may be other ones if another process was here meanwhile.
        review = Review(now, review.keys if now.fit.id == run.fit.id else None)
        report = UpdateReport(embedded)
        if now.fit.features != features_digest(now.features):
            _save(now, take_over(review), report)
            report.changed = True
    return load_run(run.path), report


@dataclass(frozen=True)
class _Now:
    """The images there are now, sorted by path, and where each was.

    Arguments:
        paths, images: of all, (n,) strings and keys.
        row: int64 (n,), of the fit before; −1: it was not there.
        back: int64 (n,), of the images that were gone; −1: it was not among them.
    """

    paths: pa.Array
    images: pa.Array
    row: np.ndarray
    back: np.ndarray

    def carried(self, table: pa.Table, rows: np.ndarray) -> pa.Table:
        """Rows of an earlier table, under the paths and keys there are now.

        Arguments:
            table: assignments.
            rows: `row` or `back`.
        """
        here = np.flatnonzero(rows >= 0)
        carried = table.take(rows[here])
        for name, column in (("path", self.paths), (COLUMN, self.images)):
            place = carried.schema.get_field_index(name)
            carried = carried.set_column(place, name, column.take(here))
        return carried


def _save(run: Run, review: Review, report: UpdateReport) -> None:
    """Make the new fit the current one.

    Arguments:
        run: with the features of what is there now.
        review: of the fit before.
        report: is filled.
    """
    before, left = _complete(review), _gone_before(run)
    paths, images = sorted_images(run.features.rows("path", "content"))
    row = _found(before, paths, images)
    back = np.where(row < 0, _found(left, paths, images), -1)
    now = _Now(paths, images, row, back)
    stored = run.features.load()[1]  # sorted by path, too
    plain = np.asarray(stored.plain)
    mean, axes = projection_of(run)
    rows = project(plain, mean, axes)
    parts = [now.carried(before, row), now.carried(left, back)]
    new = np.flatnonzero((row < 0) & (back < 0))
    newcomers = None
    if len(new):
        where = _places(parts[0])
        newcomers = _placed(review, row, places=where, stored=stored, rows=rows, new=new)
    with review.log.locked():  # no edit may make a group with the number of a proposed one
        review.refresh()
        proposed: list[int] = []
        if newcomers:
            proposed = newcomers.numbered(review.next_cluster)
            parts.append(_joined(newcomers.columns, paths.take(new), images.take(new)))
        assignments = pa.concat_tables(parts, promote_options="default")
        assignments = assignments.take(pc.sort_indices(assignments["path"]))
        if "duplicates" in assignments.column_names:
            unsure = np.union1d(new, _later_copies(row))
            assignments = _with_duplicates(assignments, plain, rows, mean, unsure)
        clusters = _clusters(review, assignments, rows, set(proposed))
        gone = [_without(before, row), _without(left, back)]
        fit = run.fit.model_dump(exclude={"id", "files"}) | {
            "images": len(assignments),
            "n_clusters": len(clusters),
            "mean_confidence": round(float(pc.mean(assignments["confidence"]).as_py()), 4),
            "features": features_digest(run.features),
            "review": run.fit.review_id,
            "base": run.fit.id,
            "next_group": max([review.next_cluster, *(group + 1 for group in proposed)]),
        }
        save_fit(
            run,
            run.info,
            fit,
            run.model,
            assignments=assignments,
            clusters=clusters,
            gone=pa.concat_tables(gone, promote_options="default") if any(map(len, gone)) else None,
        )
    report.returned, report.gone = int((back >= 0).sum()), len(gone[0])
    if newcomers:
        found, counts = np.unique(newcomers.columns["cluster"], return_counts=True)
        report.joined = dict(zip(found.tolist(), counts.tolist(), strict=True))
        report.proposed = {group: report.joined.pop(group) for group in proposed}
        report.unlike, report.drifted = newcomers.unlike, newcomers.drifted


def _placed(
    review: Review,
    row: np.ndarray,
    *,
    places: np.ndarray,
    stored: Features,
    rows: np.ndarray,
    new: np.ndarray,
) -> Newcomers:
    """The new images among the groups.

    Arguments:
        review: of the fit before.
        row: int64 (n,), rows of that fit; −1: not there.
        places: float32 (k, 2), where the images that were there are on the map.
        stored: of n images.
        rows: float16 (n, d), projected.
        new: int64 (m,), the new images.
    """
    plain = np.asarray(stored.plain)
    earlier = np.flatnonzero(row >= 0)

    def clustering(old: np.ndarray, some: np.ndarray, k: int) -> np.ndarray:
        every = np.concatenate([earlier[old], new[some]])
        order = np.argsort(every)
        labels = np.empty(len(every), np.int64)
        labels[order] = _clustered(review.run, stored.take(every[order]), k)
        return labels

    known = Known(
        plain[earlier],
        rows[earlier],
        review.labels[row[earlier]],
        review.run.assignments["cluster"].to_numpy()[row[earlier]],
        review.outlier[row[earlier]],
        places,
    )
    model = groups_model(review, lambda: (row[earlier], rows[earlier]))
    probabilities = model.probabilities(plain[new])
    return place_newcomers(
        known,
        plain[new],
        rows[new],
        probabilities=probabilities,
        groups=np.array(model.groups),
        clustering=clustering if review.run.fit.recipe == "robust" else None,
    )


def _clustered(run: Run, features: Features, n_clusters: int) -> np.ndarray:
    """Labels of a fit like that of a run: int64 (n,)."""
    from sklearn.exceptions import ConvergenceWarning

    from headlight.clustering import SCP

    blocks = run.features.settings.dims or None
    scp = SCP(n_clusters, blocks=blocks, random_state=run.fit.seed, device=run.fit.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of clusters left empty
        return scp.fit(features).labels_


def _complete(review: Review) -> pa.Table:
    """The assignments of a fit, with the columns that an update needs."""
    table = review.run.assignments.replace_schema_metadata(None)
    if COLUMN not in table.column_names:
        keys = np.ascontiguousarray(review.keys)
        column = pa.Array.from_buffers(KEY, len(keys), [None, pa.py_buffer(keys)])
        table = table.append_column(COLUMN, column)
    if JOINED not in table.column_names:
        table = table.append_column(JOINED, pa.nulls(len(table), TIME))
    return table


def _gone_before(run: Run) -> pa.Table:
    """Assignments of images that earlier updates found gone."""
    if GONE in run.fit.files:
        return read_table(run.file(GONE))
    return pa.table({"path": pa.array([], pa.string()), COLUMN: pa.array([], KEY)})


def _found(table: pa.Table, paths: pa.Array, images: pa.Array) -> np.ndarray:
    """The row of each image in a table of assignments, int64 (n,); −1: not there.

    An image whose content was not known when the table was made is found by its path.
    """
    index = Images(as_numpy(table[COLUMN]), [])
    row, there = index.first_rows(as_numpy(images))
    unknown = np.flatnonzero(~there)
    by_path = image_keys(paths.take(unknown).to_pylist(), [None] * len(unknown))
    row[unknown], there[unknown] = index.first_rows(as_numpy(by_path))
    return np.where(there, row, -1)


def _without(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """A table without the rows that are there again."""
    gone = np.ones(len(table), bool)
    gone[rows[rows >= 0]] = False
    return table.filter(pa.array(gone))


def _later_copies(row: np.ndarray) -> np.ndarray:
    """Images that share a row of the fit before with one that comes first."""
    there = np.flatnonzero(row >= 0)
    first = np.unique(row[there], return_index=True)[1]
    return np.delete(there, first)


def _places(table: pa.Table) -> np.ndarray:
    """Where images are on the map, float32 (n, 2); NaN where there is none."""
    if "map_x" not in table.column_names:
        return np.full((len(table), 2), np.nan, np.float32)
    return np.stack([table["map_x"].to_numpy(), table["map_y"].to_numpy()], axis=1)


def _joined(columns: dict[str, np.ndarray], paths: pa.Array, images: pa.Array) -> pa.Table:
    """The rows of new images."""
    time = datetime.now(UTC).replace(microsecond=0)
    given = {"path": paths, **columns, COLUMN: images}
    return pa.table(given | {JOINED: pa.array([time] * len(paths), TIME)})


def _with_duplicates(
    assignments: pa.Table, plain: np.ndarray, rows: np.ndarray, mean: np.ndarray, new: np.ndarray
) -> pa.Table:
    groups = pc.fill_null(assignments["duplicates"], -1).to_numpy()
    groups = extended_duplicates(groups, plain, rows, mean, new).astype(np.int32)
    place = assignments.schema.get_field_index("duplicates")
    return assignments.set_column(place, "duplicates", pa.array(groups, mask=groups < 0))


def _clusters(
    review: Review, assignments: pa.Table, rows: np.ndarray, proposed: set[int]
) -> pa.Table:
    """``clusters.parquet``: those of the fit before, and those that have come since."""
    before = {row["cluster"]: row for row in review.run.clusters.to_pylist()}
    used = np.unique(assignments["cluster"].to_numpy()).tolist()
    table = []
    for row in cluster_rows(assignments, rows, sorted({*before, *used})):
        cluster = row["cluster"]
        named = before.get(cluster, {}).get("name") or review.names.get(cluster) or row["name"]
        if cluster in proposed:
            named = free_name(review.names.values(), cluster, "new")
        asked = cluster in proposed or bool(before.get(cluster, {}).get(PROPOSED))
        table.append({**before.get(cluster, {}), **row, "name": named, PROPOSED: asked})
    return pa.Table.from_pylist(table, schema=CLUSTERS.append(pa.field(PROPOSED, pa.bool_())))
