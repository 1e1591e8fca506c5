"""A model's parameter tensors as update rules see them: name, shape and role."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import prod
from typing import Any, NamedTuple

from torch import nn

from batchscale.errors import not_among
from study.errors import StudyError, shown


class Role(StrEnum):
    """The role of a parameter tensor in its model."""

    MATRIX = "matrix"
    """A hidden weight with two or more axes: of a dense layer, a convolution, a recurrence."""
    EMBEDDING = "embedding"
    """A table from which each example reads some rows."""
    HEAD = "head"
    """The weight of the output layer."""
    VECTOR = "vector"
    """A bias, a gain, or any other tensor of fewer than two axes."""


class ParameterTensor(NamedTuple):
    """A parameter tensor of a model."""

    name: str
    shape: tuple[int, ...]
    """Never (): a scalar counts as (1,)."""
    role: Role

    @property
    def size(self) -> int:
        """Number of parameters."""
        return prod(self.shape)

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns as a matrix; a convolution kernel has one row per filter."""
        return self.shape[0], prod(self.shape[1:])


ParameterTensors = tuple[ParameterTensor, ...]
"""A model's parameter tensors, in their order in the flat vector."""


def tensors_of_shapes(shapes: Iterable[tuple[int, ...]]) -> ParameterTensors:
    """Return parameter tensors with these shapes, matrices or vectors by number of axes."""
    return tuple(
        ParameterTensor(str(place), tuple(shape) or (1,), _by_axes(len(shape)))
        for place, shape in enumerate(shapes)
    )


def parameter_tensors(model: nn.Module) -> ParameterTensors:
    """Return a model's trainable parameter tensors, in the order of `named_parameters`.

    Weights of `nn.Embedding` are embeddings. The last other weight with two or more axes is the
    head, unless an embedding is also used by another layer, as with tied weights. A model built
    otherwise gives the roles of such parameters by name in its attribute `parameter_roles`.

    Raises:
        StudyError: `parameter_roles` names no parameter of the model, or no role.
    """  # noqa: DOC502  (raised inside)
    named = dict(model.named_parameters())
    roles = _guessed(model) | _declared(model, named)
    return tuple(
        ParameterTensor(name, tuple(parameter.shape) or (1,), roles[name])
        for name, parameter in named.items()
        if parameter.requires_grad
    )


def _guessed(model: nn.Module) -> dict[str, Role]:
    tables: set[int] = set()
    others: set[int] = set()
    for module in model.modules():
        own = {id(parameter) for parameter in module.parameters(recurse=False)}
        (tables if isinstance(module, nn.Embedding | nn.EmbeddingBag) else others).update(own)
    roles = {
        name: Role.EMBEDDING if id(parameter) in tables else _by_axes(parameter.dim())
        for name, parameter in model.named_parameters()
    }
    matrices = [name for name, role in roles.items() if role is Role.MATRIX]
    if matrices and not tables & others:
        roles[matrices[-1]] = Role.HEAD
    return roles


def _declared(model: nn.Module, named: Mapping[str, Any]) -> dict[str, Role]:
    declared = getattr(model, "parameter_roles", {})
    if not isinstance(declared, Mapping):
        raise StudyError(
            f"parameter_roles of a model must map parameter names to roles, got {shown(declared)}"
        )
    for name, role in declared.items():
        if name not in named:
            raise StudyError(not_among("a key of parameter_roles", name, named))
        if role not in set(Role):
            raise StudyError(not_among(f"parameter_roles[{name!r}]", role, map(str, Role)))
    return {name: Role(role) for name, role in declared.items()}


def _by_axes(count: int) -> Role:
    return Role.MATRIX if count > 1 else Role.VECTOR
