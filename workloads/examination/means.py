"""Whether loss, error and quantities are means over examples, so that portions may be measured."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from workloads.errors import WorkloadError
from workloads.soundness import Measure, copied, sound_number
from workloads.workload import Examples

_PARTS = 7
"""Parts of many examples: small enough that a count in one byte overflows in none."""
_WHOLE = (
    "take the mean over examples, in float32, or write `whole = True` in the workload, so that "
    "loss and error are always measured on the whole validation set at once"
)


def sound_mean(name: str, measure: Measure, model: nn.Module, examples: Examples) -> float:
    """Return a workload's loss or error on a few examples, checked to be a mean over them."""
    with torch.no_grad():
        # copies, so that a model that writes into its inputs is blamed for that alone
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
    """Refuse what is another number on many examples than on parts of them.

    A few do not tell, where counts overflow or a number of examples is chosen. `near` is how far
    rounding may part them, relatively.
    """
    count = examples.size
    size = -(-count // _PARTS)
    parts = [examples.rows(slice(start, start + size)) for start in range(0, count, size)]
    found = [(measured(part), part.size / count) for part in parts]
    for name, value in measured(examples).items():
        mean = sum(share * of_part[name] for of_part, share in found)
        _require(name, value, mean, f"{count} of them", near)


def _require(name: str, whole: float, mean: float, which: str, near: float) -> None:
    if not math.isclose(mean, whole, rel_tol=near, abs_tol=1e-6):
        raise WorkloadError(
            f"{name} must be a mean over the examples, got {whole:.6g} on {which}, where their own "
            f"values have the mean {mean:.6g}; {_WHOLE}"
        )
