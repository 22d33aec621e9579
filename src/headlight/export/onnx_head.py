"""Projection and head of a fitted SCP as one ONNX graph, node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headlight.export.merged_clusters import Folding

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


def head_model(scp: SCP, folding: Folding, opset: int = OPSET) -> onnx.ModelProto:
    """The graph from features to labels and probabilities.

    Arguments:
        scp: fitted.
        folding: the clusters that predictions are.
        opset: version of ONNX's operators, 13 or later.

    Returns:
        A model. Input ``features``, float32 (n, dim). Outputs ``labels``, int64 (n,), numbers of
        clusters, and ``probabilities``, float32 (n, clusters), in the order of
        ``folding.clusters``.
    """
    from onnx import TensorProto, helper

    graph = GraphBuilder()
    logits = _logits(graph, scp)
    probabilities = graph.node("Softmax", logits, out="head_probabilities", axis=1)
    if np.array_equal(folding.target, np.arange(len(folding.clusters))):
        graph.node("Identity", probabilities, out="probabilities")
    else:
        became = np.eye(len(folding.clusters), dtype=np.float32)[folding.target]
        graph.node("MatMul", probabilities, graph.constant("became", became), out="probabilities")
    first = graph.node("ArgMax", "probabilities", out="first", axis=1, keepdims=0)
    numbers = graph.constant("clusters", np.array(folding.clusters, np.int64))
    graph.node("Gather", numbers, first, out="labels", axis=0)
    tensor = helper.make_tensor_value_info
    whole = helper.make_graph(
        graph.nodes,
        "headlight",
        [tensor("features", TensorProto.FLOAT, ["n", scp.n_features_in_])],
        [
            tensor("labels", TensorProto.INT64, ["n"]),
            tensor("probabilities", TensorProto.FLOAT, ["n", len(folding.clusters)]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        whole, opset_imports=opsets, ir_version=IR_VERSION, producer_name="headlight"
    )


def _logits(graph: GraphBuilder, scp: SCP) -> str:
    from headlight.clustering.heads import MLPHead

    head = scp.head_
    if isinstance(head, MLPHead):
        weight, bias = _without_norm(head)
        hidden = _linear(graph, "features", "hidden", weight, bias)
        relu = graph.node("Relu", hidden, out="relu")
        out = head.out
        return _linear(graph, relu, "logits", out.weight.detach().numpy(), _array(out.bias))
    projection = scp.projection_
    mean = graph.constant("mean", projection.mean.numpy())
    components = graph.constant("components", projection.components.numpy())
    centred = graph.node("Sub", "features", mean, out="centred")
    projected = graph.node("MatMul", centred, components, out="projected")
    squares = graph.node("Mul", projected, projected, out="squares")
    columns = graph.constant("columns", np.array([1], np.int64))
    total = graph.node("ReduceSum", squares, columns, out="total", keepdims=1)
    length = graph.node("Sqrt", total, out="length")
    least = graph.constant("least", np.array(SMALLEST, np.float32))
    divisor = graph.node("Max", length, least, out="divisor")
    unit = graph.node("Div", projected, divisor, out="unit")
    return _linear(graph, unit, "logits", _array(head.weight), _array(head.bias))


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
