"""Studies of a program: the keys of a study file that apply, and the resources of a worker."""

import math

from study.config.sections import Precision, RaceConfig
from study.config.study import ResolvedStudy, StudyConfig
from study.errors import StudyError, shown
from study.optimizers.hyperparameters import Group, of_program
from workloads.command import PROGRAM, Command, Options


def group_of(config: StudyConfig, command: Command) -> Group:
    """Return the hyperparameters of a program, by their names in its command line."""
    _refuse_inapplicable(config, command)
    space, names = config.search.space, command.hyperparameters
    unused = [name for name in space if name not in names]
    if unused:
        placeholders = ", ".join(sorted(command.placeholders)) or "none"
        raise StudyError(
            f"search.space.{unused[0]} must have a placeholder {{{unused[0]}}} in "
            f"workload_options.run, which has {placeholders}; add it, or name it in "
            "workload_options.hyperparameters if the program takes it from batchscale.trial()"
        )
    return of_program(names, space)


def worker_share(resolved: ResolvedStudy) -> tuple[int, float] | None:
    """Return the CPU cores and GPUs that a worker's programs share; None without a program."""
    if resolved.compute.mode != PROGRAM:
        return None
    options = Options(**resolved.workload_options)
    at_once = max(resolved.pack_at(size) for size in resolved.batch_sizes)
    gpus = at_once * options.gpus
    return at_once * options.cpus, gpus if gpus < 1 else math.ceil(gpus)


def refuse_gpus(gpus_per_worker: float) -> None:
    """Refuse a number of GPUs per worker, which follows from the GPUs of a trial."""
    if gpus_per_worker:
        raise StudyError(
            f"--gpus-per-worker must be left out for a program, got {gpus_per_worker:g}; set "
            "workload_options.gpus to the GPUs of a trial"
        )


def _refuse_inapplicable(config: StudyConfig, command: Command) -> None:
    """Refuse keys that have no effect on a program."""
    compute, resolution = config.compute, config.race.resolution
    usual = RaceConfig.model_fields["resolution"].default
    own = {
        "optimizer": (config.optimizer, config.optimizer == PROGRAM),
        "schedule.name": (config.schedule.name, config.schedule.name == "constant"),
        "race.resolution": (resolution, resolution == usual),
        "federated": (config.federated, config.federated is None),
        "compute.mode": (compute.mode, compute.mode in {"auto", PROGRAM}),
        "compute.precision": (compute.precision, compute.precision is Precision.FLOAT32),
    }
    for key, (value, fits) in own.items():
        if not fits:
            raise StudyError(
                f"{key} must be left out for a program, got {shown(value)}: the program itself "
                "decides this, and how often it measures"
            )
    if compute.micro_batch != "auto" and "micro_batch" not in command.placeholders:
        raise StudyError(
            f"compute.micro_batch must be left out, got {compute.micro_batch}: the command line "
            "has no placeholder {micro_batch} for it"
        )
