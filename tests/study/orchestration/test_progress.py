import io
from dataclasses import replace

import pytest
from rich.console import Console

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import run_cohort
from study.orchestration.progress import Progress, progress_table, share_done, shown
from study.records import Cohort, Point, Role
from study.search.queue import Standing
from study.storage.parts import Parts, write_part
from study.storage.study_folder import open_folder


@pytest.fixture
def sweeping(training, make_study, tmp_path):
    """Return a folder where 2 of 4 trials at batch size 4 are recorded, its study, and a write."""
    folder = ResultsFolder.at(tmp_path / "blobs")
    study = open_folder(folder, make_study(search={"trials": 4}))

    def write(size, first):
        points = tuple(
            Point(trial=first + i, seed=i, values={"lr": lr, "momentum": 0.0})
            for i, lr in enumerate([0.3, 3e38])
        )
        cohort = Cohort(batch_size=size, points=points)
        results = run_cohort(study, training(), cohort)
        write_part(folder, study, results)
        return results

    write(4, 0)
    return folder, study, write


def test_rows_count_what_the_parts_hold(sweeping):
    folder, study, _ = sweeping
    progress = Progress(study, Parts(folder, study))
    first, second = progress.rows([Standing(batch_size=16, racing=2, waiting=2)])
    assert (first.batch_size, first.done, first.trials) == (4, 2, 4)
    assert (first.reached, first.diverged, first.racing) == (1, 1, 0)
    assert first.best_steps > 0
    assert (second.done, second.racing, second.best_steps) == (0, 2, None)
    assert 0 < share_done([first, second]) < 1


def test_a_terminal_gets_a_table(sweeping):
    folder, study, _ = sweeping
    progress = Progress(study, Parts(folder, study))
    text = io.StringIO()
    Console(file=text, width=120).print(progress_table(progress.rows(), "half way"))
    assert "best steps" in text.getvalue()
    assert "half way" in text.getvalue()


def test_a_log_gets_a_line_for_each_new_part(sweeping):
    folder, study, write = sweeping
    text = io.StringIO()
    progress = Progress(study, Parts(folder, study))
    with shown(progress, list, Console(file=text, width=120)):
        progress.add(write(16, 0))
    lines = text.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("batch size 16: 2/4 trials, best ")


@pytest.mark.parametrize(
    ("role", "words"),
    [(Role.REPLICATE, "0/4 trials, 2 replicates, "), (Role.EXTENSION, "2 in a widened box, ")],
)
def test_the_line_of_a_part_says_what_its_trials_are(sweeping, role, words):
    _, study, write = sweeping
    progress = Progress(study)
    results = write(16, 0)
    progress.add([replace(r, point=replace(r.point, role=role)) for r in results])
    (line,) = progress.new_lines()
    assert words in line
    assert progress.new_lines() == []


def test_a_live_table_is_drawn_while_the_sweep_runs(sweeping):
    folder, study, write = sweeping
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    progress = Progress(study, Parts(folder, study))
    with shown(progress, list, console):
        progress.add(write(16, 0))
    assert "racing" in text.getvalue()
