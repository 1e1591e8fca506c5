"""Batch sizes and budgets in tokens, converted to examples before anything else is resolved."""

from collections.abc import Mapping
from typing import Any

from study.errors import StudyError, shown

_TOKENS = "tokens"
_IN_SECTIONS = (("recipe", "base"), ("federated", "local_batch_size"))
"""Batch sizes other than `batch_sizes` and the keys of `race.max_steps`."""


def tokens_of(workload: object) -> int | None:
    """Return the tokens in each example of a workload; None if it does not say.

    Raises:
        StudyError: it is not a positive integer.
    """
    tokens = getattr(workload, "tokens_per_example", None)
    if tokens is None:
        return None
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        raise StudyError(
            "a workload's tokens_per_example must be a positive integer, the tokens in each of its "
            f"examples, got {shown(tokens)}"
        )
    return tokens


def counts_tokens(data: Mapping[str, Any]) -> bool:
    """Return whether a study file, as plain data, gives anything in tokens."""
    in_tokens = data.get("batch_unit") == _TOKENS
    return in_tokens or data.get("race", {}).get("max_tokens") is not None


def in_examples(data: Mapping[str, Any], workload: object) -> dict[str, Any]:
    """Return a study file, as plain data of the right types, with examples instead of tokens.

    Raises:
        StudyError: examples have no fixed number of tokens, or a number is not a multiple of it.
    """
    unit = data.get("batch_unit")
    converted = {key: value for key, value in data.items() if key != "batch_unit"}
    if not counts_tokens(data):
        return converted
    per_example = tokens_of(workload)
    if per_example is None:
        key = "batch_unit" if unit == _TOKENS else "race.max_tokens"
        raise StudyError(
            f"{key} needs a workload whose examples have a fixed number of tokens, got one without "
            "tokens_per_example; count in examples, or set it in the workload"
        )
    race = dict(data.get("race", {}))
    if (budget := race.pop("max_tokens", None)) is not None:
        if race.get("max_examples") is not None:
            raise StudyError(
                "one of race.max_examples and race.max_tokens must be left out, got both: both set "
                "the same budget"
            )
        race["max_examples"] = _examples("race.max_tokens", budget, per_example)
    if unit == _TOKENS:
        converted |= _batch_sizes(data, per_example)
        if isinstance(steps := race.get("max_steps"), Mapping) and "of" not in steps:
            race["max_steps"] = {
                str(_examples("race.max_steps", int(size), per_example)): count
                for size, count in steps.items()
            }
    return converted | ({"race": race} if race else {})


def _batch_sizes(data: Mapping[str, Any], per_example: int) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    sizes, key = data.get("batch_sizes"), "batch_sizes"
    if isinstance(sizes, Mapping):
        converted[key] = {
            end: _examples(f"{key}.{end}", size, per_example) if type(size) is int else size
            for end, size in sizes.items()
        }
    elif isinstance(sizes, list | tuple):
        converted[key] = [_examples(key, size, per_example) for size in sizes]
    for section, name in _IN_SECTIONS:
        table = data.get(section) or {}
        if table.get(name) is not None:
            size = _examples(f"{section}.{name}", table[name], per_example)
            converted[section] = {**table, name: size}
    return converted


def _examples(key: str, tokens: int, per_example: int) -> int:
    examples, rest = divmod(tokens, per_example)
    if rest or not examples:
        near = sorted({max(1, examples) * per_example, (examples + 1) * per_example})
        raise StudyError(
            f"{key} must be a multiple of the {per_example} tokens in an example, got "
            f"{tokens:,} tokens; give {' or '.join(f'{number:,}' for number in near)}"
        )
    return examples
