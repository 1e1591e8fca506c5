"""All studies of a file are checked before the first runs."""

from pathlib import Path

import pytest

from analysis.tables.folder import ResultsFolder
from study.commands.members import for_each
from study.commands.running import Studies
from study.config.grid import Member, expand
from study.errors import StudyError
from study.storage.study_folder import open_folder

BLOBS = Path(__file__).parents[2] / "blobs.py"
BASE = {"workload": f"{BLOBS}:Blobs", "batch_sizes": [4], "search": {"trials": 2}}


@pytest.fixture
def studies():
    """Return studies by their grid."""
    return lambda grid: Studies(expand(BASE, grid, Path.cwd()))


def test_an_error_in_any_study_names_it(studies):
    with pytest.raises(StudyError) as refused:
        studies({"optimizer": ["sgd", "adamm"], "race.target": [0.1, 2.0]})
    first, *others = str(refused.value).splitlines()
    assert first.startswith("in optimizer-sgd,target-2.0: race.target must lie in (0, 1)")
    (other,) = others
    assert other.startswith("in optimizer-adamm,target-0.1 and 1 more: optimizer must be one of")


def test_unknown_keys_are_refused_one_by_one_and_once_if_all_studies_have_them(studies):
    with pytest.raises(StudyError) as refused:
        studies([{"name": "a", "serch.trials": 1, "sead": 1}, {"name": "b", "sead": 2}])
    assert str(refused.value).splitlines() == [
        "in a: serch is not a key of a study file; did you mean 'search'?",
        "sead is not a key of a study file; did you mean 'seed'?",
    ]


def test_each_study_has_its_own_folder(studies, tmp_path):
    several = studies({"seed": [0, 1]})
    assert [several.title(member) for member in several.members] == [
        "study 1 of 2: seed-0",
        "study 2 of 2: seed-1",
    ]
    assert [several.loaded(member)[0].seed for member in several.members] == [0, 1]
    folders = several.folders(ResultsFolder.at(tmp_path / "file"))
    assert [folder.base for folder in folders] == [str(tmp_path / f"file/seed-{n}") for n in (0, 1)]
    assert not (tmp_path / "file").exists()


def test_a_folder_of_another_study_is_refused_even_for_the_last_study(studies, tmp_path):
    place = ResultsFolder.at(tmp_path / "file")
    several = studies({"seed": [0, 1]})
    open_folder(place / "seed-1", several.loaded(several.members[0])[0])
    with pytest.raises(
        StudyError, match="in seed-1: .*seed-1 contains another study.* seed = 1 where"
    ):
        several.folders(place)
    assert not (tmp_path / "file" / "seed-0").exists()


def test_a_study_without_a_grid_has_the_folder_to_itself(studies, tmp_path):
    place = ResultsFolder.at(tmp_path / "file")
    alone = Studies([Member(None, BASE)])
    assert alone.title(alone.members[0]) is None
    assert alone.folders(place) == [place]
    open_folder(place, alone.loaded(alone.members[0])[0])
    with pytest.raises(
        StudyError, match="must not be a study's folder, got .*file with study.toml"
    ):
        studies({"seed": [0]}).folders(place)


def test_the_data_of_a_study_are_made_once_while_it_is_the_latest(studies):
    several = studies({"seed": [0, 1]})
    last = several.loaded(several.members[1])[1]
    assert several.loaded(several.members[1])[1] is last
    several.loaded(several.members[0])
    assert several.loaded(several.members[1])[1] is not last


def test_a_bug_is_not_reported_as_wrong_input():
    def broken(member):
        raise KeyError(member.name)

    with pytest.raises(KeyError, match="a"):
        for_each([Member("a", {})], broken)
