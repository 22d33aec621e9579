"""A head of heads: coarse clusters, and in each a head for its parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from headlight.clustering.heads import LinearHead
from headlight.clustering.projection import Projection

# Rows in blocks of exactly so many, the last one padded: the arithmetic on a row is then the same
# whichever rows come with it.
BLOCK = 256
# Share of a row's probability that a walk may leave out of the sum that it divides by.
LEFT_OUT = 1e-3
# Beyond a tie, in logits.
JUST = 0.01
# A share that has no logarithm otherwise.
LEAST = 1e-30


class Walk(NamedTuple):
    """What a walk down a tree has found of each row.

    Arguments:
        clusters: int64 (n, 2), the most probable cluster and the next.
        log_p: float32 (n, 2), their log-probabilities before the temperature.
        total: float32 (n,), Σ p^(1/T) over all clusters; 0 where no temperature was given.
    """

    clusters: torch.Tensor
    log_p: torch.Tensor
    total: torch.Tensor


class RegionHead(nn.Module):
    """dim → regions, each the sum of some classes of a linear head.

    What belongs to a region may lie anywhere: one linear boundary for all of it would not do.

    Arguments:
        groups: of M classes.
        region: int64 (M,), the region of each, 0 to g − 1.
    """

    region: torch.Tensor

    def __init__(self, groups: LinearHead, region: torch.Tensor) -> None:
        super().__init__()
        self.groups = groups
        self.register_buffer("region", region)
        self.n_clusters = int(region.max()) + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to log-probabilities (batch, regions)."""
        shares = self.groups(x).softmax(dim=1)
        sums = torch.zeros(len(x), self.n_clusters).index_add_(1, self.region, shares)
        return sums.clamp_min(LEAST).log()

    def favour(self, region: int, more: float) -> None:
        """Add `more` to log p/(1 − p) of a region."""
        with torch.no_grad():
            self.groups.bias[self.region == region] += more

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the regions: new region i is old region order[i]."""
        self.region.copy_(order.argsort()[self.region])

    def scale_logits(self, temperature: float) -> None:
        """Divide the logits of the groups by `temperature`."""
        self.groups.scale_logits(temperature)


class Branch(nn.Module):
    """What is inside a coarse cluster.

    Arguments:
        projection: of the rows that the coarse head reads, fitted on those of the cluster.
        head: for its parts; perhaps a tree itself.
    """

    mean: torch.Tensor
    components: torch.Tensor
    head: LinearHead | TreeHead

    def __init__(self, projection: Projection, head: LinearHead | TreeHead) -> None:
        super().__init__()
        self.register_buffer("mean", projection.mean)
        self.register_buffer("components", projection.components)
        self.head = head

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to what the head reads, (batch, d)."""
        return Projection(self.mean, self.components)(x)

    def log_p(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to log-probabilities of the parts (batch, parts)."""
        return log_probabilities(self.head, self.project(x))


class TreeHead(nn.Module):
    """dim → clusters, through coarse clusters: the probabilities multiply.

    The logit of a cluster is (log p of its coarse cluster + log p within that) / T, of heads as
    they were trained. One temperature for the whole changes no order. Were each head made less
    sure on its own, a coarse cluster with few parts would win rows from those with many, for there
    is less to share in it.

    Arguments:
        coarse: the head of the coarse clusters.
        branches: of each coarse cluster, None where it is a cluster itself.
    """

    n_clusters: int
    order: torch.Tensor
    temperature: torch.Tensor

    def __init__(self, coarse: RegionHead, branches: Sequence[Branch | None]) -> None:
        super().__init__()
        self.coarse = coarse
        self.branches = nn.ModuleDict(
            {str(i): branch for i, branch in enumerate(branches) if branch is not None}
        )
        self.sizes = [1 if branch is None else branch.head.n_clusters for branch in branches]
        self.first = torch.tensor([0, *self.sizes]).cumsum(0)[:-1].tolist()
        self.n_clusters = sum(self.sizes)
        # Column i is the leaf order[i], counted from the first coarse cluster to the last.
        self.register_buffer("order", torch.arange(self.n_clusters))
        self.register_buffer("temperature", torch.ones(1))

    def branch(self, i: int) -> Branch | None:
        """What is inside coarse cluster i; None if it is a cluster itself."""
        if str(i) not in self.branches:
            return None
        found = self.branches[str(i)]
        assert isinstance(found, Branch)  # noqa: S101 - for the type checker
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to logits (batch, clusters): every branch is evaluated."""
        return self.log_p(x) / self.temperature

    def log_p(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to log-probabilities before the temperature (batch, clusters)."""
        coarse = log_probabilities(self.coarse, x)
        parts = []
        for i in range(len(self.first)):
            branch, share = self.branch(i), coarse[:, i : i + 1]
            parts.append(share if branch is None else share + branch.log_p(x))
        return torch.cat(parts, dim=1)[:, self.order]

    @torch.no_grad()
    def walk(self, x: torch.Tensor, temperature: float | None = None) -> Walk:
        """The two most probable clusters of each row, by a walk down the tree.

        The two most probable coarse clusters of a row are looked into, and others while they may
        hold a more probable cluster than was found: the first is exact. With a temperature, others
        are looked into until what is left adds less than `LEFT_OUT` to the total. The second
        cluster is the best of what was looked into.

        Arguments:
            x: float32 (n, dim).
            temperature: T, 1 or more, if the total is wanted.
        """
        coarse = in_blocks(lambda rows: log_probabilities(self.coarse, rows), x)
        ranked = coarse.argsort(dim=1, descending=True, stable=True)
        if temperature is not None:
            # Of m parts with shares q, Σ q^(1/T) is m^(1 − 1/T) at most.
            room = torch.tensor(self.sizes).log() * (1 - 1 / temperature)
            left = (coarse / temperature + room).exp().gather(1, ranked)
            left = left.flip(1).cumsum(1).flip(1)
        values, total = torch.full((len(x), 2), -torch.inf), torch.zeros(len(x))
        leaves = torch.zeros(len(x), 2, dtype=torch.int64)
        for rank in range(ranked.shape[1]):
            at = ranked[:, rank]
            share = coarse.gather(1, at[:, None])[:, 0]
            wanted = share > values[:, 0] if rank > 1 else torch.ones(len(x), dtype=torch.bool)
            if temperature is not None:
                wanted |= left[:, rank] > LEFT_OUT * total
            if not wanted.any():
                break
            for i in at[wanted].unique().tolist():
                rows = (wanted & (at == i)).nonzero()[:, 0]
                inside = self._inside(i, x[rows], temperature)
                both = torch.cat([values[rows], share[rows, None] + inside.log_p], dim=1)
                values[rows], place = both.topk(2, dim=1)
                every = torch.cat([leaves[rows], inside.clusters + self.first[i]], dim=1)
                leaves[rows] = every.gather(1, place)
                if temperature is not None:
                    total[rows] += (share[rows] / temperature).exp() * inside.total
        number = torch.empty_like(self.order)
        number[self.order] = torch.arange(self.n_clusters)
        return Walk(number[leaves], values, total)

    def _inside(self, i: int, x: torch.Tensor, temperature: float | None) -> Walk:
        """A walk within coarse cluster i; of a single cluster, or of one part, one column."""
        branch = self.branch(i)
        if branch is None:
            only = torch.zeros(len(x), 1)
            return Walk(only.long(), only, torch.ones(len(x)))
        x = in_blocks(branch.project, x)
        if isinstance(branch.head, TreeHead):
            return branch.head.walk(x, temperature)
        log_p = in_blocks(branch.head, x).log_softmax(dim=1)
        values, which = log_p.topk(min(2, log_p.shape[1]), dim=1)
        total = torch.zeros(len(x))
        if temperature is not None:
            total = (log_p / temperature).exp().sum(dim=1)
        return Walk(which, values, total)

    @torch.no_grad()
    def favour(self, cluster: int, x: torch.Tensor, best: torch.Tensor) -> int | None:
        """Raise the bias of a cluster just enough for it to be the most probable one of a row.

        Of all rows it is the one for which least is enough; none where other clusters are more
        probable than the whole coarse cluster.

        Arguments:
            cluster: its number.
            x: float32 (n, dim).
            best: float32 (n,), what the log-probability must exceed.

        Returns:
            The number of the row.
        """
        leaf = int(self.order[cluster])
        i = bisect_right(self.first, leaf) - 1
        branch = self.branch(i)
        head: RegionHead | LinearHead = self.coarse
        place = i
        if branch is not None:
            best = best - in_blocks(lambda rows: log_probabilities(self.coarse, rows), x)[:, i]
            x, place = in_blocks(branch.project, x), leaf - self.first[i]
            if isinstance(branch.head, TreeHead):
                return branch.head.favour(place, x, best)
            head = branch.head
        log_p = in_blocks(lambda rows: log_probabilities(head, rows), x)[:, place]
        # A bias raised by δ raises log p/(1 − p) by δ.
        more = torch.logit(best.double().exp()) - torch.logit(log_p.double().exp(), eps=1e-12)
        row = int(torch.where(more.isfinite(), more, torch.inf).argmin())
        if not more[row].isfinite():
            return None
        head.favour(place, float(more[row]) + JUST)
        return row

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the clusters: new cluster i is old cluster order[i]."""
        self.order.copy_(self.order[order])

    def scale_logits(self, temperature: float) -> None:
        """Divide the logits by `temperature`."""
        self.temperature.mul_(temperature)


def log_probabilities(head: LinearHead | RegionHead | TreeHead, x: torch.Tensor) -> torch.Tensor:
    """Float32 (batch, dim) to those of the head's clusters, of a tree before its temperature."""
    found: torch.Tensor
    if isinstance(head, TreeHead):
        found = head.log_p(x)
    else:
        found = head(x) if isinstance(head, RegionHead) else head(x).log_softmax(dim=1)
    return found


def in_blocks(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A function of rows, in blocks of `BLOCK`: float32 (n, dim) to (n, …)."""
    block = torch.zeros(BLOCK, x.shape[1])
    done = []
    for start in range(0, len(x), BLOCK):
        part = x[start : start + BLOCK]
        block[: len(part)] = part
        done.append(function(block)[: len(part)])
    return torch.cat(done) if done else function(block)[:0]


def head_like(tensors: Mapping[str, torch.Tensor]) -> LinearHead | TreeHead:
    """A head of the shape that its tensors, of `state_dict`, have; they are still to be loaded."""
    if "order" not in tensors:
        clusters, dim = tensors["weight"].shape
        return LinearHead(dim, clusters)
    groups = LinearHead(*reversed(tensors["coarse.groups.weight"].shape))
    branches: list[Branch | None] = []
    for i in range(int(tensors["coarse.region"].max()) + 1):
        start = f"branches.{i}."
        own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        if not own:
            branches.append(None)
            continue
        inside = {n.removeprefix("head."): t for n, t in own.items() if n.startswith("head.")}
        branches.append(Branch(Projection(own["mean"], own["components"]), head_like(inside)))
    return TreeHead(RegionHead(groups, tensors["coarse.region"].clone()), branches)
