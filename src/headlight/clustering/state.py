"""A fitted SCP as plain arrays and JSON-able metadata, and back; no pickle."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch

from headlight.clustering.heads import MLPHead
from headlight.clustering.projection import Projection
from headlight.clustering.tree_head import head_like

# An SCP is Any here: its module imports this one.
State = tuple[dict[str, np.ndarray], dict[str, Any]]


def to_state(scp: Any) -> State:
    """Tensors and metadata of a fitted SCP; the arrays are copies."""
    tensors = {
        "projection.mean": scp.projection_.mean.numpy(),
        "projection.components": scp.projection_.components.numpy(),
    }
    for name, value in scp.head_.state_dict().items():
        tensors[f"head.{name}"] = value.numpy()
    tensors["linkage"] = scp.linkage_
    parameters = scp.get_params()
    if not isinstance(scp.random_state, Integral):
        parameters["random_state"] = None  # a generator's state is no setting
    if scp.blocks is not None:
        parameters["blocks"] = [int(width) for width in scp.blocks]
    plain = {n: v.item() if isinstance(v, np.generic) else v for n, v in parameters.items()}
    fitted = {
        "n_features_in_": scp.n_features_in_,
        "n_clusters_": scp.n_clusters_,
        "n_iter_": scp.n_iter_,
        "temperature_": scp.temperature_,
        "graph_information_": scp.graph_information_,
    }
    if scp.blocks is not None:
        fitted["blocks_used_"] = scp.blocks_used_.tolist()
    return {n: t.copy() for n, t in tensors.items()}, {"parameters": plain, "fitted": fitted}


def restore(scp: Any, tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Give an SCP with the right parameters its fitted attributes."""
    fitted = dict(metadata["fitted"])
    if "blocks_used_" in fitted:
        scp.blocks_used_ = np.array(fitted.pop("blocks_used_"), dtype=bool)
    for name, value in fitted.items():
        setattr(scp, name, value)
    tensors = dict(tensors)
    scp.linkage_ = np.array(tensors.pop("linkage"))
    loaded = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
    scp.projection_ = Projection(loaded["projection.mean"], loaded["projection.components"])
    weights = {n.removeprefix("head."): t for n, t in loaded.items() if n.startswith("head.")}
    if scp.recipe == "paper":
        scp.head_ = MLPHead(scp.n_features_in_, scp.n_clusters_)
    else:
        scp.head_ = head_like(weights)
    scp.head_.load_state_dict(weights)
    scp.head_.eval()
