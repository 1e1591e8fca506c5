"""What the steps of a study count, told from its config: updates, or rounds of federated averaging.

The one place that knows how many examples a step uses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

STEPS, ROUNDS = "steps", "rounds"
_AXES = {
    (STEPS,): "Steps to target (optimizer updates)",
    (ROUNDS,): "Rounds to target (averages of the clients)",
    (ROUNDS, STEPS): "Steps (FedAvg: rounds) to target",
}


def federated(config: Mapping[str, Any]) -> bool:
    """Tells whether the steps of a study are rounds."""
    return "federated" in config


def local_steps(config: Mapping[str, Any]) -> int:
    """Gives the optimizer updates that follow one another in a step, 1 but for rounds."""
    return int(config["federated"]["local_steps"]) if federated(config) else 1


def examples_per_step(config: Mapping[str, Any], batch_size: int) -> int:
    """Gives the examples that a step uses: a batch in each of a round's local steps.

    Args:
        config: a resolved study file as plain data.
        batch_size: the global one, clients x local batch, in a federated study.

    Returns:
        The examples, each as often as it is used.
    """
    return batch_size * local_steps(config)


def counted(config: Mapping[str, Any]) -> str:
    """Gives the word for what a study counts."""
    return ROUNDS if federated(config) else STEPS


def steps_axis(configs: Sequence[Mapping[str, Any]]) -> str:
    """Gives the label of an axis of steps to target, for one study or several."""
    return _AXES[tuple(sorted({counted(config) for config in configs}))]


def batch_axis(configs: Sequence[Mapping[str, Any]]) -> str:
    """Gives the label of an axis of batch sizes, for one study or several."""
    return f"{'Global batch' if any(map(federated, configs)) else 'Batch'} size (examples)"


def clients_words(config: Mapping[str, Any]) -> str:
    """Describes the clients of a study in a few words, "none" where it has none."""
    if not federated(config):
        return "none"
    section = config["federated"]
    clients, local = section.get("clients"), section.get("local_batch_size")
    who = f"{clients} clients" if clients else f"local batch {local}"
    return f"{who} x {_many(local_steps(config))} {_kind(section)}"


def round_sentences(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Says what a step of a federated study is; nothing of any other."""
    if not federated(config):
        return ()
    section, steps = config["federated"], local_steps(config)
    clients, local = section.get("clients"), section.get("local_batch_size")
    who, share = (clients, f"B / {clients}") if clients else (f"B / {local}", local)
    used = "B examples" if steps == 1 else f"{steps} B examples"
    e_min = "" if steps == 1 else f"; E_min counts B each, 1/{steps} of the examples"
    return (
        f"A step is a round of FedAvg: {who} clients take {_many(steps)} each, on {share} "
        f"examples of their own shards ({_kind(section)}), and their models are averaged. It uses "
        f"{used}{e_min}.",
    )


def _kind(section: Mapping[str, Any]) -> str:
    return f"{section['shards']} {section['alpha']:g}" if "alpha" in section else section["shards"]


def _many(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"
