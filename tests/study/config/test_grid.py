"""A grid makes every combination once, and each study is the one written by hand."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.config.grid import expand, read_members
from study.config.study_file import override, read_study
from study.errors import StudyError

BASE = {"workload": "digits-mlp", "search": {"trials": 2}}
VALUES = {
    "optimizer": st.sampled_from(["sgd", "nesterov", "adam"]),
    "seed": st.integers(0, 99),
    "search.space.lr": st.floats(1e-6, 10.0),
    "workload_options.hidden": st.lists(st.integers(1, 99), min_size=1, max_size=3),
    "workload_options.depth": st.integers(1, 9),
    "race.slack": st.sampled_from([1.5, 2.0]),
}


def names(grid):
    return [member.name for member in expand(BASE, grid, Path.cwd())]


@st.composite
def grids(draw):
    keys = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    return {
        key: draw(st.lists(VALUES[key], min_size=1, max_size=3, unique_by=repr)) for key in keys
    }


@settings(deadline=None)
@given(grids())
def test_every_combination_is_made_once_and_is_the_study_written_by_hand(grid):
    members = expand(BASE, grid, Path.cwd())
    by_hand = [
        override(BASE, [f"{key}={value!r}" for key, value in zip(grid, combination, strict=True)])
        for combination in itertools.product(*grid.values())
    ]
    assert [member.data for member in members] == by_hand
    assert len({member.name.casefold() for member in members}) == len(by_hand)


@settings(deadline=None)
@given(grids(), st.data())
def test_a_name_stays_when_a_value_is_added_and_so_does_its_study(grid, data):
    before = {member.name: member.data for member in expand(BASE, grid, Path.cwd())}
    key = data.draw(st.sampled_from(sorted(grid)))
    added = data.draw(VALUES[key].filter(lambda value: value not in grid[key]))
    position = data.draw(st.integers(0, len(grid[key])))
    wider = grid | {key: [*grid[key][:position], added, *grid[key][position:]]}
    after = {member.name: member.data for member in expand(BASE, wider, Path.cwd())}
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (
            {"optimizer": ["sgd"], "workload_options.hidden": [[32], [64, 64], []]},
            ["optimizer-sgd,hidden-32", "optimizer-sgd,hidden-64x64", "optimizer-sgd,hidden-none"],
        ),
        ({"workload_options": {"depth": [1, 2]}}, ["depth-1", "depth-2"]),
        ({"search.space.lr": [1e-05, 0.1]}, ["lr-1e-05", "lr-0.1"]),
        ({"search.space.lr": [{"low": 0.1, "high": 1}]}, ["lr-low-0.1-high-1"]),
        ({"search.extend": [0], "search.warm_start": [True]}, ["extend-0,warm_start-true"]),
        ({"a.b": [1], "c.b": [2]}, ["a.b-1,c.b-2"]),
        ({"schedule.name": ["linear-decay"]}, ["schedule-linear-decay"]),
        ({"workload_options.split": ["../a b/ü."]}, ["split-..-a-b-"]),
        (
            [
                {"optimizer": "sgd", "seed": 1},
                {"name": "wide", "workload_options": {"hidden": [9]}},
            ],
            ["optimizer-sgd,seed-1", "wide"],
        ),
        ([{"name": "as it is".replace(" ", "-")}], ["as-it-is"]),
    ],
)
def test_names_are_short_and_readable(grid, expected):
    assert names(grid) == expected


def test_the_tables_of_a_list_go_together_and_leave_the_rest():
    grid = [
        {
            "name": "wide",
            "workload_options.depth": 1,
            "search.space": {"lr": {"low": 1, "high": 2}},
        },
        {"batch_sizes": {"from": 2, "to": 8}, "search": {"trials": 3}},
    ]
    base = BASE | {"search": {"trials": 2, "sampler": "sobol"}}
    wide, other = (member.data for member in expand(base, grid, Path.cwd()))
    space = {"lr": {"low": 1, "high": 2}}
    assert wide == base | {
        "workload_options": {"depth": 1},
        "search": {"trials": 2, "sampler": "sobol", "space": space},
    }
    assert other == base | {
        "batch_sizes": {"from": 2, "to": 8},
        "search": {"trials": 3, "sampler": "sobol"},
    }


WRONG = {
    "no keys": ({}, "a table of lists or a list of tables, not empty, got {}"),
    "no tables": ([], r"a table of lists or a list of tables, not empty, got \[\]"),
    "a word": ("optimizer", "a table of lists or a list of tables, not empty, got 'optimizer'"),
    "a plain value": ({"seed": 1}, r"grid\.seed must be a list of at least one value, got 1"),
    "no values": ({"seed": []}, r"grid\.seed must be a list of at least one value, got \[\]"),
    "a value twice": ({"seed": [1, 1]}, "distinct names, got seed-1 for"),
    "values that look alike": ({"workload_options.hidden": [[3], 3]}, "got hidden-3 for"),
    "a key twice": ({"a.b": [1], "a": {"b": [2]}}, r"set each key once, got a\.b and a\.b"),
    "a key and its table": ({"a": [{}], "a.b": [2]}, r"set each key once, got a and a\.b"),
    "a key without a part": ({"a..b": [1]}, r"dotted as for --set, got 'a\.\.b'"),
    "a key of the file": ({"workload": ["a"]}, "workload must be set in the grid or outside it"),
    "a key through a value": ({"workload.x": [1]}, r"got grid\.workload\.x=1 where workload is"),
    "a long name": ({"workload_options.x": ["y" * 99]}, "at most 100 characters, got 'x-yyy"),
    "a list of words": (["sgd"], r"each \[\[grid\]\] must be a table of settings.* got 'sgd'"),
    "an empty table": ([{}], r"each \[\[grid\]\] must be a table of settings, not empty, got {}"),
    "names by letter case": ([{"name": "Wide"}, {"name": "wide"}], "distinct names, got wide for"),
}


@pytest.mark.parametrize(("grid", "message"), WRONG.values(), ids=WRONG)
def test_a_grid_that_is_none_is_refused(grid, message):
    with pytest.raises(StudyError, match=message):
        names(grid)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a.", "ü", "nul", "Con.txt", 3, "-r"]
)
def test_a_name_that_is_no_folder_everywhere_is_refused(name):
    with pytest.raises(StudyError, match=r"grid\.name must be 1 to 100 letters"):
        names([{"name": name}])


def test_a_value_outside_is_for_the_studies_that_do_not_set_it():
    first, other = expand({"seed": 5}, [{"seed": 1}, {"name": "other"}], Path.cwd())
    assert (first.data, other.data) == ({"seed": 1}, {"seed": 5})


def test_settings_change_the_file_and_its_grid_before_it_is_expanded(tmp_path):
    path = tmp_path / "several.toml"
    path.write_text('workload = "w"\n[grid]\nsearch.trials = [1, 2]\noptimizer = ["sgd"]\n')
    members = read_members(str(path), ["grid.optimizer=['adam']", "seed=3"])
    assert [member.name for member in members] == [
        "trials-1,optimizer-adam",
        "trials-2,optimizer-adam",
    ]
    assert all(member.data["seed"] == 3 for member in members)
    with pytest.raises(StudyError, match="optimizer must be set in the grid or outside it"):
        read_members(str(path), ["optimizer=adam"])


def test_workload_files_in_a_grid_are_found_from_the_study_file(tmp_path):
    path = tmp_path / "several.toml"
    path.write_text('[grid]\nworkload = ["mine.py:Mine", "digits-mlp"]\n')
    members = read_members(str(path), [])
    assert [member.name for member in members] == ["workload-Mine", "workload-digits-mlp"]
    assert members[0].data == {"workload": f"{tmp_path / 'mine.py'}:Mine"}
    assert members[1].data == {"workload": "digits-mlp"}


def test_a_file_without_a_grid_makes_one_study():
    (member,) = read_members("digits-mlp", ["seed=1"])
    assert member.name is None
    assert member.data == read_study("digits-mlp") | {"seed": 1}
