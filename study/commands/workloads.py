"""The commands about workloads: which there are, and whether one is sound."""

from dataclasses import asdict
from typing import Annotated

import typer

from study.commands.options import SOME_FAILED, DataDir, Json, Workload, use_data
from study.commands.terminal import Terminal

app = typer.Typer()
console = Terminal()


@app.command()
def workloads(
    long: Annotated[
        bool, typer.Option("--long", help="Build each one: its size, and how its lanes train.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the workloads: built-in ones, and those of installed plug-ins."""
    from rich import box
    from rich.table import Table

    from workloads.registry import names

    use_data(data_dir)
    entries = names()
    found = [asdict(entry) for entry in entries]
    columns = {
        "data": [entry.data or entry.source for entry in entries],
        "what it is": [entry.summary for entry in entries],
    }
    if long:
        from study.commands.listing import BATCH_SIZE, built

        what = list(built(entries))
        found = [row | asdict(one) for row, one in zip(found, what, strict=True)]
        columns = {
            "parameters": ["" if one.parameters is None else f"{one.parameters:,}" for one in what],
            f"lanes at batch size {BATCH_SIZE}": [one.lanes for one in what],
        }
    if as_json:
        console.document({"workloads": found})
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for entry, *cells in zip(entries, *columns.values(), strict=True):
        table.add_row(entry.name, *cells)
    console.print(table)
    console.print("Your own: path/to/file.py:Class. Test it with `batchscale check`.")


@app.command()
def check(
    workload: Workload,
    data_dir: DataDir = None,
) -> None:
    """Check a workload against the contract, clause by clause."""
    from workloads.registry import refuse_unknown, resolve

    refuse_unknown(workload)
    from study.planning.admission import clause as admission
    from workloads.testing import check as check_contract
    from workloads.workload import Dynamics

    use_data(data_dir)
    built, kept = resolve(workload), True
    for clause in check_contract(built):
        console.clause(clause.name, clause.passed, clause.detail)
        kept = kept and clause.passed
    if kept and not isinstance(built, Dynamics):
        how = admission(built)
        console.clause(how.name, how.passed, how.detail)
        kept = how.passed
    if not kept:
        raise typer.Exit(SOME_FAILED)
