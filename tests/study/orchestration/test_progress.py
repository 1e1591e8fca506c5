import io

import pytest
from rich.console import Console

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import run_cohort
from study.orchestration.progress import Progress, progress_table, share_done, shown
from study.records import Cohort, Point
from study.search.queue import Standing
from study.storage.parts import write_part
from study.storage.study_folder import open_folder


@pytest.fixture
def sweeping(training, make_study, tmp_path):
    """Gives a folder where 2 of 4 trials at batch size 4 are recorded, its study, and a write."""
    folder = ResultsFolder.at(tmp_path / "blobs")
    study = open_folder(folder, make_study(search={"trials": 4}))

    def write(size, first):
        points = tuple(
            Point(trial=first + i, seed=i, values={"lr": lr, "momentum": 0.0})
            for i, lr in enumerate([0.3, 3e38])
        )
        cohort = Cohort(batch_size=size, points=points)
        write_part(folder, study, run_cohort(study, training(), cohort))

    write(4, 0)
    return folder, study, write


def test_rows_count_what_the_parts_hold(sweeping):
    folder, study, _ = sweeping
    progress = Progress(folder, study)
    progress.read()
    first, second = progress.rows([Standing(batch_size=16, racing=2, waiting=2)])
    assert (first.batch_size, first.done, first.trials) == (4, 2, 4)
    assert (first.reached, first.diverged, first.racing) == (1, 1, 0)
    assert first.best_steps > 0
    assert (second.done, second.racing, second.best_steps) == (0, 2, None)
    assert 0 < share_done([first, second]) < 1


def test_a_running_sweeps_folder_is_not_asked_too_often(sweeping, monkeypatch):
    folder, study, write = sweeping
    monkeypatch.setattr(ResultsFolder, "poll_interval", 3600.0)
    progress = Progress(folder, study)
    assert len(progress.follow()) == 1
    write(16, 0)
    assert progress.follow() == []
    assert len(progress.read()) == 1


def test_a_folder_that_cannot_be_read_for_a_moment_is_asked_again(sweeping, monkeypatch):
    folder, study, _ = sweeping
    monkeypatch.setattr(ResultsFolder, "poll_interval", 0.0)
    progress = Progress(folder, study)
    part = folder.read("parts/b00004-c000.parquet")
    folder.write("parts/b00004-c000.parquet", part[:100])
    assert progress.follow() == []
    folder.write("parts/b00004-c000.parquet", part)
    assert len(progress.follow()) == 1


def test_a_terminal_gets_a_table(sweeping):
    folder, study, _ = sweeping
    progress = Progress(folder, study)
    progress.read()
    text = io.StringIO()
    Console(file=text, width=120).print(progress_table(progress.rows(), "half way"))
    assert "best steps" in text.getvalue()
    assert "half way" in text.getvalue()


def test_a_log_gets_a_line_for_each_new_part(sweeping):
    folder, study, write = sweeping
    text = io.StringIO()
    with shown(Progress(folder, study), list, Console(file=text, width=120)):
        write(16, 0)
    lines = text.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("batch size 16: 2/4 trials, best ")


def test_a_live_table_is_drawn_while_the_sweep_runs(sweeping):
    folder, study, write = sweeping
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    with shown(Progress(folder, study), list, console):
        write(16, 0)
    assert "racing" in text.getvalue()
