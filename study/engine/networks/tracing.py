"""Functions of tensors as straight-line programs: traced for given shapes, tidied, compiled.

Transforms such as vmap and grad cost far more than the small tensors they work on. A trace keeps
only the tensor operations they come down to; a tidied trace leaves out those that do nothing.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

Program = Callable[..., Any]

_aten = torch.ops.aten
_RESHAPES = {_aten.expand.default, _aten.view.default, _aten._unsafe_view.default}
_NARROW = 64
"""Softmax over fewer contiguous numbers than this is slow on a CPU: about 10x at 10 classes."""


def traced(function: Callable[..., Any], examples: tuple[Tensor, ...]) -> fx.GraphModule:
    """Reduces a function to the tensor operations it comes down to, for one set of shapes.

    Args:
        function: takes tensors, gives a tensor or a tuple of tensors. Whatever else it reads
            (Python numbers, other tensors) is fixed by the trace.
        examples: inputs of the shapes and on the device that the graph is for.

    Returns:
        The tidied graph, to be called like the function; it records no gradient.
    """
    with torch.no_grad():
        graph: fx.GraphModule = make_fx(function)(*examples)
    tidy(graph)
    return graph


def compiled(function: Callable[..., Any], examples: tuple[Tensor, ...]) -> Program:
    """Makes a program that runs tensor operations without Python between them, for given shapes.

    Args:
        function: takes tensors, gives a tensor or a tuple of tensors; may change inputs in place.
        examples: inputs of the shapes and on the device that the program is for; not changed.

    Returns:
        The program, to be called like the function with gradients off.
    """
    if examples[0].device.type != "cpu":
        return function  # the launches of a whole step are captured instead, see study.capture
    copies = tuple(tensor.clone() for tensor in examples)
    with torch.no_grad(), warnings.catch_warnings():
        # deprecated, but the only interpreter of torch's own that needs no compiler on the machine
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            program: Program = torch.jit.trace(function, copies, check_trace=False)  # type: ignore[no-untyped-call]
        except RuntimeError:
            # it knows no convolution_backward; a failure of the function's own will come again
            return function
    return program


def tidy(module: fx.GraphModule) -> None:
    """Takes out of a traced graph what changes no number, and turns what torch is slow at.

    Args:
        module: a graph of aten operations as `make_fx` gives it; changed in place.
    """
    graph = module.graph
    for rule in (_without_identities, _with_wide_softmax):
        for node in list(graph.nodes):
            if node.op == "call_function":
                rule(node)
    if not any(_mutates(node) for node in graph.nodes):
        _share_equal_nodes(graph)
    graph.eliminate_dead_code()
    module.recompile()


def _without_identities(node: fx.Node) -> None:
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return
    if node.target in _RESHAPES:
        idle = _value(source).shape == _value(node).shape
    elif node.target is _aten.mul.Scalar:
        idle = node.args[1] == 1 and _value(source).dtype == _value(node).dtype
    elif node.target is _aten.transpose.int and source.target is _aten.transpose.int:
        idle = set(source.args[1:]) == set(node.args[1:])
        source = source.all_input_nodes[0]
    else:
        return
    if idle:
        _replace(node, source)


def _with_wide_softmax(node: fx.Node) -> None:
    """Takes a softmax over a narrow last axis along the axis before it, which torch vectorises."""
    if node.target is _aten._log_softmax.default:
        inputs: tuple[Any, ...] = node.args[:1]
    elif node.target is _aten._log_softmax_backward_data.default:
        inputs = node.args[:2]
    else:
        return
    value, axis = _value(node), node.args[len(inputs)]
    last = value.dim() - 1
    if axis not in {-1, last} or last < 1 or value.shape[-1] >= _NARROW:
        return
    graph = node.graph
    with graph.inserting_before(node):
        turned = [
            graph.call_function(
                _aten.contiguous.default,
                (graph.call_function(_aten.transpose.int, (source, -1, -2)),),
            )
            for source in inputs
        ]
        rest = node.args[len(inputs) + 1 :]
        wide = graph.call_function(node.target, (*turned, last - 1, *rest))
        back = graph.call_function(_aten.transpose.int, (wide, -1, -2))
    back.meta = dict(node.meta)
    _replace(node, back)


def _share_equal_nodes(graph: fx.Graph) -> None:
    seen: dict[tuple[Any, ...], fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or _draws(node):
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


def _draws(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
