"""Whether loss, error and quantities are means over examples, which can be measured in portions."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from workloads.errors import WorkloadError
from workloads.soundness import Measure, copied, sound_number
from workloads.workload import Examples

_PARTS = 7
"""Portions of the examples, few enough to be quick, and small enough for counts in one byte."""
_WHOLE = (
    "take the mean over examples, in float32, or write `whole = True` in the workload, so that "
    "loss and error are always measured on the whole validation set at once"
)


def sound_mean(name: str, measure: Measure, model: nn.Module, examples: Examples) -> float:
    """Return a workload's loss or error on a few examples; refuse one that is not their mean."""
    with torch.no_grad():
        # on a copy, since a model that writes into its inputs is refused elsewhere, by name
        whole = sound_number(name, measure(model, copied(examples)))
        try:
            single = [
                sound_number(name, measure(model, examples.rows(torch.tensor([row]))))
                for row in range(examples.size)
            ]
        except Exception as error:
            raise WorkloadError(
                f"{name} must work on a single example, as the last portion of a measurement may "
                f"be, got {type(error).__name__}: {str(error)[:200]}; {_WHOLE}"
            ) from error
    _require(name, whole, sum(single) / len(single), f"{len(single)} of them", 1e-4)
    return whole


def require_portions(
    measured: Callable[[Examples], Mapping[str, float]], examples: Examples, near: float
) -> None:
    """Refuse a measurement of many examples that differs from the mean over portions of them.

    A few examples would not reveal a count that overflows, or an error on a fixed number of
    examples. `near` is the relative difference that rounding may cause.
    """
    count = examples.size
    size = -(-count // _PARTS)
    parts = [examples.rows(slice(start, start + size)) for start in range(0, count, size)]
    portions = [(measured(part), part.size / count) for part in parts]
    for name, value in measured(examples).items():
        mean = sum(share * values[name] for values, share in portions)
        _require(name, value, mean, f"{count} of them", near)


def _require(name: str, whole: float, mean: float, which: str, near: float) -> None:
    if not math.isclose(mean, whole, rel_tol=near, abs_tol=1e-6):
        raise WorkloadError(
            f"{name} must be a mean over the examples, got {whole:.6g} on {which}, where their own "
            f"values have the mean {mean:.6g}; {_WHOLE}"
        )
