"""SOAP: Adam in Shampoo's eigenbases for hidden weight matrices, AdamW for all other parameters.

Vyas et al. 2024 (arXiv 2409.11321), Algorithm 3, as in its authors' code: with the averages L of
G G' and R of G' G, whose eigenvectors Q and S are refreshed every ten steps by one power iteration,

    M <- b1 M + (1 - b1) G;  V <- b2 V + (1 - b2) (Q' G S)^2
    W <- (1 - lr wd) (W - lr Q N S'),  N = Q' M^ S / (sqrt(V^) + eps)

The first gradient gives the first bases and moves no matrix.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from study.optimizers.adaptive import LR, MOMENTS, adamw_step, one_minus_power
from study.optimizers.momentum import fraction, nonnegative, positive
from study.optimizers.orthogonal import values_of_rest
from study.optimizers.parameters import ParameterTensor, ParameterTensors, Role
from study.optimizers.update_rule import Optimizer, State

LARGEST_SIDE = 2048
"""Rows or columns up to which a side has a basis; a longer side keeps its axes (one-sided SOAP)."""
_MIN_SHARE = 1e-4
"""Ratio to the largest eigenvalue below which rounding determines an eigenvector."""
_SQUARES = ("averages", "bases")
_Pair = tuple[Tensor | None, Tensor | None]
"""Square matrices for rows and columns, each (lanes, side, side); None for a side with no basis."""


def _sides(tensor: ParameterTensor) -> tuple[int, int]:
    """Return the sides of a tensor's bases, 0 for none."""
    if tensor.role is not Role.MATRIX:
        return 0, 0
    rows, columns = tensor.sides
    return (rows if rows <= LARGEST_SIDE else 0), (columns if columns <= LARGEST_SIDE else 0)


def _widths(described: ParameterTensors) -> Mapping[str, int]:
    width = sum(side * side for tensor in described for side in _sides(tensor))
    return dict.fromkeys(_SQUARES, width)


def _squares(state: State, name: str) -> Iterator[_Pair]:
    """Return views of a buffer's square matrices, a pair per parameter tensor."""
    sides = [side for tensor in state.described for side in _sides(tensor)]
    parts = torch.split(state.buffers[name], [side * side for side in sides], dim=1)
    pairs = zip(parts, sides, strict=True)
    squares = [part.view(-1, side, side) if side else None for part, side in pairs]
    return zip(squares[::2], squares[1::2], strict=True)


def _each(state: State) -> Iterator[tuple[State, _Pair, _Pair]]:
    """Yield each parameter tensor's state, averages and bases."""
    return zip(state.each(MOMENTS), *(_squares(state, name) for name in _SQUARES), strict=True)


def _soap(state: State) -> None:
    state.buffers["step"].add_(1)
    rest = values_of_rest(state)
    for tensor, averages, bases in _each(state):
        if any(_sides(tensor.described[0])):
            _matrix_step(tensor, averages, bases)
        else:
            adamw_step(replace(tensor, values=rest))


def _matrix_step(state: State, averages: _Pair, bases: _Pair) -> None:
    """Take the step of a matrix. In the first step the bases are zero, and so is N."""
    values, steps = state.values, state.buffers["step"]
    later, counted = steps > 1, (steps - 1).clamp_(min=1.0)
    gradients = _matrices(state, state.gradients)
    for average, sides in zip(averages, (gradients, gradients.mT), strict=True):
        if average is not None:
            average.lerp_(sides @ sides.mT, (1 - values["beta2"]).unsqueeze(2))
    rotated = _rotated(gradients, bases).flatten(1)
    first = state.buffers["first_moment"].lerp_(state.gradients, (1 - values["beta1"]) * later)
    second = state.buffers["second_moment"].mul_(values["beta2"])
    second.addcmul_(rotated.square_(), 1 - values["beta2"])
    root = (second / one_minus_power(values["beta2"], counted)).sqrt_().add_(values["eps"])
    direction = _rotated(_matrices(state, first), bases).flatten(1).div_(root)
    inverses = [None if basis is None else basis.mT for basis in bases]
    back = _rotated(_matrices(state, direction), inverses).flatten(1)
    lr = values["lr"] * later
    rate = lr / one_minus_power(values["beta1"], counted)
    state.parameters.addcmul_(back, rate, value=-1.0).mul_(1 - lr * values["weight_decay"])


def _rotated(matrices: Tensor, bases: Sequence[Tensor | None]) -> Tensor:
    """Return Q' G S."""
    left, right = bases
    matrices = matrices if left is None else left.mT @ matrices
    return matrices if right is None else matrices @ right


def _matrices(state: State, flat: Tensor) -> Tensor:
    """Return a view of one parameter tensor's numbers as (lanes, rows, columns)."""
    return flat.view(-1, *state.described[0].sides)


def _refresh(state: State) -> None:
    """Refresh the bases by a power iteration, in descending order of eigenvalues, and reorder V."""
    started = bool((state.buffers["step"] > 1).all())
    for tensor, averages, bases in _each(state):
        second = _matrices(tensor, tensor.buffers["second_moment"])
        for axis, (average, basis) in enumerate(zip(averages, bases, strict=True), 1):
            if average is None or basis is None:
                continue
            if not started:
                basis.copy_(_eigenvectors(average))
                continue
            product = average @ basis
            sizes = (basis * product).sum(1)
            order = sizes.argsort(dim=1, descending=True, stable=True).unsqueeze(1)
            second.copy_(torch.take_along_dim(second, order.mT if axis == 1 else order, dim=axis))
            columns = torch.where(_determined(sizes).unsqueeze(1), product, basis)
            basis.copy_(torch.linalg.qr(torch.take_along_dim(columns, order, dim=2)).Q)


def _eigenvectors(matrices: Tensor) -> Tensor:
    """Return eigenvectors as columns, in descending order of eigenvalues.

    In the null space of the first gradient every vector is an eigenvector, and rounding would
    choose a basis, another for a pack than for a single lane. There they are the eigenvectors of a
    fixed diagonal matrix, projected onto that space.
    """
    # eigh raises on numbers that are not finite, which would end the lanes beside a diverged one
    finite = matrices.isfinite().flatten(1).all(1).view(-1, 1, 1)
    values, vectors = torch.linalg.eigh(torch.where(finite, matrices, 0.0).double())
    determined = _determined(values)
    kept = vectors * determined.unsqueeze(1)
    sizes = torch.where(determined, 1 + values / values.amax(1, keepdim=True), 0.0)
    null_space = torch.eye(values.shape[1]).to(values) - kept @ kept.mT  # as a projection
    diagonal = torch.linspace(0.5, 1.0, values.shape[1]).to(values)
    both = (kept * sizes.unsqueeze(1)) @ kept.mT + (null_space * diagonal) @ null_space
    eigenvectors: Tensor = torch.linalg.eigh(both).eigenvectors
    return eigenvectors.flip(2).to(matrices.dtype)


def _determined(eigenvalues: Tensor) -> Tensor:
    """Return which eigenvalues (lanes, side) are large enough to determine their eigenvectors."""
    return eigenvalues > _MIN_SHARE * eigenvalues.amax(1, keepdim=True)


SOAP = Optimizer(
    hyperparameters={
        "lr": LR,
        "beta1": fraction(0.95),
        "beta2": fraction(0.95),
        "eps": positive(1e-8),
        "weight_decay": nonnegative(0.01),
        "adamw_lr_ratio": positive(1.0),
    },
    buffers=MOMENTS,
    counters=("step",),
    widths=_widths,
    refresh=_refresh,
    update=_soap,
    decoupled_decay=True,
)
