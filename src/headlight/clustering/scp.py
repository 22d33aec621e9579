"""SCP as a scikit-learn clusterer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from headlight.clustering.assigning import best_two, head_labels, head_probabilities
from headlight.clustering.constants import PAPER, RECIPES, ROBUST, Constants, PaperConstants
from headlight.clustering.description import describe
from headlight.clustering.features import Features, as_features, require_clusterable
from headlight.clustering.hierarchy import cut
from headlight.clustering.paper import fit_paper
from headlight.clustering.robust import fit_robust
from headlight.clustering.state import State, restore, to_state
from headlight.clustering.training import Fitted
from headlight.clustering.tree import fit_tree
from headlight.devices import resolve_devices
from headlight.errors import HeadlightError

# Integer parameters and their least values; those of OPTIONAL may be None.
INTEGERS = {"n_components": 1, "n_neighbors": 1, "n_epochs": 1, "batch_size": 2}
OPTIONAL = ("entropy_weight", "n_epochs", "batch_size", "learning_rate")


class SCP(ClusterMixin, BaseEstimator):
    """Simple Clustering via Pre-trained models: a small head trained on positive pairs.

    Arguments:
        n_clusters: number of clusters K, or "auto", to estimate it (`levels_`). 1 is
            allowed, as everywhere in scikit-learn. Above 256 "robust" fits a tree of heads.
        recipe: "robust", ours: a linear head on directions of the features; it starts from groups
            of the neighbour graph, merged so that they explain it best. Of up to three spaces
            (directions that vary most; in which neighbours agree; in which views agree) the one
            whose groups explain the others' graphs best is chosen. Pairs are neighbours, and views
            if views made the space; the loss is TEMI's weighted agreement. "paper": one MLP head on
            the features as they are, with views as pairs; it needs at least two views. Constants
            that the paper does not give are those of TAC (ICML 2024), its closest relative: Adam
            1e-3, batches of 512, 20 epochs, temperature 0.5, alpha 5.
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
        n_clusters_: int, K. n_clusters_estimate_: `ClusterEstimate`, the estimate with its range
            and evidence; only if n_clusters is "auto".
        levels_: its `Level`s: the numbers of clusters at which the data fall apart, best first.
        linkage_: float64 (K − 1, 4), how clusters merge into coarser ones, as SciPy's `linkage`;
            `merge_to` cuts it.
        cluster_quality_: `ClusterQuality`: cohesion, separation, stability and quality, (K,) each.
        temperature_: float, the divisor of the head's logits. It calibrates confidence by
            the share of neighbours that are in the same cluster.
        graph_information_: float, how well the head's labels explain the neighbour graph: mutual
            information of the clusters at the two ends of an edge, over their entropy to the power
            0.6 (`headlight.clustering.information`).
        outlier_scores_: float32 (n,), mean cosine distance to the nearest neighbours in the
            projected space.
        n_features_in_: int, dim. n_iter_: int, training steps done.
        projection_: `Projection`. head_: the head.
        blocks_used_: bool (n_blocks,); only if blocks are given.

    Class attributes:
        constants, paper_constants: `Constants` of the recipes "robust" and "paper"; a subclass may
            replace some.

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

    constants: ClassVar[Constants] = ROBUST
    paper_constants: ClassVar[PaperConstants] = PAPER

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        recipe: str = "robust",
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
        progress: Callable[[int, int], object] | None = None,
    ) -> SCP:
        """Train a head, and assign every row.

        Arguments:
            X: the `Features` that `headlight.embed` returns, or (n, dim) or (n, views, dim), view 0
                the plain image: a float16/32/64 array, memory map or torch tensor. It is never
                copied to float32 as a whole. "robust" uses augmented views of 4,000 rows; more
                don't help.
            y: ignored.
            progress: called with (steps done, steps in all) after every training step.

        Returns:
            self.
        """
        self._check_parameters()
        device = _device(self.device)
        features = as_features(X)
        k = None if self.n_clusters == "auto" else int(self.n_clusters)
        require_clusterable(
            features, k or 2, needs_views=self.recipe == "paper", blocks=self.blocks
        )
        validate_data(self, X, skip_check_array=True, ensure_2d=False)  # names of columns
        self.n_features_in_ = features.dim
        settings: dict[str, Any] = {
            "n_components": self.n_components,
            "n_neighbors": self.n_neighbors,
            "blocks": None if self.blocks is None else [int(width) for width in self.blocks],
            "device": device,
            "seed": int(check_random_state(self.random_state).randint(2**31 - 1)),
            "progress": progress,
        }
        given = {name: getattr(self, name) for name in OPTIONAL}
        given = {name: value for name, value in given.items() if value is not None}
        if "n_epochs" in given:
            given["min_steps"] = 0
        if self.recipe == "paper":
            paper = replace(self.paper_constants, temperature=self.temperature, **given)
            fitted = fit_paper(features, k, paper, **settings)
        else:
            robust = replace(self.constants, **given)
            if k is None or k <= robust.most_flat:
                fitted = fit_robust(features, k, robust, **settings)
            else:
                fitted = fit_tree(features, k, robust, **settings)
        self._keep(features, fitted)
        return self

    def _keep(self, features: Features, fitted: Fitted) -> None:
        """Set the attributes, the labels of all rows among them."""
        k, graph, rows = fitted.n_clusters, fitted.graph, fitted.rows
        self.n_clusters_, self.n_iter_ = k, fitted.n_steps
        if fitted.estimate is not None:
            self.n_clusters_estimate_ = fitted.estimate
            self.levels_ = fitted.estimate.levels
        if fitted.blocks_used is not None:
            self.blocks_used_ = fitted.blocks_used
        self.projection_, self.temperature_ = fitted.projection, fitted.temperature
        self.graph_information_ = float(fitted.information)
        found = describe(fitted, features, self.constants)
        self.head_, self.labels_ = found.head, found.labels
        self.cluster_quality_, self.linkage_ = found.quality, found.linkage
        if empty := k - len(np.unique(self.labels_)):
            warnings.warn(
                f"{empty} of n_clusters={k} clusters are empty; "
                "fewer clusters may fit the data better.",
                ConvergenceWarning,
                stacklevel=3,
            )
        count = min(self.n_neighbors, graph.near(k).shape[1])
        self.outlier_scores_ = graph.outlier_scores(features, self.projection_, rows, count)

    def _check_parameters(self) -> None:
        """Raise a ValueError that names a parameter that is out of range."""

        def require(name: str, kind: str, good: bool) -> None:
            if not good and not (name in OPTIONAL and getattr(self, name) is None):
                raise ValueError(f"{name}={getattr(self, name)!r}: give {kind}.")

        k = self.n_clusters
        good = k == "auto" if isinstance(k, str) else isinstance(k, Integral) and int(k) >= 1
        require("n_clusters", 'an integer from 1, or "auto"', good)
        require("recipe", " or ".join(f'"{name}"' for name in RECIPES), self.recipe in RECIPES)
        for name, least in INTEGERS.items():
            value = getattr(self, name)
            good = isinstance(value, Integral) and int(value) >= least
            require(name, f"an integer from {least}", good)
        for name in ("temperature", "learning_rate"):
            value = getattr(self, name)
            require(name, "a number above 0", isinstance(value, Real) and float(value) > 0)
        alpha = self.entropy_weight
        require("entropy_weight", "a number from 0", isinstance(alpha, Real) and float(alpha) >= 0)

    def merge_to(self, n_clusters: int) -> np.ndarray:
        """Merge clusters into fewer ones, by `linkage_`.

        `scp.merge_to(5)[scp.labels_]` are the rows' labels for 5 clusters, without another fit.

        Returns:
            int64 (n_clusters_,), the merged cluster of each cluster, 0 to n_clusters − 1.

        Raises:
            ValueError: n_clusters is not 1 to n_clusters_.
        """
        check_is_fitted(self, "linkage_")
        return cut(self.linkage_, n_clusters)

    def predict(self, X: Any) -> np.ndarray:
        """Cluster of each row's view 0: int64 (n,).

        Arguments:
            X: (n, dim), (n, views, dim) or `Features`, dim as at fit.
        """
        features = self._checked(X)
        return head_labels(self.head_, self.projection_, features)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Soft assignment of each row's view 0: float32 (n, n_clusters), rows summing to 1.

        Arguments:
            X: (n, dim), (n, views, dim) or `Features`, dim as at fit.
        """
        features = self._checked(X)
        return head_probabilities(self.head_, self.projection_, features)

    def best_two(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """The two most probable clusters of each row's view 0, without all the others.

        Arguments:
            X: (n, dim), (n, views, dim) or `Features`, dim as at fit; n_clusters_ 2 or more.

        Returns:
            clusters int64 (n, 2), of which the first column is `predict(X)`, and their
            probabilities, float32 (n, 2); with more clusters than one head tells apart, right to a
            thousandth of them.
        """
        features = self._checked(X)
        if self.n_clusters_ < 2:
            raise ValueError("best_two: there is one cluster, and no second.")
        return best_two(self.head_, self.projection_, features)

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

    def _checked(self, X: Any) -> Features:
        check_is_fitted(self, "head_")
        features = as_features(X)
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
