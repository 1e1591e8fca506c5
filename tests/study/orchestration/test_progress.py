import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import run_cohort
from study.orchestration import display as showing
from study.orchestration.display import Display, progress_table, shown
from study.orchestration.progress import Progress, Row, share_done
from study.records import Lap, Role
from study.search.standing import Standing
from study.storage.ends import read_ends
from study.storage.parts import Parts, write_part
from study.storage.study_folder import open_folder
from tests.study.cohorts import cohort_of


@pytest.fixture
def sweeping(training, make_study, tmp_path):
    """Return a folder where 2 of 4 trials at batch size 4 are recorded, its study, and a write."""
    folder = ResultsFolder.at(tmp_path / "blobs")
    study = open_folder(folder, make_study(search={"trials": 4}))

    def write(size, first):
        cohort = cohort_of([0.3, 3e38], size, first=first, seed=0, momentum=0.0)
        results = run_cohort(study, training(), cohort)
        write_part(folder, study, results)
        return results

    write(4, 0)
    return folder, study, write


def standing(size, racing=0, waiting=0, ended=False):
    return Standing(batch_size=size, racing=racing, waiting=waiting, ended=ended)


def displayed(progress, standings=list, laps=list):
    return Display(progress, standings, laps)


def test_rows_count_the_trials_in_the_parts(sweeping):
    folder, study, _ = sweeping
    progress = Progress(study, Parts(folder, study))
    first, second = progress.rows([standing(16, racing=2, waiting=2)])
    assert (first.batch_size, first.done, first.trials) == (4, 2, 4)
    assert (first.reached, first.diverged, first.racing) == (1, 1, 0)
    assert first.best_steps > 0
    assert (second.done, second.racing, second.best_steps) == (0, 2, None)
    assert 0 < share_done([first, second]) < 1
    assert Progress.of_rows(study, read_ends(folder, study).trials).rows()[0] == first


def test_reports_of_workers_count_towards_the_share_done(sweeping):
    folder, study, _ = sweeping
    progress, racing = Progress(study, Parts(folder, study)), [standing(16, racing=4)]
    before = share_done(progress.rows(racing))
    told = [
        Lap(batch_size=16, share=share, loss=loss, steps_per_second=9.0) for share, loss in FARTHER
    ]
    row = progress.rows(racing, told)[1]
    assert (row.share, row.loss) == (0.5, 0.3)
    assert share_done(progress.rows(racing, told)) > before
    # a cohort that has been recorded since is no longer racing
    assert progress.rows([standing(16)], told)[1].loss is None


FARTHER = [(0.25, None), (0.75, 0.3)]


def test_replicates_are_expected_where_there_may_be_a_winner(make_study):
    study = make_study(search={"trials": 2}, replicates={"seeds": 3, "top": 2})
    ends = [
        {"batch_size": 4, "role": "search", "status": "capped", "steps": None},
        {"batch_size": 4, "role": "search", "status": "failed", "steps": None},
        {"batch_size": 16, "role": "search", "status": "reached", "steps": 7},
    ]
    rows = Progress.of_rows(study, ends).rows()
    assert [row.replicates_planned for row in rows] == [0, 6]
    assert share_done(rows[:1]) == 1
    assert share_done(rows[1:]) == 1 / 8


WIDEST = Row(
    batch_size=65_536,
    trials=1_000,
    done=999,
    more=24,
    replicates=15,
    replicates_planned=15,
    racing=32,
    share=0.99,
    loss=0.0123,
    reached=900,
    diverged=99,
    failed=12,
    best_steps=20_000,
)


def test_a_batch_size_that_is_added_gets_a_row(make_study):
    progress = Progress(make_study())
    progress.grow(make_study(batch_sizes=[4, 8, 16]))
    assert [row.batch_size for row in progress.rows()] == [4, 8, 16]


def test_the_live_table_is_readable_at_80_columns():
    text = io.StringIO()
    Console(file=text, width=80).print(progress_table([WIDEST], live=True))
    lines = text.getvalue().splitlines()
    (row,) = (line.split() for line in lines if "65,536" in line)
    assert " ".join(row) == "65,536 999/1000 +24 32, 99% 0.0123 900 99 12 20,000 15"
    assert max(map(len, lines)) <= 80


def test_a_log_gets_a_line_at_each_batch_size_that_has_ended(sweeping):
    folder, study, write = sweeping
    progress, ended = Progress(study, Parts(folder, study)), []
    text = io.StringIO()
    with shown(displayed(progress, lambda: ended), Console(file=text, width=120)):
        progress.add(write(16, 0))
        progress.add(write(16, 2))
        ended.append(standing(16, ended=True))
        ended.append(standing(4, racing=2))
    (line,) = text.getvalue().splitlines()
    assert line.startswith("batch size 16: 4/4 trials, best ")


def test_batch_sizes_that_ended_before_are_not_reported_again(sweeping):
    folder, study, write = sweeping
    progress = Progress(study, Parts(folder, study))
    display = displayed(progress, lambda: [standing(4, ended=True), standing(16, ended=True)])
    assert display.finished_lines() == []
    results = write(16, 0)
    progress.add([replace(r, point=replace(r.point, role=Role.RECIPE)) for r in results])
    progress.add([replace(r, point=replace(r.point, role=Role.REPLICATE)) for r in results])
    (line,) = display.finished_lines()
    assert line.startswith("batch size 16: 2/4 trials, 2 replicates, best ")
    assert display.finished_lines() == []


def test_a_log_gets_a_line_a_minute(sweeping, monkeypatch):
    folder, study, _ = sweeping
    monkeypatch.setattr(showing, "_LINE_SECONDS", 0.0)
    text = io.StringIO()
    display = displayed(
        Progress(study, Parts(folder, study)),
        lambda: [standing(16, racing=4)],
        lambda: [Lap(batch_size=16, share=0.5, loss=0.3, steps_per_second=1234.5)] * 2,
    )
    with shown(display, Console(file=text, width=120)):
        pass
    (line,) = text.getvalue().splitlines()
    assert re.fullmatch(
        r"2 trials recorded, \d+% of the expected work, 0:00:\d\d elapsed, 2,469 steps/s, "
        r"about 0:00:\d\d left",
        line,
    )


def test_a_live_table_is_drawn_while_the_sweep_runs(sweeping):
    folder, study, write = sweeping
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    progress = Progress(study, Parts(folder, study))
    with shown(displayed(progress), console):
        progress.add(write(16, 0))
    assert "racing" in text.getvalue()
    assert "of the expected work" in text.getvalue()
