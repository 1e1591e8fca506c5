"""Finds an optimizer: in the table, or brought by an installed package as an entry point."""

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from study.errors import StudyError, not_among
from study.optimizers.adaptive import ADAM, ADAMW
from study.optimizers.layerwise import LAMB, LARS, MERIT
from study.optimizers.momentum import HEAVY_BALL, NESTEROV, SGD
from study.optimizers.rule import Optimizer

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
"""The optimizers that come with batchscale."""


def optimizer_named(name: str) -> Optimizer:
    """Finds an optimizer by its name in a study file.

    Args:
        name: of the table, or of an entry point.

    Returns:
        The optimizer.

    Raises:
        StudyError: there is none, two packages bring it, or what it names is no Optimizer.
    """
    plugins = _plugins()
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    if name in plugins:
        return _loaded(plugins[name])
    raise StudyError(not_among("optimizer", name, [*OPTIMIZERS, *sorted(plugins)]))


@functools.cache  # a look at everything that is installed
def _plugins() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = "batchscale itself" if point.name in OPTIMIZERS else None
        if point.name in found:
            other = _source(found[point.name])
        if other is not None:
            raise StudyError(
                f"an optimizer's name must be brought by one package, got {point.name!r} from "
                f"{_source(point)} and from {other}; uninstall one or rename its entry point"
            )
        found[point.name] = point
    return found


def _source(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _loaded(point: EntryPoint) -> Optimizer:
    try:
        optimizer = point.load()
    except Exception as error:
        raise StudyError(
            f"the plug-in behind optimizer {point.name!r} must import, got "
            f"{type(error).__name__}: {error} from {_source(point)}; repair or uninstall it"
        ) from error
    if not isinstance(optimizer, Optimizer):
        raise StudyError(
            f"an entry point of {GROUP} must be a study.optimizers.Optimizer, got "
            f"{type(optimizer).__name__} behind {point.name!r} from {_source(point)}; correct it"
        )
    return optimizer
