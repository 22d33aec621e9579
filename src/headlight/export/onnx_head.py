"""Projection and head of the model of the groups as one ONNX graph, node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headlight.review.model import NONE, GroupsModel, References

if TYPE_CHECKING:
    import onnx

    from headlight.clustering import SCP

OPSET = 17
IR_VERSION = 8  # of ONNX 1.10 and later: what runtimes of the last years read
SMALLEST = 1e-12  # length below which a projected row counts as zero, as in PyTorch


class GraphBuilder:
    """Nodes and constants, collected one after the other."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an array and return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, out: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=out, **attributes))
        return out


def head_model(model: GroupsModel, opset: int = OPSET) -> onnx.ModelProto:
    """The graph from features to labels and probabilities.

    Arguments:
        model: of the groups.
        opset: version of ONNX's operators, 13 or later.

    Returns:
        A model. Input ``features``, float32 (n, dim). Outputs ``labels``, int64 (n,), numbers of
        groups, −1 where a row is in none, and ``probabilities``, float32 (n, groups), in the order
        of ``model.groups``.
    """
    from onnx import TensorProto, helper

    graph = GraphBuilder()
    scp = model.scp
    axes = scp.projection_.mean, scp.projection_.components
    unit = _unit(graph, "features", *axes) if model.references or not _is_mlp(scp.head_) else ""
    logits = _logits(graph, scp, unit)
    graph.node("Softmax", logits, out="probabilities", axis=1)
    first = graph.node("ArgMax", "probabilities", out="first", axis=1, keepdims=0)
    numbers = graph.constant("groups", np.array(model.groups, np.int64))
    if model.references is None:
        graph.node("Gather", numbers, first, out="labels", axis=0)
    else:
        nearest = graph.node("Gather", numbers, first, out="nearest", axis=0)
        belongs = _belongs(graph, unit, model.references)
        none = graph.constant("none", np.array(NONE, np.int64))
        graph.node("Where", belongs, nearest, none, out="labels")
    tensor = helper.make_tensor_value_info
    whole = helper.make_graph(
        graph.nodes,
        "headlight",
        [tensor("features", TensorProto.FLOAT, ["n", scp.n_features_in_])],
        [
            tensor("labels", TensorProto.INT64, ["n"]),
            tensor("probabilities", TensorProto.FLOAT, ["n", len(model.groups)]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        whole, opset_imports=opsets, ir_version=IR_VERSION, producer_name="headlight"
    )


def _logits(graph: GraphBuilder, scp: SCP, unit: str) -> str:
    """Nodes from the input of a head, features or their projection ``unit``, to its logits."""
    head: Any = scp.head_
    if _is_tree(head):
        log_p = _log_p(graph, head, unit, "")
        temperature = graph.constant("temperature", head.temperature.numpy())
        return graph.node("Div", log_p, temperature, out="logits")
    if not _is_mlp(head):
        return _linear(graph, unit, "logits", _array(head.weight), _array(head.bias))
    weight, bias = _without_norm(head)
    hidden = _linear(graph, "features", "hidden", weight, bias)
    relu = graph.node("Relu", hidden, out="relu")
    return _linear(graph, relu, "logits", _array(head.out.weight), _array(head.out.bias))


def _log_p(graph: GraphBuilder, head: Any, x: str, name: str) -> str:
    """Nodes from what a linear head or a tree reads to the logarithms of its probabilities.

    Arguments:
        name: what the names of these nodes begin with.
    """
    if not _is_tree(head):
        linear = _linear(graph, x, f"{name}logits", _array(head.weight), _array(head.bias))
        return graph.node("LogSoftmax", linear, out=f"{name}log_p", axis=1)
    coarse = _regions(graph, head.coarse, x, f"{name}coarse_")
    parts = []
    for i in range(len(head.sizes)):
        own = f"{name}{i}_"
        column = graph.constant(f"{own}column", np.array([i], np.int64))
        share = graph.node("Gather", coarse, column, out=f"{own}share", axis=1)
        if branch := head.branch(i):
            inner = _unit(graph, x, branch.mean, branch.components, own)
            inside = _log_p(graph, branch.head, inner, f"{own}inner_")
            share = graph.node("Add", share, inside, out=f"{own}parts")
        parts.append(share)
    leaves = graph.node("Concat", *parts, out=f"{name}leaves", axis=1)
    order = graph.constant(f"{name}order", head.order.numpy())
    return graph.node("Gather", leaves, order, out=f"{name}log_p", axis=1)


def _regions(graph: GraphBuilder, head: Any, x: str, name: str) -> str:
    """Nodes of a `RegionHead`: to the logarithms of the regions' probabilities."""
    from headlight.clustering.tree_head import LEAST

    groups = head.groups
    linear = _linear(graph, x, f"{name}logits", _array(groups.weight), _array(groups.bias))
    shares = graph.node("Softmax", linear, out=f"{name}groups", axis=1)
    member = np.eye(head.n_clusters, dtype=np.float32)[head.region.numpy()]
    sums = graph.node("MatMul", shares, graph.constant(f"{name}region", member), out=f"{name}sums")
    least = graph.constant(f"{name}least", np.array(LEAST, np.float32))
    return graph.node("Log", graph.node("Max", sums, least, out=f"{name}p"), out=f"{name}log_p")


def _unit(graph: GraphBuilder, x: str, mean: Any, components: Any, name: str = "") -> str:
    """Nodes from rows to their projection, rows of length 1."""
    centre = graph.constant(f"{name}mean", _array(mean))
    axes = graph.constant(f"{name}components", _array(components))
    centred = graph.node("Sub", x, centre, out=f"{name}centred")
    projected = graph.node("MatMul", centred, axes, out=f"{name}projected")
    squares = graph.node("Mul", projected, projected, out=f"{name}squares")
    total = graph.node("ReduceSum", squares, _columns(graph), out=f"{name}total", keepdims=1)
    length = graph.node("Sqrt", total, out=f"{name}length")
    smallest = graph.constant(f"{name}smallest", np.array(SMALLEST, np.float32))
    divisor = graph.node("Max", length, smallest, out=f"{name}divisor")
    return graph.node("Div", projected, divisor, out=f"{name}unit")


def _belongs(graph: GraphBuilder, unit: str, references: References) -> str:
    """Nodes that say whether a row is near enough to any reference: bool (n,)."""
    points = graph.constant("references", references.points.T.astype(np.float32))
    cosines = graph.node("MatMul", unit, points, out="cosines")
    least = graph.constant("least", references.least.astype(np.float32))
    near = graph.node("GreaterOrEqual", cosines, least, out="near")
    counted = graph.node("Cast", near, out="counted", to=1)  # as float32
    count = graph.node("ReduceSum", counted, _columns(graph), out="count", keepdims=0)
    nought = graph.constant("nought", np.array(0, np.float32))
    return graph.node("Greater", count, nought, out="belongs")


def _columns(graph: GraphBuilder) -> str:
    """The axis of columns, as an operator takes it."""
    if "columns" not in (one.name for one in graph.constants):
        graph.constant("columns", np.array([1], np.int64))
    return "columns"


def _is_mlp(head: object) -> bool:
    from headlight.clustering.heads import MLPHead

    return isinstance(head, MLPHead)


def _is_tree(head: object) -> bool:
    from headlight.clustering.tree_head import TreeHead

    return isinstance(head, TreeHead)


def _linear(graph: GraphBuilder, x: str, out: str, weight: np.ndarray, bias: np.ndarray) -> str:
    w = graph.constant(f"{out}_weight", weight)
    b = graph.constant(f"{out}_bias", bias)
    return graph.node("Gemm", x, w, b, out=out, transB=1)


def _without_norm(head: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the hidden layer with the batch norm that follows it worked in."""
    norm = head.norm
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    weight = _array(head.hidden.weight) * scale[:, None]
    bias = (_array(head.hidden.bias) - _array(norm.running_mean)) * scale + _array(norm.bias)
    return weight.astype(np.float32), bias.astype(np.float32)


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().numpy()
