"""Placeholders such as {lr} in a command line."""

import string
from collections.abc import Mapping

from workloads.errors import WorkloadError

GIVEN: Mapping[str, str] = {
    "batch_size": "examples per step",
    "micro_batch": "examples to process at once; the batch size unless the study says less",
    "seed": "the trial's seed modulo 2^31, which every library takes",
    "max_steps": "the step budget",
    "max_examples": "the step budget times the batch size",
    "checkpoint": "folder for the program's checkpoints, as in $BATCHSCALE_CHECKPOINT",
    "python": "the Python interpreter that runs batchscale",
}
"""What batchscale fills in besides the hyperparameters, by placeholder."""


def placeholders(text: str) -> set[str]:
    """Return the names in braces in a text.

    Raises:
        WorkloadError: a brace stands alone, or its content is no plain name.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise WorkloadError(
            f"a command line must have placeholders such as {{lr}}, got {text!r}: {error}; write "
            "{{ and }} for braces themselves"
        ) from error
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise WorkloadError(
                f"a placeholder must be a plain name in braces, such as {{lr}}, got {text!r}; "
                "write {{ and }} for braces themselves"
            )
    return {name for _, name, _, _ in parts if name is not None}


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders replaced by values."""
    return string.Formatter().vformat(text, (), values)
