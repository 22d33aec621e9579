"""A linear head learned from groups: what the model of the groups and a refit have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headlight.clustering.features import sample

if TYPE_CHECKING:
    import torch

SCALE = 8.0  # rows of length 1 are short for a linear map: weights would have to be large
CHUNK = 4096

# Of `learn_groups`.
HAND_WEIGHT = 5.0  # an image placed by a person counts as much as so many others, at first
PENALTY = 1e-2  # at first
STEP = 10**0.5  # by which either changes from round to round
ROUNDS = 8
AGREES, AGREES_BY_HAND = 0.965, 0.99  # shares of images at which the head is good enough
GAIN, STALLED = 0.002, 2  # after so many rounds that gain less in both it ends
SIZE_POWER = 0.5  # of a group's size: 0 counts images, 1 groups
SHARPNESS = 10.0  # a head's logits start as so many times the cosine to its centres
STEPS, LEAST_STEPS = 30, 5
FEW, STEPS_OF_FEW = 1000, 300  # rows for which a round is cheap to end
WORK = 4e11  # floating-point operations of a round, about: with very many groups fewer steps
MOST_ROWS = 20_000  # learned from; images placed by hand come first
HELD_OUT = 4096


def learn_head(
    rows: torch.Tensor,
    y: np.ndarray,
    weight: np.ndarray,
    n_groups: int,
    *,
    penalty: float,
    steps: int,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Weights, and biases in the last row, that minimise the weighted cross-entropy.

    Σ_i w_i −log p_i(y_i) / Σ_i w_i + penalty · |head|², by L-BFGS.

    Arguments:
        rows: float16 or float32 (m, dim), of length 1; they are scaled by `SCALE`.
        y: int64 (m,), groups, 0 to K − 1.
        weight: float32 (m,), of the rows.
        n_groups: K.
        penalty: on squared weights.
        steps: of L-BFGS at most.
        start: float32 (dim + 1, K); None: 0.

    Returns:
        float32 (dim + 1, K), for rows scaled alike.
    """
    import torch

    target, scaled = torch.from_numpy(y), rows.float() * SCALE
    share = torch.from_numpy((weight / weight.sum()).astype(np.float32))
    head = torch.zeros(rows.shape[1] + 1, n_groups) if start is None else start.clone()
    head.requires_grad_(True)
    optimiser = torch.optim.LBFGS([head], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        # In chunks, and with the gradient written out: memory stays bounded with many groups.
        now = head.detach()
        gradient = 2 * penalty * now
        total = penalty * now.square().sum()
        for first in range(0, len(rows), CHUNK):
            part = slice(first, first + CHUNK)
            x = scaled[part]
            log_p = torch.addmm(now[-1], x, now[:-1]).log_softmax(dim=1)
            own = target[part, None]
            total -= (share[part] * log_p.gather(1, own)[:, 0]).sum()
            wrong = log_p.exp_()
            wrong.scatter_add_(1, own, torch.full(own.shape, -1.0))
            wrong *= share[part, None]
            gradient[:-1] += x.T @ wrong
            gradient[-1] += wrong.sum(dim=0)
        head.grad = gradient
        return total

    optimiser.step(loss)
    return head.detach()


def logits_of(head: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Float32 (m, K) of a head of `learn_head`, for rows of length 1."""
    import torch

    return torch.addmm(head[-1], rows.float() * SCALE, head[:-1])


@dataclass(frozen=True)
class Learned:
    """What `learn_groups` found.

    Arguments:
        weight: float32 (K, dim), bias: float32 (K,): logits of rows of length 1, calibrated.
        temperature: by which the logits have been divided.
        rounds: of learning.
        right: bool (n,), whether it puts the row in its own group.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    temperature: float
    rounds: int
    right: np.ndarray


def learn_groups(
    rows: np.ndarray, y: np.ndarray, by_hand: np.ndarray, confidence: np.ndarray
) -> Learned:
    """The smoothest head that agrees with the groups.

    A head with a high penalty differs from the groups where they are odd: it is right more often on
    new images, but says something else of known ones. So the penalty falls from round to round
    until the head agrees with 96.5 % of all images and 99 % of those placed by hand; if these alone
    lag behind, their weight rises. docs/research-notes.md has what was measured: a loss that makes
    neighbours agree, as SCP's, gained nothing beside the penalty.

    The temperature is found on images that a second head, learned alike, has not seen: their mean
    confidence is the share that it puts in their group.

    Arguments:
        rows: float16 (n, dim), of length 1.
        y: int64 (n,), groups, 0 to K − 1, each at least once.
        by_hand: bool (n,), placed by a person.
        confidence: float32 (n,), of the fit, 0 to 1: how much a group not given by hand counts.
    """
    import torch

    task = _Task.of(torch.from_numpy(rows), y, by_hand, confidence)
    head, (hands, penalty), rounds, right = _smoothest(task)
    temperature = 1.0
    held = _held_out(y, np.bincount(y))
    if task.n_groups > 1 and len(held):
        other = task.head(np.setdiff1d(task.learned, held), hands, penalty)
        logits = logits_of(other, task.rows[torch.from_numpy(held)])
        temperature = _temperature(logits, y[held])
    weight = (head[:-1].T * (SCALE / temperature)).contiguous()
    return Learned(weight, head[-1] / temperature, temperature, rounds, right)


@dataclass(frozen=True)
class _Task:
    """What heads are learned from.

    Arguments:
        rows: (n, dim). y: int64 (n,). by_hand: bool (n,). n_groups: K. As in `learn_groups`.
        learned: int64 (m,), the rows that are learned from, sorted.
        weight: float64 (n,), of the rows.
        steps: of a round.
    """

    rows: torch.Tensor
    y: np.ndarray
    by_hand: np.ndarray
    n_groups: int
    learned: np.ndarray
    weight: np.ndarray
    steps: int

    @classmethod
    def of(
        cls, rows: torch.Tensor, y: np.ndarray, by_hand: np.ndarray, confidence: np.ndarray
    ) -> _Task:
        sizes = np.bincount(y)
        learned, stands_for = _drawn(y, by_hand, sizes)
        # Half of it: with all of it, unsure images that keep their group cost too much smoothness.
        weight = np.where(by_hand, HAND_WEIGHT, (0.5 + confidence / 2) * stands_for[y])
        weight *= (sizes[y] / sizes.mean()) ** -SIZE_POWER
        work = 4.0 * len(learned) * rows.shape[1] * len(sizes)
        most = STEPS if len(learned) > FEW else STEPS_OF_FEW
        steps = int(np.clip(WORK / work, LEAST_STEPS, most))
        return cls(rows, y, by_hand, len(sizes), learned, weight, steps)

    def head(
        self, some: np.ndarray, hands: float, penalty: float, start: torch.Tensor | None = None
    ) -> torch.Tensor:
        """A head learned from some of the rows, of which those placed by hand weigh more."""
        import torch

        rows, y = self.rows[torch.from_numpy(some)], self.y[some]
        weight = np.where(self.by_hand[some], hands, 1.0) * self.weight[some]
        if start is None:
            start = _centre_head(rows, y, weight, self.n_groups)
        return learn_head(
            rows, y, weight, self.n_groups, penalty=penalty, steps=self.steps, start=start
        )


def _smoothest(task: _Task) -> tuple[torch.Tensor, tuple[float, float], int, np.ndarray]:
    """The first head that agrees with enough rows, of ever less smooth ones.

    If there is none, as where places given by hand contradict each other, the one that agrees with
    most rows, each placed by hand counted as `HAND_WEIGHT` others.

    Returns:
        the head; by how much more images placed by hand weighed, and the penalty; the rounds; and
        which rows it puts in their group.
    """
    hands, penalty = 1.0, PENALTY
    head: torch.Tensor | None = None
    before, most = (0.0, 0.0), -1.0
    rounds, stalled = 1, 0
    while True:
        head = task.head(task.learned, hands, penalty, head)
        right = _right(head, task.rows, task.y)
        by_hand = float(right[task.by_hand].mean()) if task.by_hand.any() else 1.0
        agreed = float(right.mean()), by_hand
        enough, enough_by_hand = agreed[0] >= AGREES, agreed[1] >= AGREES_BY_HAND
        done = enough and enough_by_hand
        value = float(np.average(right, weights=np.where(task.by_hand, HAND_WEIGHT, 1.0)))
        if done or value > most:
            best, most = (head, (hands, penalty), right), value
        gained = max(agreed[0] - before[0], agreed[1] - before[1])
        # While images placed by hand lag behind, their weight may still do it; of few images a
        # single one is more than the gain.
        stays = gained < GAIN and enough_by_hand and len(task.learned) > FEW
        stalled = stalled + 1 if stays else 0
        if done or stalled == STALLED or rounds == ROUNDS:
            return best[0], best[1], rounds, best[2]
        before = agreed
        penalty /= 1 if enough else STEP
        # A lower penalty is mostly enough for them, and more weight costs agreement elsewhere.
        if not enough_by_hand and (enough or rounds >= ROUNDS // 2):
            hands *= STEP
        rounds += 1


def _drawn(y: np.ndarray, by_hand: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, and how many of its group each one not placed by hand stands for.

    Small groups are kept whole, and of the large ones as many rows each as there is room for.

    Returns:
        int64 (m,), sorted; float64 (K,).
    """
    hand, others = np.flatnonzero(by_hand), np.flatnonzero(~by_hand)
    hand = hand[sample(len(hand), MOST_ROWS)]
    there = np.bincount(y[others], minlength=len(sizes))
    room = max(MOST_ROWS - len(hand), len(sizes))
    low, high = 1, len(y)  # rows of a group at most
    while low < high:
        middle = (low + high + 1) // 2
        fits = np.minimum(there, middle).sum() <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    order = np.random.default_rng(0).permutation(others)
    order = order[np.argsort(y[order], kind="stable")]
    place = np.arange(len(order)) - np.repeat(np.cumsum(there) - there, there)
    kept = np.sort(np.concatenate([hand, order[place < low]]))
    return kept, there / np.clip(there, 1, low)


def _centre_head(
    points: torch.Tensor, y: np.ndarray, weight: np.ndarray, n_groups: int
) -> torch.Tensor:
    """The head whose logits are `SHARPNESS` times the cosine to the groups' centres."""
    import torch

    centres = torch.zeros(n_groups, points.shape[1])
    share = torch.from_numpy(weight.astype(np.float32))[:, None]
    for first in range(0, len(points), CHUNK):
        part = slice(first, first + CHUNK)
        centres.index_add_(0, torch.from_numpy(y[part]), points[part].float() * share[part])
    centres = torch.nn.functional.normalize(centres, dim=1)
    return torch.cat([centres.T * (SHARPNESS / SCALE), torch.zeros(1, n_groups)])


def _right(head: torch.Tensor, points: torch.Tensor, y: np.ndarray) -> np.ndarray:
    """Whether a head puts each row in its group: bool (n,)."""
    right = np.empty(len(y), bool)
    for first in range(0, len(y), CHUNK):
        part = slice(first, first + CHUNK)
        right[part] = logits_of(head, points[part]).argmax(dim=1).numpy() == y[part]
    return right


def _held_out(y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A fifth of the rows of groups that can spare one, at most `HELD_OUT`: int64, sorted."""
    some = np.flatnonzero(sizes[y] >= 5)
    return some[sample(len(some), min(len(some) // 5, HELD_OUT))]


def _temperature(logits: torch.Tensor, y: np.ndarray) -> float:
    """At which the mean confidence in rows not learned from is the share that are right."""
    from headlight.clustering.calibration import fit_temperature

    right = int((logits.argmax(dim=1).numpy() == y).sum())
    # As if one more were right and one wrong: of few rows all may be right by chance.
    return fit_temperature(logits, (right + 1) / (len(y) + 2))
