import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.errors import StudyError
from study.orchestration.resources import Resources


def test_workers_are_forked_on_this_machine_alone(tmp_path):
    assert Resources(workers=2).needs_ray(ResultsFolder.at(tmp_path)) is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"address": "auto"}, "--address"),
        ({"gpus_per_worker": 0.5}, "workers with GPUs"),
    ],
)
def test_no_ray_is_refused_where_ray_is_needed(tmp_path, options, reason):
    with pytest.raises(StudyError, match=f"--no-ray cannot be used with {reason}, which needs"):
        Resources(workers=2, ray=False, **options).check(ResultsFolder.at(tmp_path))
    Resources(workers=2, **options).check(ResultsFolder.at(tmp_path))


def test_a_store_and_a_machine_with_a_gpu_need_ray(tmp_path, store, monkeypatch):
    folder = ResultsFolder.at(store.uri("results"))
    assert Resources(workers=2).needs_ray(folder) == "results in an object store"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    folder = ResultsFolder.at(tmp_path)
    assert Resources(workers=2).needs_ray(folder) == "a machine with a GPU"
