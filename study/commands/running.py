"""A sweep over all studies of a file: what the command and `batchscale.sweep` run."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.measures.unfinished import missing_text, missing_trials
from analysis.report.failures import failure_records, failure_sentences, retry_sentence
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STUDY_FILE
from study.commands.members import for_each, members_in
from study.commands.options import use_data
from study.commands.terminal import Terminal
from study.config.grid import Member, members_of
from study.config.study import ResolvedStudy
from study.config.study_file import override
from study.engine.networks.training import Trainable
from study.errors import StudyError
from study.orchestration.display import progress_table, shown
from study.orchestration.progress import Progress
from study.orchestration.resources import Resources, check_address
from study.orchestration.signals import Stop, listening
from study.orchestration.sweep import Sweep
from study.planning.cores import default_workers
from study.planning.horizons import still_schedules
from study.planning.programs import worker_share
from study.planning.resolve import resolve
from study.planning.sizing import Device, check_gpus
from study.storage.ends import read_ends
from study.storage.study_folder import continued, folder_of, open_folder
from study.tracking.follow import tracked
from study.tracking.registry import TRIAL, check_trackers
from workloads.registry import files_refused

RESULTS = "results"
"""Default parent of the folders of studies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepOptions:
    """Where and how a sweep runs, as `batchscale.sweep` takes it."""

    results: str | Path | None = None
    workers: int | None = None
    gpus_per_worker: float = 0.0
    address: str | None = None
    ray: bool | None = None
    settings: Sequence[str] = ()
    data_dir: str | Path | None = None
    run_code: bool = False
    track: Sequence[str] = ()
    track_by: str = TRIAL
    report: bool = False


class Studies:
    """Resolved studies; only the data of the latest one used stay in memory."""

    def __init__(self, members: Sequence[Member], device: Device | None = None) -> None:
        """Resolve every study, so that an error in the last one is found before any runs."""
        self.members, self._device = tuple(members), device
        self._latest: tuple[Member, tuple[ResolvedStudy, Trainable]] | None = None
        resolved = for_each(self.members, lambda member: self.loaded(member)[0])
        self._resolved = {m.name: study for m, study in zip(self.members, resolved, strict=True)}

    def loaded(self, member: Member) -> tuple[ResolvedStudy, Trainable]:
        """Return a study as it will run, with its workload loaded."""
        if self._latest is None or self._latest[0] is not member:
            self._latest = None  # frees its data before the next are loaded
            self._latest = (member, resolve(member.data, self._device))
        return self._latest[1]

    def resolved(self, member: Member) -> ResolvedStudy:
        """Return a study as it will run, without loading its data."""
        return self._resolved[member.name]

    def title(self, member: Member) -> str | None:
        """Return a heading such as "study 2 of 4: seed-1"; None for a file without a grid."""
        if member.name is None:
            return None
        number = 1 + self.members.index(member)
        return f"study {number} of {len(self.members)}: {member.name}"

    def folders(self, place: ResultsFolder) -> list[ResultsFolder]:
        """Return each study's results folder, checked to be empty or its own; write nothing.

        `place` is the folder of a single study, or the parent of the folders of a grid.

        Raises:
            StudyError: a folder belongs to another study, or the parent is itself a study's folder.
        """
        if self.members[0].name is not None and place.exists(STUDY_FILE):
            raise StudyError(
                f"the parent folder of a grid must not be a study's folder, got {place} with "
                f"{STUDY_FILE}; choose another --results, or rename the study file"
            )
        return for_each(self.members, lambda member: self._folder(place, member))

    def _folder(self, place: ResultsFolder, member: Member) -> ResultsFolder:
        folder = place if member.name is None else place / member.name
        continued(folder, self.resolved(member))
        return folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """How a sweep ended."""

    folders: list[ResultsFolder]  # one per study, in the order of the grid
    grid: bool  # whether the study file has one
    complete: bool  # no trial failed and no cohort was lost
    stopped: int | None = None  # exit code of the signal that stopped the sweep


def run_sweep(source: str | Mapping[str, Any], options: SweepOptions, console: Terminal) -> Swept:
    """Return how a sweep ended, after training what every study lacked.

    All studies are checked before the first one runs. `source` is the path of a study file, the
    name of a workload, or the content of a study file.
    """
    studies, folders, resources = _prepared(source, options)
    complete, stopped = True, None
    with listening() as stop:
        for member, folder, own in zip(studies.members, folders, resources, strict=True):
            console.heading(studies.title(member))
            with folder.locked():
                study = studies.loaded(member)
                complete = _sweep_one(folder, study, console, own, stop, options) and complete
            if stop.requested:
                stopped = stop.exit_code
                break
    grid = studies.members[0].name is not None
    return Swept(folders=folders, grid=grid, complete=complete, stopped=stopped)


def rehearse(source: str | Mapping[str, Any], options: SweepOptions, console: Terminal) -> None:
    """Check all that a sweep checks before it trains, and print what it would train."""
    studies, folders, resources = _prepared(source, options)
    for folder in folders:
        folder.check_writable()
    for member, folder, own in zip(studies.members, folders, resources, strict=True):
        resolved, trainable = studies.loaded(member)
        resolved = continued(folder, resolved)
        Sweep(folder, resolved, trainable)  # refuses what a sweep could not resume
        ends = read_ends(folder, resolved)
        console.heading(studies.title(member))
        console.print(_headline(folder, resolved, own))
        if ends.trials:
            console.print(progress_table(Progress.of_rows(resolved, ends.trials).rows()))
        missing = missing_trials(resolved.as_data(), ends.trials, ends.boxes)
        to_come = f"at least {missing_text(missing)}" if missing else "no trials are missing"
        console.print(f"dry run: nothing was trained or written; {to_come}")


def _prepared(
    source: str | Mapping[str, Any], options: SweepOptions
) -> tuple[Studies, list[ResultsFolder], list[Resources]]:
    """Return what a sweep needs, after every check that can be made before a study runs."""
    check_trackers(options.track, options.track_by)
    use_data(options.data_dir)
    check_address(options.address)
    if options.address is None:
        check_gpus(options.gpus_per_worker)
    studies = read_studies(
        source, options.settings, options.gpus_per_worker, run_code=options.run_code
    )
    folders = studies.folders(_place(source, options.results))
    resources = [_resources(options, studies.resolved(member)) for member in studies.members]
    for own, folder in zip(resources, folders, strict=True):
        own.check(folder)
        if own.address is None and (own.ray or own.needs_ray(folder)):
            from study.orchestration.machine import Machine, check_machine

            check_machine(Machine.here(own.workers))
    return studies, folders, resources


def _resources(options: SweepOptions, resolved: ResolvedStudy) -> Resources:
    """Return where a study runs; a program's study file says what its workers need."""
    cpus, gpus = worker_share(resolved) or (1, options.gpus_per_worker)
    if options.address is None:
        check_gpus(gpus)
    return Resources(
        workers=options.workers or default_workers(gpus, cpus),
        gpus_per_worker=gpus,
        cpus_per_worker=cpus,
        address=options.address,
        data_dir=os.environ.get("BATCHSCALE_DATA"),
        ray=options.ray,
    )


def read_studies(
    source: str | Mapping[str, Any],
    settings: Sequence[str],
    gpus_per_worker: float,
    *,
    run_code: bool,
) -> Studies:
    """Return the resolved studies of a file, a workload's name, or a file's content.

    A workload file named by the study.toml of a results folder runs only with `run_code`.
    """
    if isinstance(source, str):
        members = members_in(source, settings)
    else:
        members = members_of(override(source, settings), Path.cwd())
    recorded = isinstance(source, str) and folder_of(source) is not None
    with files_refused(recorded and not run_code):
        return Studies(members, Device("cuda", gpus_per_worker) if gpus_per_worker else Device())


def _place(source: str | Mapping[str, Any], results: str | Path | None) -> ResultsFolder:
    """Return the study's folder: one in `results`, or the one whose study.toml was given."""
    if isinstance(source, str) and (folder := folder_of(source)) is not None:
        return folder if results is None else ResultsFolder.at(results) / folder.name
    return ResultsFolder.at(results or RESULTS) / _name(source)


def _name(source: str | Mapping[str, Any]) -> str:
    """Return the name of the study's folder: the name of its file, or of its workload."""
    if isinstance(source, str) and source.endswith(".toml"):
        return Path(source).stem
    return str(source if isinstance(source, str) else source["workload"]).rpartition(":")[2]


def _sweep_one(
    folder: ResultsFolder,
    study: tuple[ResolvedStudy, Trainable],
    console: Terminal,
    resources: Resources,
    stop: Stop,
    options: SweepOptions,
) -> bool:
    """Run what is missing of one study; return whether no trial failed and no cohort was lost."""
    resolved = continued(folder, study[0])
    # reads the parts first, so that a damaged one is refused before anything is written
    work = Sweep(folder, resolved, study[1])
    open_folder(folder, resolved)
    console.print(_headline(folder, resolved, resources))
    following = tracked(options.track, options.track_by, folder, resolved, work.progress)
    with contextlib.ExitStack() as stack:
        page: list[str] = []
        if options.report:
            from study.commands.pages import page_kept_current  # imports matplotlib

            page = stack.enter_context(page_kept_current(folder))
        said = stack.enter_context(following)
        stack.enter_context(shown(work.display, console))
        end = work.run(resources, stop)
    failed = sum(status == "failed" for _, status, _ in end.trials)
    steps = {row.batch_size: row.best_steps for row in work.progress.rows() if row.best_steps}
    for line in (*end.notes, *said, *still_schedules(resolved, steps), *page):
        console.print(line)
    for line in (*end.errors, *failure_sentences(failure_records(end.trials))):
        console.print(line, style="red")
    if failed:
        console.print(retry_sentence(folder))
    count = len(end.trials) or work.progress.recorded
    console.print(f"{count} trials recorded, {failed} failed, {end.seconds:.0f} s")
    return not (failed or end.errors)


def _headline(folder: ResultsFolder, resolved: ResolvedStudy, resources: Resources) -> str:
    return (
        f"{resolved.workload}, {resolved.optimizer}: {_planned(resolved)} to "
        f"{resolved.race.quantity} < {resolved.target:g} in {folder}, "
        f"workers: {resources.workers}"
    )


def _planned(resolved: ResolvedStudy) -> str:
    if resolved.recipe is None:
        sizes, more = len(resolved.batch_sizes), len(resolved.unmeasured)
        others = f" ({more} more may follow)" if more else ""
        return f"{sizes} batch size{'s' * (sizes > 1)}{others} x {resolved.search.trials} trials"
    scaled = [size for size in resolved.batch_sizes if size not in resolved.searched]
    stages = [f"{resolved.search.trials} trials at batch size {size}" for size in resolved.searched]
    seeds = resolved.trials_at(scaled[0]) if scaled else 0
    stages.append(f"the {resolved.recipe.rule} scaling rule at {len(scaled)} x {seeds} seeds")
    return ", then ".join(stages)
