"""The losses: pure functions of soft assignments, each with its equation.

All take P and Q of shape (batch, clusters), rows summing to 1, row i of P and row i of Q the two
sides of positive pair i, and give one number.
"""

from __future__ import annotations

import torch

TINY = 1e-12


def cross_view_loss(P: torch.Tensor, Q: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each cluster's column in one view must match its own column in the other.

    InfoNCE over the 2K normalised columns z of [P, Q], with positive(a) the same cluster's column
    in the other view:
    −(1/2K) Σ_a log( exp(z_a·z_positive(a)/τ) / Σ_{b≠a} exp(z_a·z_b/τ) ).
    Source: SCP, arXiv:2502.04226, cluster-level consistency; first in Contrastive Clustering,
    arXiv:2009.09687, eq. 6.
    """
    K = P.shape[-1]
    columns = torch.cat([P.T, Q.T])
    gram = columns @ columns.T
    # Normalising the Gram matrix (2K × 2K) is the same as normalising the columns (batch × 2K).
    length = gram.diagonal().clamp_min(TINY).sqrt()
    similarity = gram / (length[:, None] * length) / temperature
    itself = torch.eye(2 * K, dtype=torch.bool, device=P.device)
    others = similarity.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    positive = similarity.diagonal(offset=K)
    return others.mean() - positive.mean()


def confidence_loss(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
    """Pairs must agree, and sharply: −log (1/B) Σ_i ⟨p_i, q_i⟩.

    Source: SCP, arXiv:2502.04226, confidence; TAC, arXiv:2310.11989, eq. 11.
    """
    return -(P * Q).sum(dim=1).mean().clamp_min(TINY).log()


def entropy_loss(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
    """Clusters must not collapse: −(H(mean P) + H(mean Q)), with H(p) = −Σ_k p_k log p_k.

    Source: SCP, arXiv:2502.04226, entropy; TAC, arXiv:2310.11989, eq. 12.
    """
    p, q = P.mean(dim=0), Q.mean(dim=0)
    return (p * p.clamp_min(TINY).log() + q * q.clamp_min(TINY).log()).sum()


def agreement_loss(P: torch.Tensor, Q: torch.Tensor, beta: float, gamma: float) -> torch.Tensor:
    """Pairs must agree, and agreement in a small cluster counts for more.

    −(1/B) Σ_i log Σ_k (p_ik q_ik)^β / π_k^γ, with π = (mean P + mean Q) / 2 over the batch. With β
    = γ = 1 it is minus the pointwise mutual information of a pair's assignments. Dividing by π
    keeps clusters from collapsing; γ < 1 allows uneven sizes. β < 1 allows soft assignments; at β =
    1/2 nothing separates clusters, and they collapse.
    Source: TEMI, arXiv:2303.17896, eq. 6 to 8, without its teacher; γ is ours.
    """
    prior = ((P.mean(dim=0) + Q.mean(dim=0)) / 2).clamp_min(TINY)
    weights = beta * (P * Q).clamp_min(TINY).log() - gamma * prior.log()
    return -weights.logsumexp(dim=1).mean()


def scp_loss(
    P: torch.Tensor, Q: torch.Tensor, temperature: float, entropy_weight: float
) -> torch.Tensor:
    """The sum: cross-view + confidence + alpha · entropy. Source: SCP, arXiv:2502.04226."""
    return (
        cross_view_loss(P, Q, temperature)
        + confidence_loss(P, Q)
        + entropy_weight * entropy_loss(P, Q)
    )
