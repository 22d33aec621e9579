"""TEMI: "Exploring the Limits of Deep Image Clustering using Pretrained Models".

arXiv:2303.17896, BMVC 2023.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch

from benchmarks.methods.base import MethodFit, NeighbourPairs, Space, unit_variance
from benchmarks.methods.data import Features

WITH_VIEWS = True

N_NEIGHBORS = 50
N_HEADS = 8
WIDTH = (512, 256)
BETA = 0.6
TEMPERATURE = 0.1  # of students and teachers
TEACHER_MOMENTUM = 0.996
MARGINAL_MOMENTUM = 0.9
LEARNING_RATE = 4e-4
WEIGHT_DECAY = 1e-4
BATCH = 256
STEPS = 1500
WARM_UP_STEPS = 300


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    Student heads learn from the moving average of themselves, on pairs of an image and one of its
    50 nearest neighbours, each in any view there is. The teacher of lowest loss labels.

    As in the paper and its authors' settings: 50 neighbours, beta = 0.6, MLP heads (512 and 256
    wide, GELU), both temperatures 0.1, teacher momentum 0.996, marginals averaged with 0.9, AdamW
    at 4e-4 (1e-4 for each 256 of their batches of 1,024), weight decay 1e-4, a fifth of the
    training to warm up. Not as there, for the time it takes on a CPU: 8 heads instead of 16 or 50,
    and 1,500 steps of 256 pairs instead of 100 epochs (on 4,000 images that is the same; on 50,000
    it is 8 epochs). Inputs are projected (`Space`: on 1,280 dimensions a step is three times the
    work) and scaled (`unit_variance`).
    """
    space = Space(features, seed)
    pairs = NeighbourPairs(space, N_NEIGHBORS, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        students = Heads(space.dim, n_clusters)
    teachers, marginals = train(students, pairs)
    best = int(judge(teachers, pairs, marginals).argmin())

    @torch.no_grad()
    def label(points: np.ndarray) -> np.ndarray:
        parts = unit_variance(torch.from_numpy(points)).split(4096)
        return torch.cat([teachers(part)[best].argmax(dim=1) for part in parts]).numpy()

    return MethodFit(label(space.points()), lambda plain: label(space.new(plain)))


class Heads(torch.nn.Module):
    """MLPs side by side: rows (batch, dim) to assignments (heads, batch, clusters).

    DINO's heads, as TEMI uses them: a hidden layer with GELU and a linear bottleneck, then cosines
    with a direction for each cluster, times a learnt scale that starts at 1.
    """

    def __init__(self, dim: int, n_clusters: int) -> None:
        super().__init__()
        hidden, bottleneck = WIDTH

        def weight(rows: int, columns: int) -> torch.nn.Parameter:
            start = torch.nn.init.trunc_normal_(torch.empty(N_HEADS, rows, columns), std=0.02)
            return torch.nn.Parameter(start)

        def bias(columns: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.zeros(N_HEADS, 1, columns))

        self.hidden, self.hidden_bias = weight(dim, hidden), bias(hidden)
        self.bottleneck, self.bottleneck_bias = weight(hidden, bottleneck), bias(bottleneck)
        self.directions = weight(bottleneck, n_clusters)
        self.scales = torch.nn.Parameter(torch.ones(N_HEADS, 1, n_clusters))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Softmax at the temperature."""
        normalize, gelu = torch.nn.functional.normalize, torch.nn.functional.gelu
        x = gelu(torch.baddbmm(self.hidden_bias, rows.expand(N_HEADS, -1, -1), self.hidden))
        x = normalize(torch.baddbmm(self.bottleneck_bias, x, self.bottleneck), dim=2)
        logits = self.scales * (x @ normalize(self.directions, dim=1))
        return (logits / TEMPERATURE).softmax(dim=2)


def agreement(teacher_p: torch.Tensor, teacher_q: torch.Tensor) -> torch.Tensor:
    """How surely the teachers put both images of each pair into one cluster: (batch,).

        w(x, x') = (1/H) Σ_h Σ_c q_t(c|x) q_t(c|x')

    Arguments:
        teacher_p, teacher_q: (heads, batch, clusters).
    """
    return (teacher_p * teacher_q).sum(dim=2).mean(dim=0)


def pmi(
    student: torch.Tensor, teacher: torch.Tensor, marginals: torch.Tensor, beta: float
) -> torch.Tensor:
    """Pointwise mutual information of pairs, its variant with beta: (heads, batch).

        pmi(x, x') = log Σ_c (q_s(c|x) q_t(c|x'))^β / q̃_t(c)

    With β = 1 one-hot assignments spread evenly are best; a smaller β dampens that, and lets
    clusters differ in size.

    Arguments:
        student: (heads, batch, clusters), of one image of each pair.
        teacher: the same, of the other image.
        marginals: q̃_t, (heads, clusters), the teachers' mean assignment.
    """
    joint = (student * teacher).clamp_min(1e-12) ** beta
    return (joint / marginals[:, None]).sum(dim=2).log()


def temi_loss(
    student: tuple[torch.Tensor, torch.Tensor],
    teacher: tuple[torch.Tensor, torch.Tensor],
    marginals: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """The paper's objective, of each head (heads,).

        L = -(1/2B) Σ_i w(x_i, x_i') (pmi(x_i, x_i') + pmi(x_i', x_i))

    Arguments:
        student, teacher: assignments (heads, batch, clusters) of x and of x'.
        marginals, beta: see `pmi`.
    """
    both = pmi(student[0], teacher[1], marginals, beta) + pmi(
        student[1], teacher[0], marginals, beta
    )
    return -(agreement(*teacher) * both / 2).mean(dim=1)


def train(students: Heads, pairs: NeighbourPairs) -> tuple[Heads, torch.Tensor]:
    """The teachers, and their marginals (heads, clusters)."""
    teachers = deepcopy(students).requires_grad_(False)
    n_clusters = students.scales.shape[2]
    marginals = torch.full((N_HEADS, n_clusters), 1 / n_clusters)
    adam = torch.optim.AdamW(students.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    rise = torch.optim.lr_scheduler.LambdaLR(adam, lambda i: min(1.0, (i + 1) / WARM_UP_STEPS))
    for images, neighbours in pairs.batches(BATCH, STEPS):
        teacher = teachers(images), teachers(neighbours)
        mean = (teacher[0].mean(dim=1) + teacher[1].mean(dim=1)) / 2
        marginals.lerp_(mean, 1 - MARGINAL_MOMENTUM)
        adam.zero_grad()
        student = students(images), students(neighbours)
        temi_loss(student, teacher, marginals, BETA).mean().backward()
        adam.step()
        rise.step()
        with torch.no_grad():
            for ours, theirs in zip(teachers.parameters(), students.parameters(), strict=True):
                ours.lerp_(theirs, 1 - TEACHER_MOMENTUM)
    return teachers, marginals


@torch.no_grad()
def judge(teachers: Heads, pairs: NeighbourPairs, marginals: torch.Tensor) -> torch.Tensor:
    """The loss of each head (heads,) over all images, teachers in the place of students."""
    total = torch.zeros(N_HEADS)
    for images, neighbours in pairs.every():
        both = teachers(images), teachers(neighbours)
        total += len(images) * temi_loss(both, both, marginals, BETA)
    return total / pairs.n
