"""The commands `sweep` and `plan`: run studies, or estimate what a run would cost."""

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from study.commands.options import SOME_FAILED, DataDir, Json, RunCode, Source, finite, use_data
from study.commands.terminal import console
from study.errors import StudyError

if TYPE_CHECKING:
    from study.planning.cost import Estimate


Workers = Annotated[
    int | None,
    Option(min=1, max=10_000, help="Cohorts to train in parallel.", show_default="one per core"),
]
GpusPerWorker = Annotated[
    float,
    Option(min=0, callback=finite, help="GPUs per worker, fractions allowed; 0 trains on the CPU."),
]
Settings = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Override a key of the study file; may be repeated."),
]


def sweep(  # noqa: PLR0913 - one argument for each flag of the command
    source: Source,
    results: Annotated[
        str | None,
        Option(
            help="Parent of the results folder: a path, or a URI of s3://, gs:// or file://.",
            show_default="results; with a results folder's study.toml, that folder",
        ),
    ] = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    address: Annotated[str | None, Option(help="Ray cluster to join: auto, or host:port.")] = None,
    ray: Annotated[
        bool | None,
        Option(
            "--ray/--no-ray",
            help="Use Ray from the start, or never.",
            show_default="Ray takes over after a minute",
        ),
    ] = None,
    settings: Settings = None,
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Check everything and show what would run; write nothing."),
    ] = False,
    run_code: RunCode = False,
    data_dir: DataDir = None,
    track: Annotated[
        str | None,
        Option(
            metavar="NAME,...",
            help="Experiment trackers to log to: wandb, mlflow, tensorboard, trackio.",
        ),
    ] = None,
    track_by: Annotated[
        str, Option(help="trial: log every trial; batch-size: only the best at each batch size.")
    ] = "trial",
    report: Annotated[
        bool, Option("--report", help="Keep report.html up to date during the sweep.")
    ] = False,
) -> None:
    """Tune at every batch size and record steps to target; run again to resume or extend."""
    from study.commands.members import members_in

    members_in(source, settings or ())
    from study.commands.running import SweepOptions, rehearse, run_sweep
    from study.orchestration.signals import RESUME_HINT, ignore_signals

    options = SweepOptions(
        results=results,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        address=address,
        ray=ray,
        settings=settings or (),
        data_dir=data_dir,
        run_code=run_code,
        track=() if track is None else tuple(track.split(",")),
        track_by=track_by,
        report=report,
    )
    if dry_run:
        rehearse(source, options, console)
        return
    swept = run_sweep(source, options, console)
    if swept.stopped is not None:
        ignore_signals()  # a second one would only replace the exit code
        console.print(f"stopped; {RESUME_HINT}")
        raise typer.Exit(swept.stopped)
    verb = "analyze" if len(swept.folders) == 1 else "compare"
    console.print(f"Next: batchscale {verb} {shlex.join(map(str, swept.folders))}")
    if not swept.complete:
        raise typer.Exit(SOME_FAILED)


def plan(  # noqa: PLR0913 - one argument for each flag of the command
    source: Source,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    max_hours: Annotated[
        float | None,
        Option(min=0, callback=finite, help="Fail if the study is expected to take longer."),
    ] = None,
    seconds: Annotated[
        float,
        Option(min=0.01, callback=finite, help="Seconds of training at each batch size."),
    ] = 3.0,
    settings: Settings = None,
    run_code: RunCode = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Train briefly at every batch size and estimate time, memory and disk of a sweep."""
    from study.commands.members import members_in

    members_in(source, settings or ())
    import torch

    from study.commands.running import read_studies
    from study.engine.networks.training import moved
    from study.planning.cores import default_workers
    from study.planning.cost import estimates, past_plan, plan_table, probe, whole_plan
    from study.planning.horizons import still_schedules
    from study.planning.programs import worker_share
    from study.planning.sizing import check_gpus

    use_data(data_dir)
    check_gpus(gpus_per_worker)
    torch.set_num_threads(1)  # as in a worker
    studies = read_studies(source, settings or (), gpus_per_worker, run_code=run_code)
    planned: list[dict[str, Any]] = []
    rows: list[Estimate] = []
    for member in studies.members:
        resolved, trainable = studies.loaded(member)
        trainable = moved(trainable, "cuda" if gpus_per_worker else "cpu")
        probes = [probe(resolved, trainable, size, seconds) for size in resolved.batch_sizes]
        own = estimates(resolved, probes)
        notes = still_schedules(resolved, {row.batch_size: row.steps_to_target for row in own})
        notes += past_plan(resolved)
        records = [asdict(row) for row in own]
        planned.append({"name": member.name, "batch_sizes": records, "notes": notes})
        rows += own
        if not as_json:
            console.heading(studies.title(member))
            console.print(plan_table(own))
            for note in notes:
                console.print(note)
    shares = [worker_share(studies.resolved(m)) or (1, gpus_per_worker) for m in studies.members]
    count = workers or min(default_workers(gpus, cpus) for cpus, gpus in shares)
    whole = {
        "workers": count,
        "seconds": sum(row.seconds for row in rows) / count,
        "seconds_at_most": sum(row.seconds_at_most for row in rows) / count,
        "memory": max(row.memory for row in rows),
        "disk": sum(row.disk for row in rows),
    }
    if as_json:
        console.document({**whole, "studies": planned})
    else:
        console.print(whole_plan(whole, studies=len(planned)))
        if not all(row.measured for row in rows):
            console.print("~ not measured: scaled from the nearest batch size by perfect scaling")
    hours = whole["seconds"] / 3600
    if max_hours is not None and hours > max_hours:
        raise StudyError(
            f"--max-hours must be at least the expected {hours:.2g}, got {max_hours:g}; "
            "use more workers, fewer trials or batch sizes, or a looser target"
        )
