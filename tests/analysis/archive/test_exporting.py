import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tomlkit

from analysis.archive.exporting import export_study
from analysis.archive.importing import Choices, import_archive
from analysis.errors import AnalysisError
from analysis.measures.targets import steps_to_target
from analysis.tables.files import write_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    CURVES_FILE,
    STUDY_FILE,
    TRIALS_FILE,
    curve_schema,
    file_schema,
    trial_schema,
)
from analysis.tables.study import read_study

DIGITS = Path(__file__).parents[3] / "results" / "reference" / "digits"
WINNERS = ["batch_size", "steps", "steps_before", "trial", "lr", "momentum", "effective_lr"]


def content(root):
    """Every file of an archive: JSON as data, measurements as a table by name of the column."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.suffix == ".json":
            found[name] = json.loads(path.read_text())
        elif path.suffix == ".csv":
            table = pd.read_csv(path, dtype=float)
            table = table[np.isfinite(table).all(axis="columns")]
            found[name] = table[sorted(table.columns)] if len(table) else None
    return found


@pytest.mark.parametrize("choices", [{}, {"target": 0.2}, {"target": 0.2, "all_trials": True}])
def test_an_imported_study_is_exported_as_it_was(archive, tmp_path, choices):
    for pattern, metric in (("mnist*", None), ("imagenet*", "average_precision")):
        (made,) = import_archive(
            archive,
            ResultsFolder.at(tmp_path / "results"),
            Choices(only=pattern, metric=metric, **choices),
        )
        export_study(made.folder, tmp_path / "again")
    before, after = content(archive), content(tmp_path / "again")
    assert before.keys() == after.keys()
    for name, expected in before.items():
        if isinstance(expected, pd.DataFrame):
            found = after[name]
            pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)
        else:
            assert after[name] == expected


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return the reference study as an archive."""
    archive = tmp_path_factory.mktemp("digits")
    export_study(ResultsFolder.at(DIGITS), archive)
    return archive


def back(archive, tmp_path, **choices):
    (made,) = import_archive(archive, ResultsFolder.at(tmp_path), Choices(**choices))
    return read_study(made.folder)


def test_an_exported_study_reads_back_with_its_steps(digits, tmp_path):
    study, again = read_study(ResultsFolder.at(DIGITS)), back(digits, tmp_path, target=0.05)
    assert again.name == "digits-mlp-model-nesterov"
    before, after = steps_to_target(study), steps_to_target(again)
    pd.testing.assert_frame_equal(after[WINNERS], before[WINNERS])
    for name in ("trials", "reached", "exhausted", "capped", "diverged", "best_error"):
        pd.testing.assert_series_equal(after[name], before[name])
    assert again.space == study.space
    raced = json.loads((digits / "digits-mlp/model/nesterov/2/study.json").read_text())
    assert raced["train_steps"] == 0
    assert raced["early_stopping"] is True


@pytest.mark.long
def test_capped_trials_count_at_a_looser_target_only_where_all_do(digits, tmp_path):
    before = steps_to_target(read_study(ResultsFolder.at(DIGITS)), 0.2)
    everything = back(digits, tmp_path / "all", target=0.05, all_trials=True)
    pd.testing.assert_frame_equal(steps_to_target(everything, 0.2)[WINNERS], before[WINNERS])
    complete = steps_to_target(back(digits, tmp_path / "complete", target=0.05), 0.2)
    assert (complete["steps"] >= before["steps"]).all()


@pytest.fixture
def folder(made, tmp_path):
    """A folder with a study that has trials of every role."""
    study = made({2: 100, 4: 60}, trials=4)
    more = [
        study.trials.head(2).assign(role=role, trial=[5, 7])
        for role in ("replicate", "warm", "extension")
    ]
    trials = pd.concat([study.trials, *more])
    folder = ResultsFolder.at(tmp_path / "made")
    config = tomlkit.dumps({**study.config, "workload": "my.py:Mine"})
    write_file(folder, STUDY_FILE, config.encode())
    for name, frame, schema in (
        (TRIALS_FILE, trials, trial_schema(("lr", "momentum"))),
        (CURVES_FILE, study.curves, curve_schema()),
        (BOXES_FILE, study.boxes, file_schema(BOXES_FILE)),
    ):
        write_table(folder, name, pa.Table.from_pandas(frame, schema, preserve_index=False))
    return folder


def test_trials_of_other_roles_are_numbered_after_the_search(folder, tmp_path):
    written = export_study(folder, tmp_path / "archive")
    assert written.folder == tmp_path / "archive/my/Mine/nesterov"
    assert (written.trials, written.left_out) == (12, 2)
    assert sorted(int(path.name) for path in (written.folder / "2").iterdir() if path.is_dir()) == [
        *range(4),
        *range(4, 8),
    ]
    trials = read_study(folder).trials.set_index(["role", "trial"])
    for number, key in {4: ("extension", 5), 5: ("extension", 7), 7: ("warm", 7)}.items():
        metadata = json.loads((written.folder / f"2/{number}/metadata.json").read_text())
        lr = trials.loc[key, "lr"]
        assert metadata["parameters"]["learning_rate"] == lr
        assert metadata["trial_id"] == number


def test_an_export_overwrites_nothing(folder, tmp_path):
    place = export_study(folder, tmp_path / "archive").folder
    before = sorted(place.rglob("*"))
    with pytest.raises(AnalysisError, match=r"must not overwrite anything, got .*Mine/nesterov"):
        export_study(folder, tmp_path / "archive")
    assert sorted(place.rglob("*")) == before


def test_an_export_stays_in_its_folder(archive, tmp_path, accept):
    (made,) = import_archive(
        archive, ResultsFolder.at(tmp_path / "results"), Choices(only="mnist*")
    )
    path = tmp_path / "results" / made.folder.name / STUDY_FILE
    path.write_text(path.read_text().replace('"mnist/cnn/momentum"', '"../cnn/momentum"'))
    accept(path.parent)
    with pytest.raises(AnalysisError, match=r"must be of letters, digits.*got '\.\.' in \.\./cnn"):
        export_study(made.folder, tmp_path / "a" / "archive")
    assert not (tmp_path / "a").exists()


def test_an_export_that_cannot_be_written_is_refused(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AnalysisError, match=r"a writable folder, got .*file: Not a directory"):
        export_study(folder, tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", "{}", '{"studies": 3}', '{"studies": {"8": 3}}', "[" * 100_000),
        '{"studies": {"8": {"parameter_configs": []}}}',
        '{"studies": {"8": {"parameter_configs": {"../x": {"type": "DOUBLE"}}}}}',
        '{"studies": {"8": {"parameter_configs": {"x": {"type": "DOUBLE", "min_value": 1}}}}}',
    ],
)
def test_a_damaged_imported_folder_is_refused(archive, tmp_path, content):
    (made,) = import_archive(
        archive, ResultsFolder.at(tmp_path / "results"), Choices(only="mnist*")
    )
    write_file(made.folder, "archive.json", content.encode())
    with pytest.raises(AnalysisError, match=r"archive\.json(?! must have)"):
        export_study(made.folder, tmp_path / "archive")


@pytest.mark.parametrize("name", ["archive.json", STUDY_FILE, TRIALS_FILE, CURVES_FILE, BOXES_FILE])
def test_an_imported_folder_with_other_bytes_is_refused(archive, tmp_path, name):
    (made,) = import_archive(
        archive, ResultsFolder.at(tmp_path / "results"), Choices(only="mnist*")
    )
    made.folder.write(name, made.folder.read(name) + b"\n")
    with pytest.raises(AnalysisError, match=f"{name} must have the digest in {name}.sha256"):
        export_study(made.folder, tmp_path / "archive")
    assert not (tmp_path / "archive").exists()
