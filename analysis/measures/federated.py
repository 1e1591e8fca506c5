"""What a step of a study is: an optimizer update, or a round of federated averaging (FedAvg).

Only this module knows how many examples a step uses. Every function takes a resolved study file as
plain data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fitting.estimates import counted

STEPS, ROUNDS = "steps", "rounds"
TOKENS = "tokens_per_example"
"""Key of the tokens per example, in the recorded study file of a study written in tokens."""
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
    """Return the examples that a step uses, each counted as often as it is used.

    They are the batch size times the local steps. In a federated study, the batch size is global:
    clients times local batch size.
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
    """Return what batch sizes count: examples, with their length if the study is in tokens."""
    tokens = config.get(TOKENS)
    return f"examples of {tokens} tokens" if tokens else "examples"


def clients_text(config: Mapping[str, Any]) -> str:
    """Return a short description of a study's clients; "none" if it has none."""
    if not is_federated(config):
        return "none"
    section = config["federated"]
    clients, local = section.get("clients"), section.get("local_batch_size")
    who = f"{clients} clients" if clients else f"local batch {local}"
    return f"{who} x {counted(local_steps(config), 'steps')} {_shards_text(section)}"


def round_sentences(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence on what a step of a federated study is; none for other studies."""
    if not is_federated(config):
        return ()
    section, steps = config["federated"], local_steps(config)
    clients, local = section.get("clients"), section.get("local_batch_size")
    who, share = (clients, f"B / {clients}") if clients else (f"B / {local}", local)
    used = "B examples" if steps == 1 else f"{steps} B examples"
    e_min = "" if steps == 1 else f", all of which E_min counts: b_crit = E_min / ({steps} S_min)"
    return (
        f"A step is a round of FedAvg: {who} clients take {counted(steps, 'steps')} each, on "
        f"{share} examples of their own shards ({_shards_text(section)}), and their models are "
        f"averaged. It uses {used}{e_min}.",
    )


def _shards_text(section: Mapping[str, Any]) -> str:
    return f"{section['shards']} {section['alpha']:g}" if "alpha" in section else section["shards"]
