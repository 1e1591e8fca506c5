"""The command line: what is studied is in the study file, where and how wide it runs is here."""

import math
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.commands import replay as cli_replay
from study.commands import results as cli_results
from study.commands.options import SOME_FAILED, WRONG_INPUT, DataDir, use_data
from study.commands.results import console
from study.commands.terminal import Terminal
from study.errors import StudyError

if TYPE_CHECKING:
    from analysis.tables.folder import ResultsFolder
    from study.commands.studies import Studies
    from study.config.study import ResolvedStudy
    from study.engine.networks.training import Trainable
    from study.orchestration.cluster import Resources
    from study.orchestration.signals import Stop

app = typer.Typer(
    name="batchscale",
    help="How many optimizer steps does training need as the batch size grows?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_results.app)
app.add_typer(cli_replay.app)

Source = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study.toml, or the name of a workload.")
]


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


Workers = Annotated[
    int | None,
    typer.Option(min=1, max=10_000, help="Cohorts trained at once.", show_default="one per core"),
]
GpusPerWorker = Annotated[
    float,
    typer.Option(
        min=0, callback=_finite, help="Share of a GPU for each worker; 0 trains on the CPU."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the study file."),
]


@app.command()
def sweep(  # noqa: PLR0913 - one argument for each flag of the command
    source: Source,
    results: Annotated[
        str,
        typer.Option(help="Where the study's folder is made: a path, or s3://, gs://, file://."),
    ] = "results",
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to join: auto, or host:port.", show_default=False),
    ] = None,
    settings: Settings = None,
    data_dir: DataDir = None,
) -> None:
    """Tune at every batch size and record steps to target; run again to resume or extend."""
    from analysis.tables.folder import ResultsFolder
    from study.orchestration.cluster import Resources, check_address
    from study.orchestration.signals import RESUME_HINT, listening
    from study.planning.sizing import check_gpus

    use_data(data_dir)
    check_address(address)
    if address is None:
        check_gpus(gpus_per_worker)
    studies = _studies(source, settings, gpus_per_worker)
    folders = studies.folders(ResultsFolder.at(results) / _name(source))
    resources = Resources(
        workers=workers or _cores(),
        gpus_per_worker=gpus_per_worker,
        address=address,
        data_dir=os.environ.get("BATCHSCALE_DATA"),
    )
    whole = True
    with listening() as stop:
        for member, folder in zip(studies.members, folders, strict=True):
            _headline(studies.title(member))
            with folder.locked():
                whole = _sweep_one(folder, *studies.ready(member), resources, stop) and whole
            if stop.requested:
                console.print(f"stopped; {RESUME_HINT}")
                raise typer.Exit(stop.exit_code)
    verb = "analyze" if len(folders) == 1 else "compare"
    there = shlex.join(map(str, folders))
    console.print(f"Next: batchscale {verb} {there}")
    if not whole:
        raise typer.Exit(SOME_FAILED)


def _sweep_one(
    folder: "ResultsFolder",
    resolved: "ResolvedStudy",
    trainable: "Trainable",
    resources: "Resources",
    stop: "Stop",
) -> bool:
    """Runs what is missing of one study; tells whether no trial failed and no cohort was lost."""
    from analysis.report.failures import failure_sentences
    from study.orchestration.progress import shown
    from study.orchestration.sweep import Sweep
    from study.storage.study_folder import continued, open_folder

    resolved = continued(folder, resolved)
    work = Sweep(
        folder, resolved, trainable
    )  # reads the parts: nothing is changed where one is bad
    open_folder(folder, resolved)
    console.print(
        f"{resolved.workload}, {resolved.optimizer}: {_trials(resolved)} to "
        f"{resolved.race.quantity} < {resolved.target:g} in {folder}",
    )
    with shown(work.progress, work.standings, console):
        end = work.run(resources, stop)
    failed = sum(status == "failed" for _, status, _ in end.trials)
    for line in end.notes:
        console.print(line)
    for line in (*end.errors, *failure_sentences(end.trials)):
        console.print(line, style="red")
    console.print(f"{len(end.trials)} trials recorded, {failed} failed, {end.seconds:.0f} s")
    return not (failed or end.errors)


def _trials(resolved: "ResolvedStudy") -> str:
    if resolved.recipe is None:
        return f"{len(resolved.batch_sizes)} batch sizes x {resolved.search.trials} trials"
    followed = [size for size in resolved.batch_sizes if size not in resolved.searched]
    words = [f"{resolved.search.trials} trials at batch size {size}" for size in resolved.searched]
    seeds = resolved.trials_at(followed[0]) if followed else 0
    words.append(f"the {resolved.recipe.rule} rule at {len(followed)} x {seeds} seeds")
    return ", then ".join(words)


def _headline(title: str | None) -> None:
    if title is not None:
        console.print(f"\n{title}", style="bold")


@app.command()
def plan(  # noqa: PLR0913 - one argument for each flag of the command
    source: Source,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    max_hours: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=_finite,
            help="Refuse a study expected to take longer.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.01, callback=_finite, help="Training at each batch size.")
    ] = 3.0,
    settings: Settings = None,
    data_dir: DataDir = None,
) -> None:
    """Train for a moment at every batch size and tell what a sweep will cost."""
    import torch

    from study.engine.networks.training import moved
    from study.planning.cost import duration, estimates, plan_table, probe
    from study.planning.sizing import check_gpus

    use_data(data_dir)
    check_gpus(gpus_per_worker)
    torch.set_num_threads(1)  # as in a worker
    studies = _studies(source, settings, gpus_per_worker)
    rows = []
    for member in studies.members:
        resolved, trainable = studies.ready(member)
        trainable = moved(trainable, "cuda" if gpus_per_worker else "cpu")
        probes = [probe(resolved, trainable, size, seconds) for size in resolved.batch_sizes]
        _headline(studies.title(member))
        found = estimates(resolved, probes)
        console.print(plan_table(resolved, found))
        rows += found
    count = workers or _cores()
    expected = sum(row.seconds for row in rows) / count
    several = f"all {len(studies.members)} studies " if len(studies.members) > 1 else ""
    console.print(
        f"{several}with {count} workers: {duration(expected)} expected, at most "
        f"{duration(sum(row.seconds_at_most for row in rows) / count)}; "
        f"{max(row.probe.memory for row in rows) / 1e6:,.0f} MB of memory for each; "
        f"{sum(row.disk for row in rows) / 1e6:,.1f} MB on disk"
    )
    console.print("~ not seen yet: carried over from the nearest batch size by perfect scaling")
    if max_hours is not None and expected > 3600 * max_hours:
        raise StudyError(
            f"--max-hours must be at least the expected {expected / 3600:.2g}, got {max_hours:g}; "
            "use more workers, fewer trials or batch sizes, or a looser target"
        )


@app.command()
def workloads(
    long: Annotated[
        bool, typer.Option("--long", help="Build each, for its size and how its lanes train.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """List the workloads: built in, and brought by installed plug-ins."""
    from rich import box
    from rich.table import Table

    from workloads.registry import names

    use_data(data_dir)
    entries = names()
    columns, rows = ["data", "what it is"], [[e.data or e.source, e.summary] for e in entries]
    if long:
        from study.commands.listing import BATCH_SIZE, built

        columns = ["parameters", f"lanes at batch size {BATCH_SIZE}"]
        rows = [[what.parameters, what.lanes] for what in built(entries)]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for entry, row in zip(entries, rows, strict=True):
        table.add_row(entry.name, *row)
    console.print(table)
    console.print("Your own: path/to/file.py:Class. Try one with `batchscale check`.")


@app.command()
def check(
    workload: Annotated[str, typer.Argument(help="A workload's name, or path/to/file.py:Class.")],
    data_dir: DataDir = None,
) -> None:
    """Put a workload through the contract, clause by clause."""
    from workloads.registry import resolve
    from workloads.testing import check as check_contract

    use_data(data_dir)
    kept = True
    for clause in check_contract(resolve(workload)):
        console.clause(clause.name, clause.passed, clause.detail)
        kept = kept and clause.passed
    if not kept:
        raise typer.Exit(SOME_FAILED)


def _studies(source: str, settings: list[str] | None, gpus_per_worker: float) -> "Studies":
    from study.commands.studies import Studies
    from study.config.grid import read_members
    from study.planning.sizing import Device

    device = Device("cuda", gpus_per_worker) if gpus_per_worker else Device()
    return Studies(read_members(source, settings or []), device)


def _cores() -> int:
    return os.cpu_count() or 1


def _name(source: str) -> str:
    """Gives the study's name: its file's, or its workload's."""
    if source.endswith(".toml"):
        return Path(source).stem
    return source.rpartition(":")[2]


def main() -> None:
    """Runs the command line; wrong input ends in one short message and exit code 2."""
    from analysis.errors import AnalysisError
    from workloads.errors import WorkloadError

    try:
        app()
    except (StudyError, WorkloadError, AnalysisError) as error:
        Terminal(stderr=True).print(f"error: {error}")
        sys.exit(WRONG_INPUT)
