import codecs
import os

import pytest

from study.config.study import StudyConfig
from study.config.study_file import override, read_study, validated
from study.errors import StudyError


def test_a_study_file_is_read_and_its_plug_in_files_made_absolute(tmp_path):
    (tmp_path / "s.toml").write_text(
        'workload = "mine.py:Mine"\noptimizer = "mine.py:Mine"\n'
        '[schedule]\nname = "mine.py:Mine"\n[search]\nsampler = "mine.py:Mine"\n'
    )
    mine = f"{tmp_path / 'mine.py'}:Mine"
    assert read_study(str(tmp_path / "s.toml")) == {
        "workload": mine,
        "optimizer": mine,
        "schedule": {"name": mine},
        "search": {"sampler": mine},
    }


def test_a_name_stands_for_a_study_with_every_default():
    assert read_study("digits-mlp") == {"workload": "digits-mlp"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "must be readable UTF-8 text"), (b"workload = ", "valid TOML"), (b"\xff\xfe", "UTF-8")],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content, message):
    path = tmp_path / "s.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StudyError, match=message):
        read_study(str(path))


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "s.toml").write_bytes(codecs.BOM_UTF8 + b'workload = "w"\r\n')
    assert read_study(str(tmp_path / "s.toml")) == {"workload": "w"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_is_told_in_words(tmp_path, encoding):
    (tmp_path / "s.toml").write_text('workload = "w"', encoding=encoding)
    with pytest.raises(StudyError, match="UTF-8 text, got .*: it is UTF-16 or UTF-32; save it as"):
        read_study(str(tmp_path / "s.toml"))


def test_what_has_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "device.toml").symlink_to("/dev/zero")
    with (tmp_path / "sparse.toml").open("wb") as sparse:
        sparse.truncate(2**40)
    for name, why in {"pipe": "a pipe", "device": "a device", "sparse": "more than"}.items():
        with pytest.raises(StudyError, match=f"must be readable UTF-8 text, got .*{why}"):
            read_study(str(tmp_path / f"{name}.toml"))


def test_settings_reach_any_depth_and_leave_the_rest():
    data = {"workload": "w", "search": {"trials": 3, "space": {"lr": 0.1}}}
    changed = override(
        data, ["search.trials=8", "search.space.momentum=0.9", "optimizer=sgd", "batch_sizes=[1]"]
    )
    assert changed == {
        "workload": "w",
        "optimizer": "sgd",
        "batch_sizes": [1],
        "search": {"trials": 8, "space": {"lr": 0.1, "momentum": 0.9}},
    }
    assert data["search"]["trials"] == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trials", "must be key=value, got 'trials'"),
        (".a=1", "must be key=value"),
        ("workload.x=1", "set workload itself"),
    ],
)
def test_a_setting_of_another_form_is_refused(setting, message):
    with pytest.raises(StudyError, match=message):
        override({"workload": "w"}, [setting])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "sgd"}, "optimiser is not a key.*did you mean 'optimizer'"),
        ({"race": {"slak": 2}}, r"race\.slak is not a key.*did you mean 'slack'"),
        ({"search": {"space": {"lr": {"lo": 1, "high": 2}}}}, r"search\.space\.lr\.lo"),
        ({"batch_sizes": [4, 0]}, r"batch_sizes\.1 must be greater than or equal to 1, got 0"),
        ({"batch_sizes": [-4]}, "greater than or equal to 1, got -4"),
        ({"batch_sizes": [4, 4]}, "name each batch size once, got 4 more than once"),
        ({"batch_sizes": []}, "at least one batch size, got none"),
        ({"batch_sizes": [2.5]}, "must be .*integer, got 2.5"),
        ({"batch_sizes": "16,32"}, "batch_sizes must be a table, a list or 'auto', got '16,32'"),
        ({"batch_sizes": {"to": "x"}}, r"batch_sizes\.to must be 'all' or a number, got 'x'"),
        ({"batch_sizes": {"from": 0}}, r"batch_sizes\.from must be greater"),
        ({"seed": -1}, "seed must be greater than or equal to 0, got -1"),
        ({"search": {"trials": 0}}, r"search\.trials must be greater than or equal to 1"),
        (
            {"search": {"space": {"lr": "big"}}},
            r"search\.space\.lr must be a table or a number, got",
        ),
        (
            {"search": {"space": {"lr": {"low": 1.0, "high": 0.1}}}},
            r"search\.space\.lr: `low` must be less than `high`",
        ),
        ({"race": {"slack": 0.5}}, r"race\.slack must be greater than or equal to 1"),
        ({"race": {"resolution": 0}}, r"race\.resolution must be greater than 0"),
        (
            {"race": {"cohort": "many"}},
            r"race\.cohort must be 'auto', a number or a table, got 'many'",
        ),
        ({"race": {"max_epochs": 0.5}}, r"race\.max_epochs must be greater than or equal to 1"),
        ({"workload": 3}, "workload must be .*string, got 3"),
        ({"search": 3}, "search must be .*got 3"),
    ],
)
def test_every_wrong_key_or_value_is_named_with_what_it_must_be(change, message):
    with pytest.raises(StudyError, match=message):
        validated(StudyConfig, {"workload": "w"} | change)


def test_a_missing_workload_is_asked_for():
    with pytest.raises(StudyError, match="workload is required, got none"):
        validated(StudyConfig, {})


def test_all_errors_are_told_at_once():
    with pytest.raises(StudyError, match=r"(?s)seed.*\n.*search\.trials"):
        validated(StudyConfig, {"workload": "w", "seed": -1, "search": {"trials": 0}})


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        ({"from": 2, "to": 16}, (2, 4, 8, 16)),
        ({"from": 2, "to": "all"}, (2, 4, 8, 16, 32, 64, 90)),
        ({"from": 3, "to": 9}, (3, 4, 8, 9)),
        ({"from": 1, "to": 1}, (1,)),
    ],
)
def test_a_span_holds_the_powers_of_two_and_both_ends(asked, sizes):
    config = validated(StudyConfig, {"workload": "w", "batch_sizes": asked})
    assert config.batch_sizes.expand(90) == sizes
