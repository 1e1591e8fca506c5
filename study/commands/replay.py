"""The commands that train recorded trials again: `verify` and `layers`."""

from typing import TYPE_CHECKING, Annotated

import typer

from study.commands.options import (
    SOME_FAILED,
    DataDir,
    RunCode,
    StudyFolder,
    integers,
    use_data,
)
from study.commands.terminal import Terminal

if TYPE_CHECKING:
    from study.replay.verification import Clause

app = typer.Typer()
console = Terminal()


@app.command()
def verify(
    location: StudyFolder,
    replay: Annotated[
        bool, typer.Option("--replay/--no-replay", help="Train the winning trials again.")
    ] = True,
    run_code: RunCode = False,
    data_dir: DataDir = None,
) -> None:
    """Check a results folder and train its winners again; write nothing."""
    from analysis.tables.folder import ResultsFolder
    from study.replay.verification import check_folder
    from study.replay.winners import check_winners
    from workloads.registry import files_refused

    use_data(data_dir)
    folder = ResultsFolder.at(location)
    with files_refused(not run_code):
        broken = [clause.name for clause in check_folder(folder) if not _print_clause(clause)]
        if replay:
            broken += [clause.name for clause in check_winners(folder) if not _print_clause(clause)]
    if broken:
        raise typer.Exit(SOME_FAILED)


@app.command()
def layers(
    location: StudyFolder,
    batch_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="B,B,...",
            help="Batch sizes to measure.",
            show_default="all that reached the target",
        ),
    ] = None,
    run_code: RunCode = False,
    data_dir: DataDir = None,
) -> None:
    """Train the best trials again and compare each layer's gradient with its weights."""
    import pyarrow as pa

    from analysis.figures.one_study.layers import Layers, write_layer_figures
    from analysis.measures.layers import layer_sentences, read_layers
    from analysis.tables.files import write_table
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.schema import LAYERS_FILE, layer_schema
    from study.replay.layers import best_trials, measured_layers
    from study.replay.recorded import load_as_recorded, recorded_trials
    from study.storage.study_folder import read_study_toml
    from workloads.registry import files_refused

    use_data(data_dir)
    folder = ResultsFolder.at(location)
    resolved = read_study_toml(folder)
    recorded = recorded_trials(folder, resolved)
    sizes = None if batch_sizes is None else integers("--batch-sizes", batch_sizes)
    trials = best_trials(resolved, recorded, sizes)
    with files_refused(not run_code):
        trainable = load_as_recorded(folder, resolved)
    rows = []
    with console.status("training the best trials again") as status:
        for trial in trials:
            status.update(f"batch size {trial.batch_size}: {trial.outcome.steps} steps")
            rows += measured_layers(resolved, trainable, trial, recorded)
    write_table(folder, LAYERS_FILE, pa.Table.from_pylist(rows, schema=layer_schema()))
    measured = read_layers(folder)
    figures = folder / "figures"
    subject = f"{resolved.workload.rpartition(':')[2]}, {resolved.optimizer}"
    written = write_layer_figures(Layers(table=measured, subject=subject), figures)
    for sentence in layer_sentences(measured):
        console.print(sentence)
    for name in written:
        if name.endswith(".png"):
            console.print(str(figures / name))


def _print_clause(clause: "Clause") -> bool:
    """Print the result of a check; return whether it is not broken."""
    console.clause(clause.name, clause.passed, clause.detail)
    return clause.passed is not False
