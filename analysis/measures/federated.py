"""What one step of a study is: an optimizer update, or a round of federated averaging (FedAvg).

The only module that knows how many examples a step uses. Every function takes a resolved study file
as plain data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

STEPS, ROUNDS = "steps", "rounds"
TOKENS = "tokens_per_example"
"""Key of a recorded study file that was written in tokens."""
_AXES = {
    (STEPS,): "Steps to target (optimizer updates)",
    (ROUNDS,): "Rounds to target (averages of the clients)",
    (ROUNDS, STEPS): "Steps (FedAvg: rounds) to target",
}


def is_federated(config: Mapping[str, Any]) -> bool:
    """Return whether the steps of a study are rounds."""
    return "federated" in config


def local_steps(config: Mapping[str, Any]) -> int:
    """Return the consecutive optimizer updates in one step: 1, or the local steps of a round."""
    return int(config["federated"]["local_steps"]) if is_federated(config) else 1


def examples_per_step(config: Mapping[str, Any], batch_size: int) -> int:
    """Return the examples that a step uses, counted as often as they are used.

    That is the batch size times the local steps; in a federated study the batch size is the global
    one, clients times local batch size.
    """
    return batch_size * local_steps(config)


def step_unit(config: Mapping[str, Any]) -> str:
    """Return what a study counts: "steps" or "rounds"."""
    return ROUNDS if is_federated(config) else STEPS


def steps_axis(configs: Sequence[Mapping[str, Any]]) -> str:
    """Return the label of an axis of steps to target, for one study or several."""
    return _AXES[tuple(sorted({step_unit(config) for config in configs}))]


def batch_axis(configs: Sequence[Mapping[str, Any]]) -> str:
    """Return the label of an axis of batch sizes, for one study or several."""
    (unit, *others) = {example_unit(config) for config in configs}
    unit = "examples" if others else unit
    return f"{'Global batch' if any(map(is_federated, configs)) else 'Batch'} size ({unit})"


def example_unit(config: Mapping[str, Any]) -> str:
    """Return what batch sizes count: examples, with their length where the study was in tokens."""
    tokens = config.get(TOKENS)
    return f"examples of {tokens} tokens" if tokens else "examples"


def clients_text(config: Mapping[str, Any]) -> str:
    """Return a short description of the clients of a study, "none" if there are none."""
    if not is_federated(config):
        return "none"
    section = config["federated"]
    clients, local = section.get("clients"), section.get("local_batch_size")
    who = f"{clients} clients" if clients else f"local batch {local}"
    return f"{who} x {_steps_text(local_steps(config))} {_shards_text(section)}"


def round_sentences(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence on what a step of a federated study is, none for other studies."""
    if not is_federated(config):
        return ()
    section, steps = config["federated"], local_steps(config)
    clients, local = section.get("clients"), section.get("local_batch_size")
    who, share = (clients, f"B / {clients}") if clients else (f"B / {local}", local)
    used = "B examples" if steps == 1 else f"{steps} B examples"
    e_min = "" if steps == 1 else f", all of which E_min counts: b_crit = E_min / ({steps} S_min)"
    return (
        f"A step is a round of FedAvg: {who} clients take {_steps_text(steps)} each, on {share} "
        f"examples of their own shards ({_shards_text(section)}), and their models are averaged. "
        f"It uses {used}{e_min}.",
    )


def _shards_text(section: Mapping[str, Any]) -> str:
    return f"{section['shards']} {section['alpha']:g}" if "alpha" in section else section["shards"]


def _steps_text(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"
