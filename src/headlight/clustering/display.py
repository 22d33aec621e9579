"""The HTML of an SCP in a notebook: scikit-learn's diagram, and figures once it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

from headlight.counts import counted, span

OPEN = 20  # clusters listed at once; more are folded away
LISTED = 200
# A notebook may be light or dark, whatever the system is: grey and one colour show on both.
LINE = "border-bottom:1px solid rgba(128,128,128,.3)"
CELL = f"padding:.15em .8em .15em 0;text-align:left;white-space:nowrap;{LINE}"
BAR = "display:inline-block;height:.7em;background:#4c78a8;margin-right:.5em;border-radius:1px"
WIDTH = 8  # of a bar of 1, in em


def scp_html(scp: Any) -> str:
    """Scikit-learn's HTML of the estimator, followed by the clusters and their figures if it is
    fitted.

    Arguments:
        scp: an `SCP`, fitted or not.

    Returns:
        HTML without scripts; only numbers come from the data.
    """
    from sklearn.utils import estimator_html_repr

    return estimator_html_repr(scp) + (fitted_html(scp) if hasattr(scp, "head_") else "")


def fitted_html(scp: Any) -> str:
    """Number of clusters, sizes and quality of each as bars.

    Arguments:
        scp: fitted; one restored by `SCP.from_state` has no labels and shows no bars.
    """
    parts = ['<div style="font-family:sans-serif;font-size:.9em;margin:.6em 0">', _headline(scp)]
    if hasattr(scp, "labels_"):
        sizes = np.bincount(scp.labels_, minlength=scp.n_clusters_)
        quality = scp.cluster_quality_.quality
        rows = [_row(k, sizes, quality) for k in range(min(scp.n_clusters_, LISTED))]
        parts.append(_table(rows[:OPEN]))
        if len(rows) > OPEN:
            rest = scp.n_clusters_ - OPEN
            note = f"<p>The first {LISTED} are listed.</p>" if scp.n_clusters_ > LISTED else ""
            parts.append(f"<details><summary>{counted(rest, 'more cluster')}</summary>")
            parts.append(f"{_table(rows[OPEN:])}{note}</details>")
    return "".join([*parts, "</div>"])


def _headline(scp: Any) -> str:
    said = [f"<b>{counted(scp.n_clusters_, 'cluster')}</b>"]
    if hasattr(scp, "labels_"):
        said[0] += f" of {len(scp.labels_):,} rows"
    if hasattr(scp, "n_clusters_count_"):
        count = scp.n_clusters_count_
        said.append(f"estimated: {span(count.low, count.high)} likely")
    score = float(scp.head_scores_[scp.chosen_head_])
    said.append(f"head {scp.chosen_head_ + 1} of {len(scp.head_scores_)}, score {score:.3f}")
    if hasattr(scp, "near_duplicates_") and (scp.near_duplicates_ >= 0).any():
        said.append(f"{int((scp.near_duplicates_ >= 0).sum()):,} rows have near-duplicates")
    return f"<div>{' · '.join(said)}</div>"


def _row(k: int, sizes: np.ndarray, quality: np.ndarray) -> str:
    share = sizes[k] / max(int(sizes.max()), 1)
    return (
        f'<tr><td style="{CELL}">{k}</td>'
        f'<td style="{CELL}">{_bar(float(share))}{sizes[k]:,}</td>'
        f'<td style="{CELL}">{_bar(float(quality[k]))}{quality[k]:.2f}</td></tr>'
    )


def _bar(share: float) -> str:
    return f'<span style="{BAR};width:{share * WIDTH:.2f}em"></span>'


def _table(rows: list[str]) -> str:
    names = ("cluster", "size", "quality, 0 to 1")
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in names)
    return f'<table style="border-collapse:collapse"><tr>{head}</tr>{"".join(rows)}</table>'
