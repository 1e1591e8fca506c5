"""Traces: functions of tensors as straight-line code for given shapes, simplified and compiled.

Transforms such as vmap and grad cost far more time than the small tensors they work on. A trace
keeps only the tensor operations that they reduce to; simplifying it removes those without effect.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from study.engine.networks.cross_entropy import NARROW

Trace = Callable[..., Any]

_aten = torch.ops.aten
_RESHAPES = {_aten.expand.default, _aten.view.default, _aten._unsafe_view.default}


def trace(function: Callable[..., Any], examples: tuple[Tensor, ...]) -> fx.GraphModule:
    """Return a function's tensor operations as a simplified graph, called like the function.

    The graph is valid for the shapes, types and device of the examples, and records no gradient.

    Args:
        function: maps tensors to a tensor or a tuple of tensors. The trace freezes whatever else
            it reads: Python numbers, branches, and tensors that are not arguments.
        examples: inputs to trace with.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # a loss may clear gradients, which the tensors of a trace do not have
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not")
        # a model of the user's may be slow in a pack, which is no fault of the user's
        warnings.filterwarnings("ignore", message="There is a performance drop because")
        graph: fx.GraphModule = make_fx(function)(*examples)
    simplify(graph)
    return graph


def compile_trace(function: Callable[..., Any], examples: tuple[Tensor, ...]) -> Trace:
    """Return a function that runs the same tensor operations without Python in between.

    It is valid for the shapes, types and device of the examples, with gradients off. On a CUDA
    device, and where torch cannot compile it, the function itself is returned.

    Args:
        function: maps tensors to a tensor or a tuple of tensors; may change inputs in place.
        examples: inputs to trace with; they stay unchanged.
    """
    if examples[0].device.type != "cpu":
        return function  # a complete step is captured as a CUDA graph instead
    copies = tuple(tensor.clone() for tensor in examples)
    with torch.no_grad(), warnings.catch_warnings():
        # deprecated, but torch's only interpreter that needs no compiler on the machine
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            compiled: Trace = torch.jit.trace(function, copies, check_trace=False)  # type: ignore[no-untyped-call]
        except RuntimeError:
            # jit lacks convolution_backward; an error of the function itself will be raised again
            return function
    return compiled


def simplify(module: fx.GraphModule) -> None:
    """Remove operations without effect from a graph, in place, and transpose narrow softmaxes.

    The graph holds aten operations, as `make_fx` returns it. Results change by rounding at most.
    """
    graph = module.graph
    for rewrite in (_drop_identity, _multiply_outer, _widen_softmax):
        for node in list(graph.nodes):
            if node.op == "call_function":
                rewrite(node)
    if not any(_mutates(node) for node in graph.nodes):
        _share_equal_nodes(graph)
    graph.eliminate_dead_code()
    module.recompile()


def _drop_identity(node: fx.Node) -> None:
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return
    if node.target in _RESHAPES:
        identity = _value(source).shape == _value(node).shape
    elif node.target is _aten.mul.Tensor and _is_ones(node.args[1]):
        identity = _same_kind(source, node)
    elif node.target is _aten.mul.Scalar:
        identity = node.args[1] == 1 and _same_kind(source, node)
    elif node.target is _aten.transpose.int and source.target is _aten.transpose.int:
        identity = set(source.args[1:]) == set(node.args[1:])
        source = source.all_input_nodes[0]
    else:
        return
    if identity:
        _replace(node, source)


def _is_ones(operand: object) -> bool:
    """Return whether an operand is the slope of a loss by itself, reshaped or not."""
    while isinstance(operand, fx.Node) and operand.target in _RESHAPES:
        operand = operand.args[0]
    return isinstance(operand, fx.Node) and operand.target is _aten.ones_like.default


def _same_kind(one: fx.Node, other: fx.Node) -> bool:
    a, b = _value(one), _value(other)
    return bool(a.shape == b.shape and a.dtype == b.dtype)


def _multiply_outer(node: fx.Node) -> None:
    """Make a matrix product over one number, as of single examples, a product of numbers."""
    if node.target is _aten.bmm.default and _value(node.args[0]).shape[-1] == 1:  # type: ignore[arg-type]
        node.target = _aten.mul.Tensor


def _widen_softmax(node: fx.Node) -> None:
    """Move a softmax over a narrow last axis to the axis before it, which torch vectorizes."""
    if node.target is _aten._log_softmax.default:
        inputs: tuple[Any, ...] = node.args[:1]
    elif node.target is _aten._log_softmax_backward_data.default:
        inputs = node.args[:2]
    else:
        return
    value, axis = _value(node), node.args[len(inputs)]
    last = value.dim() - 1
    if axis not in {-1, last} or last < 1 or value.shape[-1] >= NARROW:
        return
    graph = node.graph
    with graph.inserting_before(node):
        transposed = [
            graph.call_function(
                _aten.contiguous.default,
                (graph.call_function(_aten.transpose.int, (source, -1, -2)),),
            )
            for source in inputs
        ]
        rest = node.args[len(inputs) + 1 :]
        wide = graph.call_function(node.target, (*transposed, last - 1, *rest))
        back = graph.call_function(_aten.transpose.int, (wide, -1, -2))
    back.meta = dict(node.meta)
    _replace(node, back)


def _share_equal_nodes(graph: fx.Graph) -> None:
    seen: dict[tuple[Any, ...], fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or _is_random(node):
            continue
        key = (node.target, repr(node.args), repr(node.kwargs))
        if key in seen:
            _replace(node, seen[key])
        else:
            seen[key] = node


def _replace(node: fx.Node, by: fx.Node) -> None:
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)


def _value(node: fx.Node) -> Any:
    return node.meta["val"]


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
