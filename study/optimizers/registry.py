"""Find optimizers by name: in the table, or in an installed package as an entry point."""

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from study.errors import StudyError, not_among
from study.optimizers.adaptive import ADAM, ADAMW
from study.optimizers.layerwise import LAMB, LARS, MERIT
from study.optimizers.momentum import HEAVY_BALL, NESTEROV, SGD
from study.optimizers.update_rule import Optimizer
from workloads.entry_points import Kind, package

GROUP = "batchscale.optimizers"
OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": SGD,
    "heavy-ball": HEAVY_BALL,
    "nesterov": NESTEROV,
    "adam": ADAM,
    "adamw": ADAMW,
    "lars": LARS,
    "lamb": LAMB,
    "merit": MERIT,
}
"""Built-in optimizers."""
_KIND = Kind(noun="optimizer", article="an", builtin=OPTIMIZERS, error=StudyError)


def optimizer_named(name: str) -> Optimizer:
    """Return the optimizer of a name in a study file.

    Raises:
        StudyError: the name is unknown, two packages provide it, or its entry point does not refer
            to an `Optimizer`.
    """
    plugins = _plugins()
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    if name in plugins:
        return _load(plugins[name])
    raise StudyError(not_among("optimizer", name, [*OPTIMIZERS, *sorted(plugins)]))


@functools.cache  # reads the metadata of every installed package
def _plugins() -> dict[str, EntryPoint]:
    return _KIND.by_name(entry_points(group=GROUP))


def _load(point: EntryPoint) -> Optimizer:
    optimizer = _KIND.load(point)
    if not isinstance(optimizer, Optimizer):
        raise StudyError(
            f"an entry point of {GROUP} must be a study.optimizers.Optimizer, got "
            f"{type(optimizer).__name__} behind {point.name!r} from {package(point)}"
        )
    return optimizer
