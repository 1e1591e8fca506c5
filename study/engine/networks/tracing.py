"""Traces: functions of tensors as straight-line code for given shapes, simplified and compiled.

Transforms such as vmap and grad take far longer than the operations on the small tensors. A trace
keeps only the tensor operations they reduce to; simplifying it removes those without effect.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_map

from study.engine.networks.cross_entropy import NARROW

Trace = Callable[..., Any]

_aten = torch.ops.aten
_UNSHARED = {_aten.clone.default, _aten.eq_.Tensor, _aten.ne_.Tensor}
"""Operations that are never shared, since their results are written into."""
_CONTIGUOUS = {"memory_format": torch.contiguous_format}
_VECTOR = 16
"""Columns that a CPU's matrix product computes at once: 10 columns cost as much as 32, and 16 rows
of a transposed product half of that."""
_RESHAPES = {_aten.expand.default, _aten.view.default, _aten._unsafe_view.default}


def over_lanes(
    function: Callable[..., Any], lanes: int, in_dims: int | tuple[int | None, ...] = 0
) -> Callable[..., Any]:
    """Return a function of lanes: inputs are stacked where `in_dims` is 0, shared where it is None.

    A single lane does without vmap, whose operations take up to 1.1 times as long as torch's own.
    """
    if lanes > 1:
        return vmap(function, in_dims=in_dims)

    def single(*stacked: Any) -> Any:
        dims = in_dims if isinstance(in_dims, tuple) else [in_dims] * len(stacked)
        pairs = zip(stacked, dims, strict=True)
        inputs = (tree if dim is None else tree_map(lambda t: t[0], tree) for tree, dim in pairs)
        return tree_map(lambda t: t.unsqueeze(0), function(*inputs))

    return single


def trace(function: Callable[..., Any], examples: tuple[Tensor, ...]) -> fx.GraphModule:
    """Return a function's tensor operations as a simplified graph, called like the function.

    The graph is valid for the shapes, types and device of the examples, and records no gradient. It
    freezes whatever else the function reads: Python numbers, branches, tensors that are not
    arguments.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # a loss may clear gradients, which the tensors of a trace do not have
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not")
        # a user can do nothing about an operation that vmap runs slowly
        warnings.filterwarnings("ignore", message="There is a performance drop because")
        graph: fx.GraphModule = make_fx(function)(*examples)
    simplify(graph)
    return graph


def compile_trace(function: Callable[..., Any], examples: tuple[Tensor, ...]) -> Trace:
    """Return a function that runs the same tensor operations without Python in between.

    It is valid for the shapes, types and device of the examples, with gradients off, and may change
    inputs in place. On a CUDA device, or if torch cannot compile it, it is the function itself.
    """
    if examples[0].device.type != "cpu":
        return function  # a complete step is captured as a CUDA graph instead
    copies = tuple(tensor.clone() for tensor in examples)
    with torch.no_grad(), warnings.catch_warnings():
        # deprecated, but the only one of torch's that needs no compiler on the machine
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            compiled: Trace = torch.jit.trace(function, copies, check_trace=False)  # type: ignore[no-untyped-call]
        except RuntimeError:
            # jit lacks convolution_backward; an error of the function itself will recur
            return function
    return compiled


def simplify(module: fx.GraphModule) -> None:
    """Remove operations without effect from a graph, in place, and transpose narrow ones.

    The graph consists of aten operations, as from `make_fx`. Results change by rounding at most.
    """
    graph = module.graph
    schemas = [getattr(node.target, "_schema", None) for node in graph.nodes]
    writes = any(schema is not None and schema.is_mutable for schema in schemas)
    _rewrite(graph, _drop_view, _multiply_outer, _transpose_softmax)
    if not writes:  # these assume that no tensor is written into
        _rewrite(graph, _drop_factor, _transpose_argmax)
        _share_equal_nodes(graph)
        _rewrite(graph, _transpose_product)
    graph.eliminate_dead_code()
    module.recompile()


def _rewrite(graph: fx.Graph, *rewrites: Callable[[fx.Node], None]) -> None:
    for node in list(graph.nodes):
        for rewrite in rewrites:
            if node.op == "call_function":
                rewrite(node)


def _drop_view(node: fx.Node) -> None:
    """Drop a view without effect."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return
    if node.target in _RESHAPES:
        identity = _value(source).shape == _value(node).shape
    elif _is(node, _aten.transpose.int) and _is(source, _aten.transpose.int):
        identity = set(source.args[1:]) == set(node.args[1:])
        source = source.all_input_nodes[0]
    else:
        return
    if identity:
        _replace(node, source)


def _drop_factor(node: fx.Node) -> None:
    """Drop a factor of 1, such as the gradient of a loss with respect to itself."""
    if node.target not in {_aten.mul.Scalar, _aten.mul.Tensor}:
        return
    source: Any = node.args[0]
    factor = node.args[1]
    while isinstance(factor, fx.Node) and factor.target in _RESHAPES:
        factor = factor.args[0]
    if not isinstance(source, fx.Node) or not (factor == 1 or _is(factor, _aten.ones_like.default)):
        return
    before, after = _value(source), _value(node)
    if before.shape == after.shape and before.dtype == after.dtype:
        _replace(node, source)


def _multiply_outer(node: fx.Node) -> None:
    """Replace a matrix product over one number, as for single examples, by multiplication."""
    if node.target is _aten.bmm.default and _value(node.args[0]).shape[-1] == 1:  # type: ignore[arg-type]
        node.target = _aten.mul.Tensor


def _transpose_softmax(node: fx.Node) -> None:
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
        transposed = [_transposed(source) for source in inputs]
        rest = node.args[len(inputs) + 1 :]
        softmax = graph.call_function(node.target, (*transposed, last - 1, *rest))
        back = graph.call_function(_aten.transpose.int, (softmax, -1, -2))
    back.meta = dict(node.meta)
    _replace(node, back)


def _transpose_argmax(node: fx.Node) -> None:
    """Find the first maximum or first NaN along the axis before a narrow last one.

    torch's argmax over a narrow axis takes as long as a matrix product of a small network.
    """
    if node.target is not _aten.argmax.default or len(node.args) != 2:  # no keepdim
        return
    source: Any = node.args[0]
    axis = node.args[1]
    value = _value(source)
    few = value.dim() > 1 and value.shape[-1] < NARROW and value.shape[-2] >= _VECTOR
    plain = value.is_floating_point() and value.device.type == "cpu"
    if not (few and plain and axis in {-1, value.dim() - 1}):
        return
    call, classes = node.graph.call_function, value.shape[-1]
    with node.graph.inserting_before(node):
        columns = _transposed(source)
        # in place, so the results are numbers: comparisons that return booleans are slow
        maximum = call(_aten.amax.default, (columns, [-2], True))
        is_maximum = call(_aten.eq_.Tensor, (call(_aten.clone.default, (columns,)), maximum))
        is_nan = call(_aten.ne_.Tensor, (call(_aten.clone.default, (columns,)), columns))
        hits = call(_aten.maximum.default, (is_maximum, is_nan))
        ranks = call(_aten.arange.start_step, (classes, 0, -1), {"dtype": value.dtype})
        ranks = call(_aten.unsqueeze.default, (ranks, 1))
        first = call(_aten.amax.default, (call(_aten.mul.Tensor, (hits, ranks)), [-2]))
        first = call(_aten._to_copy.default, (first,), {"dtype": torch.int64})
        result = call(_aten.rsub.Scalar, (first, classes))
    result.meta = dict(node.meta)
    _replace(node, result)


def _transpose_product(node: fx.Node) -> None:
    """Compute the transpose of a product with few columns, plus a bias, as a transposed product.

    This is done even if the product itself is needed too, so that no bit of a loss depends on what
    else is measured.
    """
    copied = _is(node, _aten.clone.default) and node.kwargs == _CONTIGUOUS
    transpose: Any = node.args[0] if copied or _is(node, _aten.contiguous.default) else None
    total: Any = transpose.args[0] if _is(transpose, _aten.transpose.int) else None
    if not _is(total, _aten.add.Tensor) or total.kwargs:
        return
    bias, product = total.args
    if not _is(product, _aten.bmm.default) or not isinstance(bias, fx.Node):
        return
    last = {axis % 3 for axis in transpose.args[1:]} == {1, 2}
    value = _value(product)
    few = value.shape[2] % _VECTOR > 0 and value.shape[1] >= _VECTOR
    if not (last and few and value.device.type == "cpu" and _value(bias).dim() == 3):
        return
    call = node.graph.call_function
    with node.graph.inserting_before(node):
        left, right, start = (
            call(_aten.transpose.int, (part, 1, 2)) for part in (*product.args[::-1], bias)
        )
        result = call(_aten.add.Tensor, (start, call(_aten.bmm.default, (left, right))))
        result = call(_aten.contiguous.default, (result,))
    result.meta = dict(node.meta)
    _replace(node, result)


def _transposed(source: Any) -> fx.Node:
    """Return a copy of a tensor with its last two axes exchanged, in memory too."""
    call: Callable[..., fx.Node] = source.graph.call_function
    return call(_aten.contiguous.default, (call(_aten.transpose.int, (source, -1, -2)),))


def _is(node: Any, target: object) -> bool:
    return isinstance(node, fx.Node) and node.target is target


def _share_equal_nodes(graph: fx.Graph) -> None:
    seen: dict[tuple[Any, ...], fx.Node] = {}
    for node in list(graph.nodes):
        random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        if node.op != "call_function" or random or node.target in _UNSHARED:
            continue
        key = (node.target, repr(node.args), repr(node.kwargs))
        if key in seen:
            _replace(node, seen[key])
        else:
            seen[key] = node


def _replace(node: fx.Node, replacement: fx.Node) -> None:
    node.replace_all_uses_with(replacement)
    node.graph.erase_node(node)


def _value(node: fx.Node) -> Any:
    return node.meta["val"]
