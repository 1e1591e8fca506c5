"""The commands `workloads` and `check`: which workloads there are, and whether one is sound."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from study.commands.options import SOME_FAILED, DataDir, Json, RunCode, Workload, use_data
from study.commands.terminal import console
from study.errors import StudyError

if TYPE_CHECKING:
    from workloads.testing import Clause


def workloads(
    long: Annotated[
        bool,
        Option("--long", help="Build each one to show its size and how its lanes train."),
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the built-in workloads and those of installed plug-ins."""
    from rich import box
    from rich.table import Table

    from workloads.registry import names

    use_data(data_dir)
    entries = names()
    rows = [asdict(entry) for entry in entries]
    columns = {
        "data": [entry.data or entry.source for entry in entries],
        "what it is": [entry.summary for entry in entries],
    }
    if long:
        from study.commands.listing import BATCH_SIZE, build_each

        builds = list(build_each(entries))
        rows = [row | asdict(build) for row, build in zip(rows, builds, strict=True)]
        columns = {
            "parameters": ["" if b.parameters is None else f"{b.parameters:,}" for b in builds],
            f"lanes at batch size {BATCH_SIZE}": [b.lanes for b in builds],
        }
    if as_json:
        console.document({"workloads": rows})
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for entry, *cells in zip(entries, *columns.values(), strict=True):
        table.add_row(entry.name, *cells)
    console.print(table)
    console.print(
        'Your own: path/to/file.py:Class, or any program by `workload = "command"` in a study '
        "file. Test it with `batchscale check`."
    )


def check(workload: Workload, run_code: RunCode = False, data_dir: DataDir = None) -> None:
    """Check a workload against the contract, clause by clause."""
    use_data(data_dir)
    sound = True
    is_study_file = workload.endswith(".toml")
    clauses = _program_clauses(workload, run_code) if is_study_file else _clauses(workload)
    printed: dict[str, str] = {}
    for clause in clauses:
        mistake = re.sub(r"\d+", "0", clause.detail)
        first = clause.name if clause.passed else printed.setdefault(mistake, clause.name)
        detail = clause.detail if first == clause.name else f"as above, {first}"
        console.clause(clause.name, clause.passed, detail)
        sound = sound and bool(clause.passed)
    if not sound:
        raise typer.Exit(SOME_FAILED)


def _clauses(workload: str) -> "Iterator[Clause]":
    from workloads.registry import COMMAND, refuse_unknown, resolve

    refuse_unknown(workload)
    from study.planning.admission import clause as admission
    from workloads.command import Command
    from workloads.testing import check as check_contract
    from workloads.workload import Dynamics

    if workload == COMMAND:
        raise StudyError(
            "a program is checked through its study file, got none; give its study.toml"
        )
    built, sound = resolve(workload), True
    assert not isinstance(built, Command)
    for clause in check_contract(built):
        yield clause
        sound = sound and bool(clause.passed)
    if sound and not isinstance(built, Dynamics):
        yield admission(built)


def _program_clauses(study_file: str, run_code: bool) -> "Iterator[Clause]":
    from study.commands.running import read_studies
    from study.planning.trial_run import check_program
    from workloads.command import Command

    studies = read_studies(study_file, (), 0.0, run_code=run_code)
    for member in studies.members:
        resolved, trainable = studies.loaded(member)
        if not isinstance(trainable, Command):
            raise StudyError(
                "`check` needs the study file of a program, got one of "
                f"{resolved.workload!r}; give the name of the workload instead"
            )
        yield from check_program(resolved, trainable)
