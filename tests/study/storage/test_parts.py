from collections import Counter

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import run_cohort
from study.orchestration.progress import Progress
from study.records import Role
from study.search.queue import CohortQueue
from study.storage import parts as reading
from study.storage.consolidate import consolidate, ended_by_tables
from study.storage.parts import Parts, part_names, write_part


@pytest.fixture
def reads(monkeypatch):
    """Counts how often each file is read from a results folder."""
    counted, read = Counter(), ResultsFolder.read

    def counting(folder, name):
        counted[name] += 1
        return read(folder, name)

    monkeypatch.setattr(ResultsFolder, "read", counting)
    return counted


def sweep(study, folder, trainable):
    """Does what a sweep does with parts, in one process."""
    parts = Parts(folder, study)
    queue, progress = CohortQueue(study, parts), Progress(study, parts)
    while (cohort := queue.take()) is not None:
        write_part(folder, study, run_cohort(study, trainable, cohort))
        results = parts.read_cohort(cohort.batch_size, cohort.number, cohort.role)
        progress.add(results)
        if queue.finish(results):
            queue.plan(cohort.batch_size, parts.at(cohort.batch_size))
    return consolidate(parts), progress


def test_a_sweep_reads_each_part_once(make_study, training, tmp_path, reads):
    study, folder = make_study(replicates={"seeds": 2}), ResultsFolder.at(tmp_path)
    ended, progress = sweep(study, folder, training())
    assert len(ended) == sum(row.done + row.replicates for row in progress.rows())
    assert reads == dict.fromkeys(part_names(folder), 1)
    reads.clear()
    again, _ = sweep(study, folder, training())
    assert again == ended
    assert reads == dict.fromkeys(part_names(folder), 1)
    assert ended_by_tables(folder, len(ended)) == ended
    assert ended_by_tables(folder, len(ended) + 1) is None
    folder.write("curves.parquet", b"")
    assert ended_by_tables(folder, len(ended)) is None


def test_a_large_study_is_read_again_rather_than_kept(
    make_study, training, tmp_path, reads, monkeypatch
):
    study, folder = make_study(), ResultsFolder.at(tmp_path)
    sweep(study, folder, training())
    kept = Parts(folder, study)
    trials = list(kept)
    monkeypatch.setattr(reading, "KEPT_MEASUREMENTS", 1)
    reads.clear()
    again = Parts(folder, study)
    for _ in range(2):
        assert [(r.batch_size, r.point, r.outcome) for r in again] == [
            (r.batch_size, r.point, r.outcome) for r in trials
        ]
    assert reads == dict.fromkeys(part_names(folder), 2)


def test_a_cohort_that_left_no_part_has_no_trials(make_study, tmp_path):
    assert Parts(ResultsFolder.at(tmp_path), make_study()).read_cohort(4, 0, Role.SEARCH) is None
