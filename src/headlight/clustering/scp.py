"""SCP as a scikit-learn clusterer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from headlight.clustering.blocks import fit_joint_projection
from headlight.clustering.calibration import agreement, fit_temperature
from headlight.clustering.centres import centres_of
from headlight.clustering.graph import MOST_ROWS, Graph
from headlight.clustering.heads import Heads, MLPHead
from headlight.clustering.hierarchy import cut, merge_hierarchy
from headlight.clustering.information import edge_shares
from headlight.clustering.learning import learn
from headlight.clustering.number import count_clusters
from headlight.clustering.prediction import (
    head_labels,
    head_logits,
    head_probabilities,
    labels_and_margins,
)
from headlight.clustering.projection import Projection, fit_projection, project
from headlight.clustering.quality import cluster_quality
from headlight.clustering.recipes import RECIPES
from headlight.clustering.resampling import resampled_partitions
from headlight.clustering.spectrum import Spectrum
from headlight.clustering.splitting import fill_empty, nearest_centre_head
from headlight.clustering.starts import starting_centres
from headlight.clustering.state import State, restore, to_state
from headlight.clustering.validation import (
    CHUNK,
    Features,
    require_clusterable,
    sample,
)
from headlight.devices import resolve_devices
from headlight.errors import HeadlightError

# Rows that the temperature is fitted on, read as float32.
COOLED = 4096
# Rows that clusters are split on where some are empty, and rounds: a split may empty another.
SPLIT_ROWS, FILLED = 20_000, 5
# Logits nearer than this are a tie.
CLOSE = 1e-3


class SCP(ClusterMixin, BaseEstimator):
    """Simple Clustering via Pre-trained models: a small head trained on positive pairs.

    Arguments:
        n_clusters: number of clusters K, or "auto", to estimate it from the neighbour graph. 1 is
            allowed, as everywhere in scikit-learn.
        recipe: "robust", ours: linear heads on the directions in which pairs agree; heads start
            from groups of the neighbour graph, merged so that they explain it best; pairs are
            neighbours and views; the loss is TEMI's weighted agreement; the head that explains the
            graph best is selected. "paper": one MLP head on the features as they are, with views as
            pairs; it needs at least two views. Constants that the paper does not give are those of
            TAC (ICML 2024), its closest relative: Adam 1e-3, batches of 512, 20 epochs, temperature
            0.5, alpha 5.
        n_heads: heads to train and choose from ("paper" trains one).
        n_components: maximal number of directions to project onto. "paper" uses them for outlier
            scores only.
        blocks: lengths of the parts of a row that come from different encoders; their sum is dim.
            Each part is scaled to the same variance, and "robust" leaves out parts that make the
            result worse (`blocks_used_`). None: one encoder.
        n_neighbors: number of nearest neighbours for pairs and for `outlier_scores_`; on little
            data at most half the mean cluster size.
        temperature: tau of the cross-view loss of "paper"; "robust" has no such loss.
        entropy_weight: alpha, which favours clusters of equal size. None: the recipe's default
            ("robust" 0; 0.2 gains .02 ACC if classes are even, and loses .01 to .07 otherwise).
        n_epochs: passes over the data. None: the recipe's default, and more on little data.
        batch_size: pairs per step. None: the recipe's default.
        learning_rate: of Adam. None: the recipe's default.
        device: "cpu", "cuda" (the first GPU), "cuda:N", or "auto": a GPU if there is one.
        random_state: seed. The same seed, input, machine and number of threads give bit-identical
            results.

    Attributes:
        labels_: int64 (n,), the cluster of each row's view 0; cluster 0 is the largest. Identical
            to `predict(X)`.
        n_clusters_: int, K. n_clusters_count_: `ClusterCount`, the estimate with its range and
            evidence; only if n_clusters is "auto".
        clusters_hierarchy_: float64 (K − 1, 4), how clusters merge into coarser ones, as SciPy's
            `linkage`; `merged` cuts it.
        cluster_quality_: `ClusterQuality`: cohesion, separation, stability and quality, (K,) each.
        temperature_: float, the divisor of the head's logits. It calibrates confidence to the
            accuracy estimated from the agreement with k-means of random halves.
        head_scores_: float32 (n_heads,), how well each head's labels explain the neighbour graph:
            mutual information of the clusters at the two ends of an edge, over their entropy to the
            power 0.6 (`headlight.clustering.information`). chosen_head_: int, the head with the
            highest score.
        outlier_scores_: float32 (n,), mean cosine distance to the nearest neighbours in the
            projected space.
        n_features_in_: int, dim. n_iter_: int, training steps done.
        projection_: `Projection`. head_: the chosen head.
        blocks_used_: bool (n_blocks,); only if blocks are given.

    Raises:
        ValueError: a parameter is out of range, or the input can't be clustered; the message names
            the argument or the row.

    References:
        "Keep It Light! Simplifying Image Clustering Via Text-Free Adapters", arXiv:2502.04226.
        "Exploring the Limits of Deep Image Clustering using Pretrained Models" (TEMI),
        arXiv:2303.17896.
        "Image Clustering with External Guidance" (TAC), ICML 2024, arXiv:2310.11989.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from headlight.clustering import SCP
        >>> X = load_digits().data
        >>> scp = SCP(n_clusters=10, random_state=0).fit(X)
        >>> scp.predict(X[:5]).shape
        (5,)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_clusters": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "recipe": [StrOptions(set(RECIPES))],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "blocks": ["array-like", None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "entropy_weight": [Interval(Real, 0, None, closed="left"), None],
        "n_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 2, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int | str = 8,
        *,
        recipe: str = "robust",
        n_heads: int = 3,
        n_components: int = 256,
        blocks: Sequence[int] | None = None,
        n_neighbors: int = 10,
        temperature: float = 0.5,
        entropy_weight: float | None = None,
        n_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.recipe = recipe
        self.n_heads = n_heads
        self.n_components = n_components
        self.blocks = blocks
        self.n_neighbors = n_neighbors
        self.temperature = temperature
        self.entropy_weight = entropy_weight
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        augmented: tuple[Any, Any] | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> SCP:
        """Train the heads, select the best one, and assign every row.

        Arguments:
            X: the `ImageFeatures` that `headlight.embed` returns, or (n, dim) or (n, views, dim),
                view 0 the plain image: a float16/32/64 array, memory map or torch tensor. It is
                never copied to float32 as a whole. "robust" uses augmented views of 4,000 rows;
                more don't help.
            y: ignored.
            augmented: only needed if X is (n, dim) and some rows have augmented views: a pair of
                the numbers of these rows, sorted integers (m,), and their views, (m, views, dim).
            progress: called with (steps done, steps in all) after every training step.

        Returns:
            self.
        """
        self._validate_params()
        device = _device(self.device)
        if hasattr(X, "to_fit"):
            X, augmented = X.to_fit()
        features = Features(X, augmented)
        require_clusterable(
            features,
            2 if self.n_clusters == "auto" else int(self.n_clusters),
            needs_views=RECIPES[self.recipe].pairs == "views",
            blocks=self.blocks,
        )
        validate_data(self, X, skip_check_array=True, ensure_2d=False)  # names of columns
        self.n_features_in_ = features.dim
        if (most := RECIPES[self.recipe].most_viewed) is not None:
            features.limit_views(most)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        generator = torch.Generator().manual_seed(seed)

        rows = features.sample(MOST_ROWS)
        recipe = RECIPES[self.recipe].for_data(
            int(features.has_views(rows).sum())
            if RECIPES[self.recipe].pairs == "views"
            else len(rows),
            entropy_weight=self.entropy_weight,
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )
        self.projection_ = self._projected(features)
        graph = Graph.of(project(features, self.projection_, rows), self.n_neighbors)
        spectrum = Spectrum(graph)
        if self.n_clusters == "auto":
            self.n_clusters_count_ = count_clusters(spectrum)
            self.n_clusters_ = self.n_clusters_count_.n_clusters
        else:
            self.n_clusters_ = int(self.n_clusters)
        k = self.n_clusters_
        learned = learn(
            features,
            rows,
            graph,
            recipe,
            k,
            start=lambda: starting_centres(spectrum, k, self.n_heads, seed),
            n_neighbors=self.n_neighbors,
            temperature=self.temperature,
            device=device,
            generator=generator,
            progress=progress,
        )
        self.n_iter_ = learned.n_steps
        self.head_scores_ = learned.scores
        self.chosen_head_ = int(self.head_scores_.argmax())
        self.head_: Heads = learned.heads.pick(self.chosen_head_).cpu().eval()
        near = min(self.n_neighbors, graph.near(k).shape[1])
        self.outlier_scores_ = graph.outlier_scores(features, self.projection_, rows, near)

        self._describe(features, rows, graph, learned.labels[self.chosen_head_])
        return self

    def _projected(self, features: Features) -> Projection:
        """Fit the projection; with several encoders, of those worth using."""
        if self.blocks is None:
            return fit_projection(features, self.n_components)
        blocks = [int(width) for width in self.blocks]
        if RECIPES[self.recipe].head == "mlp":  # which reads features as they are
            self.blocks_used_ = np.ones(len(blocks), dtype=bool)
            return fit_projection(features, self.n_components, blocks)
        k = None if self.n_clusters == "auto" else int(self.n_clusters)
        projection, used = fit_joint_projection(features, self.n_components, blocks, k)
        self.blocks_used_ = used
        return projection

    def merged(self, n_clusters: int) -> np.ndarray:
        """Merge clusters into fewer ones, by `clusters_hierarchy_`.

        `scp.merged(5)[scp.labels_]` are the rows' labels for 5 clusters, without another fit.

        Returns:
            int64 (n_clusters_,), the merged cluster of each cluster, 0 to n_clusters − 1.

        Raises:
            ValueError: n_clusters is not 1 to n_clusters_.
        """
        check_is_fitted(self, "clusters_hierarchy_")
        return cut(self.clusters_hierarchy_, n_clusters)

    def _describe(
        self, features: Features, rows: np.ndarray, graph: Graph, learned: np.ndarray
    ) -> None:
        """Set the labels of all rows, and the attributes that describe rows and clusters."""
        k, points = self.n_clusters_, graph.rows[:, 0]
        others = resampled_partitions(points, k)
        # Before rows are labelled: rounding of the divided logits may decide a tie otherwise.
        self._calibrate(features, rows, agreement(learned, others, k))
        self._number_by_size(features)
        labels = self.labels_[rows]
        self.cluster_quality_ = cluster_quality(labels, points, others, k)
        self.clusters_hierarchy_ = merge_hierarchy(
            edge_shares(labels, graph.near(k), k),
            centres_of(points, labels, k).numpy(),
        )

    def _calibrate(self, features: Features, rows: np.ndarray, target: float) -> None:
        """Divide the head's logits by the temperature at which its mean confidence is target."""
        judged = Features(features.rows(rows[sample(len(rows), COOLED)]))
        blocks = head_logits(self.head_, self.projection_, judged)
        logits = torch.cat([logits for _, logits in blocks])
        # Confidence is taken away and never added: other methods err where this one is right.
        self.temperature_ = max(1.0, fit_temperature(logits, target))
        self.head_.cool(self.temperature_)

    def predict(self, X: Any) -> np.ndarray:
        """Cluster of each row's view 0: int64 (n,).

        Arguments:
            X: (n, dim) or (n, views, dim), dim as at fit.
        """
        features = self._checked(X)
        return head_labels(self.head_, self.projection_, features)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Soft assignment of each row's view 0: float32 (n, n_clusters), rows summing to 1.

        Arguments:
            X: (n, dim) or (n, views, dim), dim as at fit.
        """
        features = self._checked(X)
        return head_probabilities(self.head_, self.projection_, features)

    def state(self) -> State:
        """Everything that prediction needs, as plain arrays and JSON-serialisable metadata.

        Returns:
            tensors, name to array; metadata. `SCP.from_state(tensors, metadata)` gives
            bit-identical predictions.
        """
        check_is_fitted(self, "head_")
        return to_state(self)

    @classmethod
    def from_state(cls, tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> SCP:
        """Restore a fitted SCP from its `state`; it has no labels_ and no outlier_scores_."""
        scp = cls(**metadata["parameters"])
        restore(scp, tensors, metadata)
        return scp

    def _number_by_size(self, features: Features) -> None:
        """Labels every row, with the largest cluster as cluster 0; warns of empty ones."""
        labels, margins, sizes = self._filled(features)
        order = np.argsort(-sizes, kind="stable")
        self.head_.reorder(torch.from_numpy(order))
        self.labels_ = np.argsort(order)[labels]
        # A matrix product may round differently in another column: ties are decided once more.
        close = np.flatnonzero(margins < CLOSE)
        for start in range(0, len(close), CHUNK):
            rows = close[start : start + CHUNK]
            again = Features(features.rows(rows))
            self.labels_[rows] = head_labels(self.head_, self.projection_, again)
        if (empty := int((sizes == 0).sum())) > 0:
            warnings.warn(
                f"{empty} of n_clusters={self.n_clusters_} clusters are empty; "
                "fewer clusters may fit the data better.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _filled(self, features: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels and margins of all rows, and sizes of clusters; none empty where it can be."""
        for rounds in range(FILLED + 1):
            labels, margins = labels_and_margins(self.head_, self.projection_, features)
            sizes = np.bincount(labels, minlength=self.n_clusters_)
            if sizes.all() or rounds == FILLED or isinstance(self.head_, MLPHead):
                break
            # Of every cluster some rows: the smallest may be the ones that can be split.
            order = np.argsort(labels, kind="stable")
            points = self.projection_(features.rows(np.sort(order[sample(features.n, SPLIT_ROWS)])))
            if rounds < FILLED - 1:
                fill_empty(self.head_, points, np.flatnonzero(sizes == 0))
            elif len(points) >= self.n_clusters_:
                self.head_ = nearest_centre_head(points, self.n_clusters_)
        return labels, margins, sizes

    def _checked(self, X: Any) -> Features:
        check_is_fitted(self, "head_")
        features = Features(X)
        validate_data(self, X, reset=False, skip_check_array=True, ensure_2d=False)
        if features.dim != self.n_features_in_:
            raise ValueError(
                f"X has {features.dim} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return features


def _device(name: str) -> torch.device:
    try:
        return torch.device(resolve_devices(name)[0])
    except HeadlightError as error:
        raise ValueError(str(error)) from None
