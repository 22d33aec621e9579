"""Every constant of the method in one place, with its reason.

An ablation is a subclass: ``class Variant(SCP): constants = replace(SCP.constants, gamma=1.0)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from headlight.errors import HeadlightError


@dataclass(frozen=True)
class Constants:
    """Constants of ``recipe="robust"``; what was measured is in docs/research-notes.md.

    Rows that are read:
        max_rows: rows that are learned from; a small head learns nothing more from more, and memory
            and most of the time stay bounded.
        viewed_rows: rows whose augmented views are used, None for all. More made nothing better
            (CIFAR-10: .567 ± .007 with 4,000 of 50,000, .552 with all), and making views is most of
            the work on large data.
        projection_rows, spectrum_rows: rows that the projection and the eigenvectors are computed
            from.

    Projection:
        principal: principal components that directions are sought in.
        projection_neighbors: neighbours whose differences count as disagreement; 2 were worse.
        shrinkage_views, shrinkage_neighbors: share of the mean variance added to every direction's
            disagreement between views and between neighbours, because few rows overfit it.
        min_directions: with fewer in which pairs agree, others are kept beside them.

    Spaces:
        space_power: of H in I / H^power, by which spaces are compared. 0.8 is as good on the sets
            tried and chooses the wrong space on clusters planted 20 : 1.
        space_tried: partitions of each space that it is chosen by; the rest only in the chosen one.
        space_doubt: standard errors by which a space must be ahead of one that uses more pairs.

    Graph:
        graph_neighbors: neighbours of a row in the graph; pairs take the nearest of them.
        scale_neighbor: index of the neighbour whose distance is a row's own scale; the seventh in
            Zelnik-Manor and Perona.

    Number of clusters:
        level_groups, level_group_rows: small groups that are merged, at most, and rows of one in
            the mean. Merging is cubic in groups; 200 gave the same estimates.
        level_sample, level_directions: rows and principal components that k-means finds groups in.
        level_seeds, level_seeds_alone: groupings of a feature space, and where it is the only one.
        level_likeness: weight of the distance of groups beside the edges between them. 0.1 finds
            more of planted coarse levels; 0.01 is within 30 % of the truth on two subsets more.
        level_share: numbers up to this share of the groups are tried; merging has changed little
            before that.
        level_parsimony: exponent of K on what agreement times modularity lacks to 1: curves are
            flat. 0.01 to 0.03 give nearly the same; from 0.05 CIFAR-10 has 4.
        level_slack, level_factor: the range is of the numbers that lack at most so much more, not
            so many times fewer or more. Found on seven sets: the true number is in it on six (on
            traffic signs, 43 classes, 12 are found).
        level_distance, level_least, most_levels: levels differ by this factor or more, have at
            least this share of the best one's score, and are so many at most.

    Starts:
        max_vectors: eigenvectors that groups are sought in, at most.
        extra_groups, group_rows: clusters are merged from so many more groups than clusters, of so
            many rows or more in the mean.
        group_iterations: of k-means; 15 find no better partitions, since rows move later.
        max_tried, max_work: partitions tried at most, and at most so many times one cluster: with
            many clusters one costs more, and differs less from the next. With 8,
            one of six seeds ends in a poorer optimum on STL-10; 16 are no better than 12.
        most_kept: groups that several partitions keep together, beyond the number of clusters.
        information_power: of H in I / H^power. Lower where classes are even (CIFAR-10: 0.4), higher
            where they are not: one for all.
        move_sweeps: sweeps in which single groups or rows move; most end sooner.

    Head:
        sharpness: a head's logits start as so many times the cosine to its centres.
        start_steps, start_rate: the head learns the partition it starts from in so many steps, at
            this rate of Adam. Centres alone give back less of it (Caltech-101: .759 instead of
            .774, of a partition with .778).
        beta: exponent of the agreement loss, from the start to the end of training. Heads start
            from partitions that are near already: 0.6 lost some of what the starts had found.
        gamma: exponent of a cluster's size in that loss; 1 splits the large clusters of uneven
            data.
        entropy_weight: alpha, which favours clusters of equal size.
        n_epochs, min_steps: passes over the data; on little data as many more as give these steps.
            Twice as many changed no ACC by more than .01.
        batch_size: pairs per step.
        learning_rate: of Adam; it falls to zero along half a cosine.

    Tree:
        most_flat: clusters that one head tells apart; more are found by a tree of heads.
        coarse_groups: groups that coarse clusters are made of, or as many as there are clusters if
            these are fewer.
        row_weight: of rows beside eigenvectors, both of length 1, where these groups are sought.
        branch_rows, branch_cluster_rows: rows that a branch is fitted on, at most, or so many for
            each of its clusters if that is more.
        branch_groups, branch_groups_more: groups that a coarse cluster is merged from, to see how
            many clusters it has: so many times those expected, and so many more.

    Calibration:
        confidence_power: of the share of edges inside clusters, which gives the mean confidence to
            reach; 3 is worse in the mean of 17 sets.
        resamples, resample_rows, resample_cluster_rows: k-means clusterings of random halves of the
            rows, of at most so many rows or so many per cluster.
        temperature_rows: rows that the temperature is fitted on.

    Several encoders:
        fusion_gain: all are used where together they explain so much more of all graphs than the
            best alone.
        fusion_even: else one is used if the best one loses at least so much of its graph, compared
            with what it loses of the best one's. Both found on digits, CIFAR-10, Caltech-101.
    """

    max_rows: int = 200_000
    viewed_rows: int | None = 4_000
    projection_rows: int = 10_000
    spectrum_rows: int = 10_000

    principal: int = 512
    projection_neighbors: int = 4
    shrinkage_views: float = 0.1
    shrinkage_neighbors: float = 0.01
    min_directions: int = 16

    space_power: float = 0.85
    space_tried: int = 6
    space_doubt: float = 1.5

    graph_neighbors: int = 15
    scale_neighbor: int = 6

    level_groups: int = 300
    level_group_rows: int = 5
    level_sample: int = 6_000
    level_directions: int = 64
    level_seeds: int = 2
    level_seeds_alone: int = 3
    level_likeness: float = 0.1
    level_share: float = 0.75
    level_parsimony: float = 0.02
    level_slack: float = 0.2
    level_factor: float = 4.0
    level_distance: float = 2.0
    level_least: float = 0.5
    most_levels: int = 5

    max_vectors: int = 256
    extra_groups: int = 100
    group_rows: int = 4
    group_iterations: int = 5
    max_tried: int = 12
    max_work: int = 400
    most_kept: int = 300
    information_power: float = 0.6
    move_sweeps: int = 20

    sharpness: float = 20.0
    start_steps: int = 100
    start_rate: float = 0.1
    beta: tuple[float, float] = (0.8, 0.9)
    gamma: float = 0.5
    entropy_weight: float = 0.0
    n_epochs: int = 1
    min_steps: int = 100
    batch_size: int = 1024
    learning_rate: float = 0.05

    most_flat: int = 256
    coarse_groups: int = 256
    row_weight: float = 0.5
    branch_rows: int = 10_000
    branch_cluster_rows: int = 40
    branch_groups: int = 3
    branch_groups_more: int = 20

    confidence_power: float = 3.5
    resamples: int = 4
    resample_rows: int = 4_000
    resample_cluster_rows: int = 40
    temperature_rows: int = 4096

    fusion_gain: float = 0.01
    fusion_even: float = 0.8


@dataclass(frozen=True)
class PaperConstants(Constants):
    """Constants of ``recipe="paper"``; those of its outlier scores and graph are inherited.

    The paper (arXiv:2502.04226) names the ingredients; these values are those customary in TAC
    (Image Clustering with External Guidance, ICML 2024), its closest relative.

    Arguments:
        viewed_rows: views are its only pairs: all are used.
        temperature: tau of the cross-view loss.
        entropy_weight: alpha.
        n_epochs, min_steps, batch_size, learning_rate: Adam at a constant rate.
    """

    viewed_rows: int | None = None
    temperature: float = 0.5
    entropy_weight: float = 5.0
    n_epochs: int = 20
    min_steps: int = 0
    batch_size: int = 512
    learning_rate: float = 1e-3


ROBUST = Constants()
PAPER = PaperConstants()
RECIPES = {"robust": ROBUST, "paper": PAPER}


def views_used(recipe: str) -> int | None:
    """Number of images whose augmented views a recipe uses; None: all.

    Raises:
        HeadlightError: there is no such recipe.
    """
    if recipe not in RECIPES:
        raise HeadlightError(f"--recipe {recipe}: give {' or '.join(sorted(RECIPES))}")
    return RECIPES[recipe].viewed_rows
