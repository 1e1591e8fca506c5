"""Sweeps from Python, run by the same code as the command."""

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchscale.arguments import are_texts, is_number, is_place, refuse_unless
from batchscale.loading import Study, load
from study.commands.running import SweepOptions, run_sweep
from study.commands.terminal import Terminal

_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "results": (lambda v: v is None or is_place(v), "a path or a URI"),
    "workers": (lambda v: v is None or (type(v) is int and v >= 1), "an integer of at least 1"),
    "gpus_per_worker": (lambda v: is_number(v) and 0 <= v < math.inf, "a number of at least 0"),
    "address": (lambda v: v is None or isinstance(v, str), "a string"),
    "ray": (lambda v: v is None or isinstance(v, bool), "True, False or None"),
    "settings": (are_texts, "a list of strings, such as ['seed=1']"),
    "data_dir": (lambda v: v is None or is_place(v), "a path"),
    "track": (are_texts, "a list of names, such as ['tensorboard']"),
}
"""The check and the rule of each option, in the order of the signature."""


def sweep(  # noqa: PLR0913 - one argument for each option of the command
    study: str | Path | Mapping[str, Any],
    *,
    results: str | Path | None = None,
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
    address: str | None = None,
    ray: bool | None = None,
    settings: Sequence[str] = (),
    run_code: bool = False,
    data_dir: str | Path | None = None,
    track: Sequence[str] = (),
    track_by: str = "trial",
    report: bool = False,
) -> Study | list[Study]:
    """Tune at every batch size and record steps to target; call again to resume or extend.

    Progress is printed as by the command. Failed trials are in the study's table, with status
    `failed` and a message.

    Args:
        study: path of a study file, name of a workload, or the content of a study file.
        results: parent of the results folder: a path, or a URI of s3://, gs:// or file://; None
            for `results`, or for the folder of the study file if a sweep recorded it.
        workers: cohorts to train in parallel, >= 1; None for one per core.
        gpus_per_worker: GPUs per worker, >= 0, or a fraction of one; 0 trains on the CPU.
        address: Ray cluster to join, `auto` or host:port; None for this machine.
        ray: True to use Ray from the start, False never to use it; None to begin without it if
            possible, and to start it if work is left after the first minute.
        settings: changes to the study file, such as `search.trials=32`.
        run_code: whether the workload file named by the study.toml of a results folder may run.
        data_dir: folder of data files; None for the one in the variable BATCHSCALE_DATA.
        track: experiment trackers to log to: wandb, mlflow, tensorboard, trackio, or plug-ins.
        track_by: what to log as a run: each `trial`, or the best one of each `batch-size`.
        report: whether to keep report.html up to date.

    Returns:
        The study, loaded; a list of studies where the study file has a grid.

    Raises:
        BatchscaleError: wrong input; nothing has been run or written.
        KeyboardInterrupt: Ctrl-C or SIGTERM stopped the sweep; its results are saved.
    """  # noqa: DOC502  (BatchscaleError: raised inside)
    options = SweepOptions(
        results=results,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        address=address,
        ray=ray,
        settings=settings,
        data_dir=data_dir,
        run_code=run_code,
        track=track,
        track_by=track_by,
        report=report,
    )
    rule = "a path, a name or a table"
    refuse_unless(is_place(study) or isinstance(study, Mapping), "study", rule, study)
    for name, (sound, rule) in _RULES.items():
        value = getattr(options, name)
        refuse_unless(sound(value), name, rule, value)
    thread = threading.current_thread()
    rule = "called in the main thread, which receives signals"
    refuse_unless(thread is threading.main_thread(), "sweep", rule, thread.name)
    source = study if isinstance(study, Mapping) else str(study)
    before = os.environ.get("BATCHSCALE_DATA")
    try:
        swept = run_sweep(source, options, Terminal())
    finally:
        os.environ.pop("BATCHSCALE_DATA", None)
        if before is not None:
            os.environ["BATCHSCALE_DATA"] = before
    if swept.stopped:
        raise KeyboardInterrupt("the sweep was stopped; its results are saved")
    studies = [load(folder.location) for folder in swept.folders]
    return studies if swept.grid else studies[0]
