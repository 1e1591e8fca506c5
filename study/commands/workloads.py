"""The commands about workloads: which there are, and whether one is sound."""

import re
from typing import Annotated

import typer

from study.commands.options import SOME_FAILED, DataDir, use_data
from study.commands.terminal import Terminal

app = typer.Typer()
console = Terminal()


@app.command()
def workloads(
    long: Annotated[
        bool, typer.Option("--long", help="Build each one: its size, and how its lanes train.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """List the workloads: built-in ones, and those of installed plug-ins."""
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
    console.print("Your own: path/to/file.py:Class. Test it with `batchscale check`.")


@app.command()
def check(
    workload: Annotated[str, typer.Argument(help="A workload's name, or path/to/file.py:Class.")],
    data_dir: DataDir = None,
) -> None:
    """Check a workload against the contract, clause by clause."""
    from study.planning.admission import clause as admission
    from workloads.registry import resolve
    from workloads.testing import check as check_contract
    from workloads.workload import Dynamics

    use_data(data_dir)
    built, kept = resolve(workload), True
    told: dict[str, str] = {}
    for clause in check_contract(built):
        mistake = re.sub(r"\d+", "0", clause.detail)
        first = clause.name if clause.passed else told.setdefault(mistake, clause.name)
        detail = clause.detail if first == clause.name else f"as above, {first}"
        console.clause(clause.name, clause.passed, detail)
        kept = kept and clause.passed
    if kept and not isinstance(built, Dynamics):
        how = admission(built)
        console.clause(how.name, how.passed, how.detail)
        kept = how.passed
    if not kept:
        raise typer.Exit(SOME_FAILED)
