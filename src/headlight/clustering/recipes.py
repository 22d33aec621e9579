"""The two recipes: every constant of the method in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from headlight.errors import HeadlightError


@dataclass(frozen=True)
class Recipe:
    """Constants of one way to train.

    Arguments:
        head: "linear" (several, on projected features) or "mlp" (one, on the features as they are).
        pairs: "neighbours × views" or "views".
        loss: "scp", the paper's sum, or "agreement", weighted agreement of pairs after TEMI.
        entropy_weight: alpha, which favours clusters of equal size.
        n_epochs: passes over the data.
        min_steps: on little data, epochs are added until there are this many steps.
        batch_size: pairs per step.
        learning_rate: of Adam, at the start.
        most_viewed: rows whose augmented views are used; None: all.
        decay: whether the learning rate decays to zero by a cosine schedule.
        beta, gamma: exponents of the agreement loss; beta moves from the first to the second.
    """

    head: str
    pairs: str
    loss: str
    entropy_weight: float
    n_epochs: int
    min_steps: int
    batch_size: int
    learning_rate: float
    decay: bool
    beta: tuple[float, float] = (1.0, 1.0)
    gamma: float = 1.0
    most_viewed: int | None = None

    def for_data(self, n: int, **given: Any) -> Recipe:
        """The same with a user's own values, and sizes that fit the data.

        Arguments:
            n: rows that pairs start from.
            given: of ``entropy_weight``, ``n_epochs``, ``batch_size``, ``learning_rate`` those the
                user set; None where the recipe's own holds.
        """
        own = {name: value for name, value in given.items() if value is not None}
        recipe = replace(self, **own)
        batch = min(recipe.batch_size, n)
        epochs = recipe.n_epochs
        if "n_epochs" not in own:
            epochs = max(epochs, math.ceil(recipe.min_steps / (n // batch)))
        return replace(recipe, batch_size=batch, n_epochs=epochs)


# The paper (arXiv:2502.04226) names the ingredients; these values are those customary in TAC
# (Image Clustering with External Guidance, ICML 2024), its closest relative.
PAPER = Recipe(
    head="mlp",
    pairs="views",
    loss="scp",
    entropy_weight=5.0,
    n_epochs=20,
    min_steps=0,
    batch_size=512,
    learning_rate=1e-3,
    decay=False,
)

ROBUST = Recipe(
    head="linear",
    pairs="neighbours × views",
    loss="agreement",
    entropy_weight=0.0,
    n_epochs=1,
    # Twice as many changed no ACC by more than .01 (docs/research-notes.md).
    min_steps=100,
    batch_size=1024,
    learning_rate=0.2,
    decay=True,
    # Heads start from partitions that are near already: softer assignments (beta 0.6) lost some of
    # what spectral starts had found. gamma = 1 splits the large clusters of uneven data.
    beta=(0.8, 0.9),
    gamma=0.5,
    # More made nothing better (CIFAR-10: .567 ± .007 with 4,000 of 50,000, .552 with all), and
    # making views is most of the work on large data.
    most_viewed=4000,
)

RECIPES = {"paper": PAPER, "robust": ROBUST}


def views_used(recipe: str) -> int | None:
    """Number of images whose augmented views a recipe uses; None: all.

    Raises:
        HeadlightError: there is no such recipe.
    """
    if recipe not in RECIPES:
        raise HeadlightError(f"--recipe {recipe}: give {' or '.join(sorted(RECIPES))}")
    return RECIPES[recipe].most_viewed
