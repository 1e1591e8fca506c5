import json
import shutil
import tomllib

import pandas as pd
import pytest

from analysis.archive.importing import Choices, import_archive
from analysis.errors import AnalysisError
from analysis.figures import FIGURES
from analysis.figures.drawing.kind import write_all
from analysis.measures.targets import search_trials, steps_to_target
from analysis.report.summary import analyze
from analysis.report.write import write_summary
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

CNN, RESNET = "mnist-cnn-momentum", "imagenet_subsets-half-resnet_50-sgd"


def imported(archive, to, **choices):
    made = import_archive(archive, ResultsFolder.at(to), Choices(**choices))
    return {one.folder.name: read_study(one.folder) for one in made}


def steps(study, target=None):
    table = steps_to_target(study, target).set_index("batch_size")
    return {
        size: None if pd.isna(row["steps"]) else (row["steps"], row["trial"])
        for size, row in table.iterrows()
    }


def test_steps_are_those_counted_by_hand(archive, tmp_path):
    study = imported(archive, tmp_path / "results", target=0.2)[CNN]
    # strict: trial 2 is at 0.2 at step 30, not below it; 3 before 4 by number
    assert steps(study) == {8: (30, 3), 64: (10, 12), 256: None}
    table = steps_to_target(study).set_index("batch_size")
    assert table.loc[8, "steps_before"] == 10
    assert table.loc[8, ["trials", "reached", "capped", "diverged"]].tolist() == [5, 3, 1, 1]
    assert table.loc[8, ["lr", "momentum"]].tolist() == [0.1, 0.95]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.2, {8: (30, 3), 64: (10, 12), 256: None}),
        (0.1, {8: (100, 2), 64: None, 256: None}),
        (0.35, {8: (30, 2), 64: (10, 12), 256: None}),
        (0.85, {8: (10, 2), 64: (5, 10), 256: (10, 0)}),
    ],
)
@pytest.mark.parametrize("first", [None, 0.2, 0.05])
def test_another_target_is_judged_in_the_same_way(archive, tmp_path, first, target, expected):
    study = imported(archive, tmp_path / "results", target=first)[CNN]
    assert steps(study, target) == expected
    statuses = search_trials(study, target)["status"]
    assert set(statuses) <= {"reached", "exhausted", "capped", "diverged"}


def test_all_trials_may_count(archive, tmp_path):
    study = imported(archive, tmp_path / "results", target=0.2, all_trials=True)[CNN]
    assert steps(study)[8] == (10, 7)
    assert study.trials.set_index(["batch_size", "trial"]).loc[(8, 7), "status"] == "capped"


def test_the_first_complete_trials(archive, tmp_path):
    study = imported(archive, tmp_path / "results", only=CNN, target=0.2, first_trials=1)[CNN]
    assert study.trials.groupby("batch_size")["trial"].apply(list).to_dict() == {
        8: [2],
        64: [9, 10],
        256: [0],
    }
    assert steps(study) == {8: (35, 2), 64: (40, 10), 256: None}
    with pytest.raises(AnalysisError, match=r"momentum has 1 at batch size 256; lower it"):
        imported(archive, tmp_path / "more", only=CNN, first_trials=2)


def test_a_maximized_metric_becomes_an_error(archive, tmp_path):
    study = imported(
        archive, tmp_path / "results", only="imagenet*", metric="average_precision", target=0.69
    )[RESNET]
    assert steps(study) == {16: (70, 1)}
    assert study.curves["val_error"].tolist() == [1, 1 - 0.3, 1, 1 - 0.35]
    assert study.config["imported"]["error"] == "1 - metric"
    loss = imported(archive, tmp_path / "loss", only="imagenet*", target=5.2)[RESNET]
    assert steps(loss) == {16: (50, 0)}
    assert loss.config["race"]["quantity"] == "loss"


def test_the_study_file_records_the_import(archive, tmp_path, tar_of):
    tar = tar_of(archive)
    study = imported(tar, tmp_path / "results", target=0.2, first_trials=1)[CNN]
    assert study.config["workload"] == "mnist-cnn"
    assert study.config["optimizer"] == "momentum"
    assert study.config["batch_sizes"] == [8, 64, 256]
    rules = study.config["imported"]
    assert len(rules.pop("sha256")) == 64
    assert rules == {
        "origin": "made.tar.bz2",
        "path": "mnist/cnn/momentum",
        "metric": "val/classification_error",
        "error": "metric",
        "counted_statuses": ["reached", "exhausted"],
        "first_trials": 1,
    }
    assert study.config["race"] == {"to": "budget", "quantity": "error", "target": 0.2}
    assert not study.raced


def test_searched_ranges_by_batch_size(archive, tmp_path):
    studies = imported(archive, tmp_path / "results")
    study = studies[CNN]
    assert study.box(8) == {
        "label_smoothing": {"low": 0.0, "high": 0.1, "scale": "linear"},
        "lr": {"low": 1e-4, "high": 10.0, "scale": "log"},
        "learning_rate_decay_steps": {"low": 50.0, "high": 90.0, "scale": "linear"},
        "momentum": {"low": 0.9, "high": 0.999, "scale": "reverse-log"},
    }
    assert study.box(64)["momentum"]["low"] == study.space["momentum"]["low"] == 0.5
    assert "label_smoothing" not in studies[RESNET].space
    assert studies[RESNET].config["search"]["space"]["label_smoothing"] == 0.01


def test_searches_of_different_hyperparameters_are_analyzed_and_drawn(archive, tmp_path):
    for number in (10, 12):
        path = archive / f"mnist/cnn/momentum/64/{number}/metadata.json"
        metadata = json.loads(path.read_text())
        del metadata["parameters"]["label_smoothing"]
        path.write_text(json.dumps(metadata))
    path = archive / "mnist/cnn/momentum/64/study.json"
    description = json.loads(path.read_text())
    del description["parameter_configs"]["label_smoothing"]
    path.write_text(json.dumps(description))
    study = imported(archive, tmp_path / "results", only=CNN, target=0.85)[CNN]
    assert "label_smoothing" not in study.box(64)
    analysis = analyze(study)
    assert analysis.fit is not None
    folder = ResultsFolder.at(tmp_path / "drawn")
    drawn = set(write_all(FIGURES, analysis, folder))
    assert {"steps_vs_batch.png", "search.png", "metaparameters.png"} <= drawn
    assert write_summary(analysis, folder)


def test_errors_that_are_not_finite_are_left_out_and_counted(archive, tmp_path):
    (made, *_) = import_archive(archive, ResultsFolder.at(tmp_path / "r"), Choices(only=CNN))
    assert "measurements left out for not being finite: 2" in made.sentence
    assert "trials without a measurement: 1" in made.sentence
    study = read_study(made.folder)
    broken = study.curves[(study.curves["batch_size"] == 8) & (study.curves["trial"] == 11)]
    assert broken["step"].tolist() == [0, 10]
    trials = study.trials.set_index(["batch_size", "trial"])
    assert trials.loc[(8, 11), ["status", "stopped_at", "best_error"]].tolist() == [
        "diverged",
        40,
        0.15,
    ]
    assert pd.isna(trials.loc[(64, 9), "best_error"])
    assert trials["steps"].isna().all()


def test_without_a_target_the_analysis_asks_for_one(archive, tmp_path):
    study = imported(archive, tmp_path / "results")[CNN]
    with pytest.raises(AnalysisError, match=f"needs --target, got none for {CNN}"):
        steps_to_target(study)


@pytest.mark.parametrize("name", ["made.tar", "made.tar.gz", "made.tar.xz", "made.tar.bz2"])
def test_a_tar_and_its_folder_import_alike(archive, tmp_path, tar_of, name):
    mode = f"w:{name.partition('tar')[2].removeprefix('.')}"
    from_tar = imported(tar_of(archive, name, mode), tmp_path / "a", target=0.2)
    from_folder = imported(archive, tmp_path / "b", target=0.2)
    assert set(from_tar) == set(from_folder) == {CNN, RESNET}
    for study, other in ((from_tar[name], from_folder[name]) for name in from_tar):
        pd.testing.assert_frame_equal(study.trials, other.trials)
        pd.testing.assert_frame_equal(study.curves, other.curves)
        pd.testing.assert_frame_equal(study.boxes, other.boxes)


def test_only_the_chosen_workloads_are_read(archive, tmp_path):
    (archive / "mnist/cnn/momentum/8/study.json").write_text("{")
    (archive / "README.md").write_text("passed over")
    assert set(imported(archive, tmp_path / "results", only="imagenet*")) == {RESNET}
    assert [path.name for path in (tmp_path / "results").iterdir()] == [RESNET]


WRONG_FILES = {
    "no JSON": ("8/study.json", "{", "momentum/8/study.json must be valid JSON"),
    "a list": ("8/2/metadata.json", "[]", r"8/2/metadata.json must be a JSON object, got b'\[\]'"),
    "deep": ("8/study.json", "[" * 100_000, "8/study.json must be valid JSON"),
    "another size": ("8/study.json", '{"batch_size": 9}', "of batch size 8, as its folder, got 9"),
    "no space": ("8/study.json", '{"batch_size": 8}', "with parameter_configs, got None"),
    "no range": (
        "8/study.json",
        '{"batch_size": 8, "parameter_configs": {"lr": {"type": "DOUBLE", "min_value": 0, '
        '"max_value": 1, "scale": "LOG_SCALE"}}}',
        "that its scale allows, got lr =",
    ),
    "unknown type": (
        "8/study.json",
        '{"batch_size": 8, "parameter_configs": {"lr": {"type": "CATEGORICAL"}}}',
        "a parameter must be DOUBLE, INTEGER, DISCRETE with",
    ),
    "a list for a scale": (
        "8/study.json",
        '{"batch_size": 8, "parameter_configs": {"lr": {"type": "DOUBLE", "min_value": 1, '
        '"max_value": 2, "scale": ["LOG_SCALE"]}}}',
        "that its scale allows, got lr =",
    ),
    "a point that is NaN": (
        "8/study.json",
        '{"batch_size": 8, "parameter_configs": {"lr": {"type": "DISCRETE", '
        '"feasible_points": [1, NaN, 2]}}}',
        "that its scale allows, got lr =",
    ),
    "unknown status": ("8/2/metadata.json", '{"status": "DONE"}', "got DONE"),
    "a list for a status": ("8/2/metadata.json", '{"status": ["COMPLETE"]}', "of a status among"),
    "no number": (
        "8/2/metadata.json",
        '{"status": "COMPLETE", "steps": 1, "trial_id": -1, "parameters": {}}',
        "with trial_id an integer from 0, got -1",
    ),
    "the number of another": (
        "8/2/metadata.json",
        '{"status": "COMPLETE", "steps": 1, "trial_id": 3, "parameters": {}}',
        "trial_id 3 more than once in mnist/cnn/momentum/8",
    ),
    "no parameter": (
        "8/2/metadata.json",
        '{"status": "COMPLETE", "steps": 1, "trial_id": 2, "parameters": {"lr": NaN}}',
        "with parameters that are finite numbers",
    ),
    "an odd parameter": (
        "8/2/metadata.json",
        '{"status": "COMPLETE", "steps": 1, "trial_id": 2, "parameters": {"a\\nb": 1}}',
        r"names of parameters must be of letters, .*got 'a\\nb' in mnist/cnn/momentum/8/2",
    ),
    "the name of a column": (
        "8/2/metadata.json",
        '{"status": "COMPLETE", "steps": 1, "trial_id": 2, "parameters": {"seed": 1}}',
        "must not have the name of a column of the tables, got seed",
    ),
    "torn csv": ("8/2/measurements.csv", "step,val/x\n1,2\n3", "must be a table of numbers"),
    "words in a csv": ("8/2/measurements.csv", "step,val/x\n1,b\n", "must be a table of numbers"),
    "no step": ("8/2/measurements.csv", "val/x\n1\n", "`step` among them, got val/x"),
    "an empty step": ("8/2/measurements.csv", "step,val/x\n,1\n", "with a step from 0"),
    "no metric": ("8/2/measurements.csv", "step,val/x\n1,1\n", "got step, val/x.* in mnist"),
}


@pytest.mark.parametrize(("file", "text", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_malformed_file_is_refused_and_nothing_is_written(archive, tmp_path, file, text, message):
    (archive / "mnist/cnn/momentum" / file).write_text(text)
    with pytest.raises(AnalysisError, match=message):
        imported(archive, tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("8/study.json", "got mnist/cnn/momentum/8/2/metadata.json without study.json"),
        ("8/2/metadata.json", "8/2/measurements.csv without metadata.json"),
    ],
)
def test_a_missing_file_is_refused(archive, tmp_path, file, message):
    (archive / "mnist/cnn/momentum" / file).unlink()
    with pytest.raises(AnalysisError, match=message):
        imported(archive, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_trial_without_measurements_is_counted(archive, tmp_path):
    (archive / "mnist/cnn/momentum/8/2/measurements.csv").unlink()
    (made, *_) = import_archive(archive, ResultsFolder.at(tmp_path / "r"), Choices(only=CNN))
    assert "trials without a measurement: 2" in made.sentence


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"metric": "accuracy"}, "--metric must be one of classification_error, .*got 'accuracy'"),
        ({"metric": "average_precision"}, "must have measurements val/ of average_precision, got"),
        ({"only": "cifar*"}, r"matches --only, got none for 'cifar\*'"),
        ({"first_trials": 0}, "--first-trials must be at least 1, got 0"),
        ({"target": float("nan")}, "--target must be a finite error above 0, got nan"),
    ],
)
def test_wrong_choices_are_refused(archive, tmp_path, choices, message):
    with pytest.raises(AnalysisError, match=message):
        imported(archive, tmp_path / "results", **choices)
    assert not (tmp_path / "results").exists()


def test_workloads_of_one_name_are_refused(archive, tmp_path):
    shutil.copytree(archive / "mnist/cnn", archive / "mnist-cnn/momentum")
    (archive / "mnist-cnn/momentum/momentum").rename(archive / "mnist-cnn/momentum/x")
    shutil.copytree(archive / "mnist/cnn/momentum", archive / "mnist/cnn-momentum/x")
    with pytest.raises(AnalysisError, match="got mnist-cnn-momentum-x of mnist/cnn-momentum/x and"):
        imported(archive, tmp_path / "results")


def test_a_folder_with_files_is_refused_and_unchanged(archive, tmp_path):
    imported(archive, tmp_path / "results", only=CNN)
    before = (tmp_path / "results" / CNN / "study.toml").read_bytes()
    with pytest.raises(AnalysisError, match="a folder that is new or empty, got .*mnist-cnn"):
        imported(archive, tmp_path / "results", target=0.1)
    assert (tmp_path / "results" / CNN / "study.toml").read_bytes() == before
    assert tomllib.loads(before.decode())["race"] == {"to": "budget", "quantity": "error"}
    assert not (tmp_path / "results" / RESNET).exists()
