"""A head of heads: coarse clusters, and in each a head for its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from headlight.clustering.heads import LinearHead
from headlight.clustering.projection import Projection

# Rows in blocks of exactly so many, the last one padded: the arithmetic on a row is then the same
# whichever rows come with it.
BLOCK = 256


class Branch(nn.Module):
    """What is inside a coarse cluster.

    Arguments:
        projection: of the rows that the coarse head reads, fitted on those of the cluster.
        head: for its parts; perhaps a tree itself.
    """

    def __init__(self, projection: Projection, head: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", projection.mean)
        self.register_buffer("components", projection.components)
        self.head = head

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to what the head reads, (batch, d)."""
        return Projection(self.mean, self.components)(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to log-probabilities of the parts (batch, parts)."""
        return self.head(self.project(x)).log_softmax(dim=1)


class TreeHead(nn.Module):
    """dim → clusters, through coarse clusters: the probabilities multiply.

    Arguments:
        coarse: the head of the coarse clusters.
        branches: of each coarse cluster, None where it is a cluster itself.
    """

    def __init__(self, coarse: nn.Module, branches: Sequence[Branch | None]) -> None:
        super().__init__()
        self.coarse = coarse
        self.branches = nn.ModuleDict(
            {str(i): branch for i, branch in enumerate(branches) if branch is not None}
        )
        sizes = [1 if branch is None else branch.head.n_clusters for branch in branches]
        self.first = torch.tensor([0, *sizes]).cumsum(0)[:-1]  # natural number of the first part
        self.n_clusters = sum(sizes)
        self.register_buffer("order", torch.arange(self.n_clusters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to log-probabilities (batch, clusters): every branch is evaluated."""
        coarse = self.coarse(x).log_softmax(dim=1)
        parts = [
            coarse[:, i : i + 1] + self.branches[str(i)](x)
            if str(i) in self.branches
            else coarse[:, i : i + 1]
            for i in range(len(self.first))
        ]
        return torch.cat(parts, dim=1)[:, self.order]

    @torch.no_grad()
    def best_two(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The most probable cluster of each row, and the next one, by a walk down the tree.

        The two most probable coarse clusters of a row are looked into, and others while they may
        hold a more probable cluster than was found. So the first is exact; the second is the best
        of those that were looked into.

        Arguments:
            x: float32 (n, dim).

        Returns:
            clusters int64 (n, 2), log-probabilities float32 (n, 2).
        """
        coarse = in_blocks(lambda rows: self.coarse(rows).log_softmax(dim=1), x)
        ranked = coarse.argsort(dim=1, descending=True, stable=True)
        values = torch.full((len(x), 2), -torch.inf)
        found = torch.zeros(len(x), 2, dtype=torch.int64)
        for rank in range(ranked.shape[1]):
            at = ranked[:, rank]
            share = coarse.gather(1, at[:, None])[:, 0]
            wanted = torch.ones(len(x), dtype=torch.bool) if rank < 2 else share > values[:, 0]
            if not wanted.any():
                break
            for i in at[wanted].unique().tolist():
                rows = (wanted & (at == i)).nonzero()[:, 0]
                which, log_p = self._inside(i, x[rows])
                log_p += share[rows, None]
                both = torch.cat([values[rows], log_p], dim=1)
                values[rows], place = both.topk(2, dim=1)
                every = torch.cat([found[rows], which], dim=1)
                found[rows] = every.gather(1, place)
        number = torch.empty_like(self.order)
        number[self.order] = torch.arange(self.n_clusters)
        return number[found], values

    def _inside(self, i: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Natural numbers of the two best parts of coarse cluster i, and their log-probability."""
        if str(i) not in self.branches:
            which = torch.zeros(len(x), 1, dtype=torch.int64)
            log_p = torch.zeros(len(x), 1)
        else:
            branch = self.branches[str(i)]
            which, log_p = best_two(branch.head, in_blocks(branch.project, x))
        return which + self.first[i], log_p

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the clusters: new cluster i is old cluster order[i]."""
        self.order.copy_(self.order[order])


def best_two(head: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two most probable clusters of each row, and their log-probabilities.

    Arguments:
        head: in evaluation mode.
        x: float32 (n, dim).

    Returns:
        clusters int64 (n, 2) and float32 (n, 2); of a head with one cluster (n, 1).
    """
    if isinstance(head, TreeHead):
        return head.best_two(x)
    log_p = in_blocks(lambda rows: head(rows).log_softmax(dim=1), x)
    values, which = log_p.topk(min(2, log_p.shape[1]), dim=1)
    return which, values


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
    clusters, dim = tensors["coarse.weight"].shape
    branches: list[Branch | None] = []
    for i in range(clusters):
        start = f"branches.{i}."
        own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        if not own:
            branches.append(None)
            continue
        inside = {n.removeprefix("head."): t for n, t in own.items() if n.startswith("head.")}
        branches.append(Branch(Projection(own["mean"], own["components"]), head_like(inside)))
    return TreeHead(LinearHead(dim, clusters), branches)
