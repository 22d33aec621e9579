"""Clustering a run again that people may have edited: their edits are kept."""

from __future__ import annotations

from collections import Counter

import numpy as np

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.features import Stages
from headlight.review.images import Images
from headlight.review.log import EditLog
from headlight.review.review import Review
from headlight.runs.fitting import Clusters, Joining, fit_run
from headlight.runs.run import Run

SAME = 0.5  # of two clusters' images, the share that both have, above which they are the same one

WORDS = {
    "rename": "name",
    "move": "move",
    "merge": "merge",
    "split": "split",
    "assign": "refit",
    "outlier": "outlier mark",
    "done": "done mark",
    "accept": "acceptance",
    "dismiss": "dismissal",
    "seen": "look",
}


def edits_in_words(run: Run) -> str:
    """The edits in force, such as ``3 names, 1 merge``; empty if there are none.

    Reads only the log, so that a run with damaged tables can be fitted again.

    Raises:
        HeadlightError: the log is damaged.
    """
    if not run.info.fit:
        return ""
    applied: list[str] = []
    undone: list[str] = []
    for _, edit in EditLog(run.path, run.info.fit.review_id).read():
        kind = edit["edit"]
        if kind not in ("undo", "redo"):
            applied.append(kind)
            undone.clear()
            continue
        source, target = (applied, undone) if kind == "undo" else (undone, applied)
        if source:
            target.append(source.pop())
    counts = Counter(applied)
    order = [*(kind for kind in WORDS if kind in counts), *(counts.keys() - WORDS.keys())]
    return ", ".join(counted(counts[kind], WORDS.get(kind, "other edit")) for kind in order)


def fit_again(
    run: Run,
    n_clusters: Clusters = "auto",
    *,
    recipe: str = "robust",
    seed: int = 0,
    device: str = "auto",
    fresh: bool = False,
    stages: Stages | None = None,
) -> Run:
    """Cluster a run's features; what people did in review stays in force.

    Without edits the result becomes the current fit. With edits it is kept beside the current fit:
    its clusters have the numbers of the groups whose images they mostly have, and if it is made
    current (`headlight.runs.restore_fit`), the edits apply to it.

    Arguments:
        run, n_clusters, recipe, seed, device, stages: as for `headlight.runs.fit_run`.
        fresh: make the result the current fit also if there are edits; these are set aside with the
            fit they were made on.

    Returns:
        The run at the new fit. It is the current one if `headlight.load_run` gives the same.

    Raises:
        HeadlightError: the features can't be clustered with these settings; or the log of edits, or
            the fit that they belong to, is damaged.
    """
    try:
        edits = edits_in_words(run)
    except HeadlightError:
        if not fresh:
            raise
        edits = "damaged"
    joining = joining_of(Review(run)) if edits and not fresh else None
    return fit_run(
        run,
        n_clusters,
        recipe=recipe,
        seed=seed,
        device=device,
        set_aside=bool(edits),
        joining=joining,
        stages=stages,
    )


def joining_of(review: Review) -> Joining:
    """How a new fit takes its numbers from the groups of a review."""

    def numbers(keys: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
        rows, known = Images(review.keys, []).first_rows(keys)
        known &= ~review.outlier[rows]
        groups = review.labels[rows[known]]
        return matched(labels[known], groups, n_clusters, review.next_cluster)

    return Joining(review.run.fit.review_id, numbers, review.next_cluster)


def matched(labels: np.ndarray, groups: np.ndarray, n_clusters: int, next_group: int) -> np.ndarray:
    """The number of each cluster: that of a group with mostly the same images, or a new one.

    Two sets that share more than half of all their images are the same: no third one can be.

    Arguments:
        labels: int (m,), clusters of some images, 0 to n_clusters − 1.
        groups: int (m,), groups of the same images.
        n_clusters: K.
        next_group: the first number that no group has had.

    Returns:
        int32 (K,), each number once.
    """
    found = np.full(n_clusters, -1, np.int32)
    if len(labels):
        known, place = np.unique(groups, return_inverse=True)
        both = np.zeros((n_clusters, len(known)), np.int64)
        np.add.at(both, (labels, place), 1)
        either = both.sum(axis=1)[:, None] + both.sum(axis=0)[None] - both
        cluster, group = np.nonzero(both > SAME * either)
        found[cluster] = known[group]
    new = found < 0
    found[new] = np.arange(next_group, next_group + int(new.sum()))
    return found
