"""The commands that retrain recorded trials: `verify` and `diagnose`."""

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from study.commands.options import (
    SOME_FAILED,
    DataDir,
    Json,
    RunCode,
    StudyFolder,
    integers,
    use_data,
)
from study.commands.terminal import Terminal, console

if TYPE_CHECKING:
    from workloads.testing import Clause


def verify(
    location: StudyFolder,
    replay: Annotated[
        bool, Option("--replay/--no-replay", help="Retrain the winning trials.")
    ] = True,
    run_code: RunCode = False,
    data_dir: DataDir = None,
) -> None:
    """Check a results folder and retrain its winning trials; write nothing."""
    from analysis.tables.folder import ResultsFolder
    from study.replay.verification import check_folder
    from study.replay.winners import check_winners
    from workloads.registry import files_refused

    use_data(data_dir)
    folder = ResultsFolder.at(location)
    with files_refused(not run_code):
        clauses = chain(check_folder(folder), check_winners(folder) if replay else ())
        sound = [_print_clause(clause) for clause in clauses]
    if not all(sound):
        raise typer.Exit(SOME_FAILED)


def diagnose(  # noqa: PLR0913 - one argument for each option of the command
    location: StudyFolder,
    what: Annotated[
        str | None,
        Option(
            metavar="NAME,NAME,...",
            help="What to measure: noise, curvature, sharpness, landscape, gap, layers, branch.",
            show_default="all",
        ),
    ] = None,
    batch_sizes: Annotated[
        str | None,
        Option(
            metavar="B,B,...",
            help="Batch sizes to measure.",
            show_default="all that reached the target",
        ),
    ] = None,
    seeds: Annotated[
        int,
        Option(
            min=0,
            help="Measure up to this many fresh seeds of the best point at each batch size, and "
            "show means with intervals; 0 measures the trial with the fewest steps.",
        ),
    ] = 0,
    examples: Annotated[
        int, Option(min=2, help="Training and validation examples to measure on, at most.")
    ] = 8192,
    as_json: Json = False,
    run_code: RunCode = False,
    data_dir: DataDir = None,
) -> None:
    """Retrain the best trials and measure gradient noise, curvature, loss landscape and more."""
    from analysis.figures.diagnostics import DIAGNOSTIC_FIGURES
    from analysis.figures.drawing.kind import write_all
    from analysis.measures.diagnostics import diagnostic_sentences, read_diagnostics
    from analysis.tables.folder import ResultsFolder
    from study.replay.diagnose import best_trials, diagnosable, diagnose, diagnostics_named
    from study.replay.recorded import load_as_recorded, recorded_trials
    from study.storage.diagnostics import rows_to_keep, write_diagnostics
    from study.storage.study_folder import read_study_toml
    from workloads.registry import files_refused

    wanted = diagnostics_named(what)
    sizes = None if batch_sizes is None else integers("--batch-sizes", batch_sizes)
    use_data(data_dir)
    folder = ResultsFolder.at(location)
    resolved = read_study_toml(folder)
    recorded = recorded_trials(folder, resolved)
    trials = best_trials(resolved, recorded, sizes, seeds)
    with files_refused(not run_code):
        trainable = load_as_recorded(folder, resolved)
    rows = [*rows_to_keep(folder, wanted, diagnosable(resolved, recorded))]
    with Terminal(stderr=True).status("retraining the best trials") as status:
        for trial, more in diagnose(resolved, trainable, recorded, trials, wanted, examples):
            status.update(f"batch size {trial.batch_size}: {trial.outcome.steps} steps, done")
            rows += more
    write_diagnostics(folder, rows)
    diagnostics = read_diagnostics(folder, resolved.as_data()).only(wanted)
    written = write_all(DIAGNOSTIC_FIGURES, diagnostics, folder / "figures", partial=True)
    sentences = diagnostic_sentences(diagnostics)
    if as_json:
        table = diagnostics.table.astype(object).where(diagnostics.table.notna(), None)
        console.document({"sentences": sentences, "diagnostics": table.to_dict("records")})
        return
    for name, lines in sentences.items():
        console.print("\n  ".join([f"{name}:", *lines]))
    console.places((folder / "figures" / name for name in written), ".png")


def _print_clause(clause: "Clause") -> bool:
    """Print the result of a check; return whether it did not fail."""
    console.clause(clause.name, clause.passed, clause.detail)
    return clause.passed is not False
