import json

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analysis.errors import AnalysisError
from analysis.measures.targets import steps_to_target
from analysis.report.record import sentences
from analysis.report.summary import analyze
from analysis.runs.space import parse_space
from tests.analysis.runs.conftest import SIZES, measurements, steps_needed


def steps(study, target=None):
    table = steps_to_target(study, target)
    return {row.batch_size: row.steps for row in table.itertuples()}


EXPECTED = {size: steps_needed(size) for size in SIZES}


def test_steps_to_target_are_those_that_the_runs_were_made_with(imports):
    made = imports(measurements(), target=0.1)
    assert steps(made.study) == EXPECTED
    assert set(made.trials["status"]) == {"reached", "exhausted"}
    assert made.trials["message"].iloc[0] == "run r-8-0.1-0"
    assert made.study.name == "made"
    found = analyze(made.study)
    assert found.fit is not None
    text = " ".join(sentences(found))
    assert "the ranges from which the imported runs were drawn are unknown" in text
    assert "run the best points again with other seeds" in text
    assert "best trials lie inside the searched box" not in text


def test_any_target_may_be_asked_for_later(imports):
    made = imports(measurements())
    assert steps(made.study, 0.1) == EXPECTED
    assert steps(made.study, 0.85) == dict.fromkeys(SIZES, 60)


def as_json_lines(frame, path):
    nested = ({"hp": {"lr": row.pop("lr")}, **row} for row in frame.to_dict("records"))
    path.write_text("\n".join(map(json.dumps, nested)) + "\n\n")


def as_semicolons(frame, path):
    path.write_text("\ufeff" + frame.to_csv(index=False, sep=";"), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("t.parquet", lambda frame, path: frame.to_parquet(path), {}),
        ("t.csv.gz", lambda frame, path: frame.to_csv(path, index=False), {}),
        ("t.tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t"), {}),
        ("t.csv", as_semicolons, {}),
        ("t.jsonl", as_json_lines, {"columns": "lr=hp.lr"}),
    ],
)
def test_every_format_gives_the_same_tables(imports, tmp_path, name, write, options):
    expected = imports(measurements(), target=0.1)
    write(measurements(), tmp_path / name)
    made = imports(None, name, target=0.1, **options)
    assert_frame_equal(made.trials, expected.trials)
    assert_frame_equal(made.curves, expected.curves)


@pytest.mark.parametrize("place", [-12, 60])
def test_a_damaged_or_cut_gzip_file_is_refused(imports, tmp_path, place):
    measurements().to_csv(tmp_path / "t.csv.gz", index=False)
    content = bytearray((tmp_path / "t.csv.gz").read_bytes())
    content[place:] = b"" if place < 0 else bytes(~byte & 255 for byte in content[place:])
    (tmp_path / "t.csv.gz").write_bytes(content)
    with pytest.raises(AnalysisError, match="must be a readable file.*export it again"):
        imports(None, "t.csv.gz", target=0.1)


def test_the_same_point_on_other_seeds_is_a_replicate(imports):
    made = imports(measurements(seeds=(0, 1, 2)), target=0.1)
    assert made.trials["role"].value_counts().to_dict() == {"replicate": 16, "search": 8}
    assert steps(made.study) == EXPECTED
    for target in (None, 0.11):
        found = analyze(made.study, target)
        assert found.table["seeds"].tolist() == [2] * 4
        # seeds 1 and 2 need 10 and 20 steps more; the geometric mean of the two
        wanted = [((n + 10) * (n + 20)) ** 0.5 for n in EXPECTED.values()]
        assert found.table["steps_median"].tolist() == pytest.approx(wanted)


def test_runs_that_differ_in_a_text_setting_are_no_replicates(imports):
    frame = measurements(seeds=(0, 1, 2, 3))
    frame = frame.assign(schedule=(frame["seed"] % 2).map({0: "cosine", 1: "linear"}))
    frame["host"] = frame["run"] + "-host"  # tells runs apart and no settings
    made = imports(frame, target=0.1)
    roles = made.trials["role"].value_counts().to_dict()
    assert roles == {"search": 16, "replicate": 16}
    assert "runs that differ in schedule are not replicates; leave it out" in made.sentence
    again = imports(frame, target=0.1, columns="schedule=", results="again")
    assert again.trials["role"].value_counts().to_dict() == {"replicate": 24, "search": 8}
    assert "no replicates" not in again.sentence


def test_without_a_seed_nothing_is_a_replicate(imports):
    twice = pd.concat([measurements(), measurements().assign(run=lambda f: f["run"] + "b")])
    made = imports(twice.drop(columns="seed"), target=0.1)
    assert set(made.trials["role"]) == {"search"}


@pytest.mark.parametrize(
    ("options", "factor"),
    [({"step_unit": "examples"}, 1), ({"step_unit": "tokens", "tokens": 128}, 128)],
)
def test_steps_in_examples_or_tokens_become_updates(imports, options, factor):
    frame = measurements()
    frame["step"] *= frame["batch_size"] * factor
    # a last partial batch is an update too
    frame["step"] -= (frame["step"] > 0) * (factor // 2 + 1)
    assert steps(imports(frame, target=0.1, **options).study) == EXPECTED


def one_row_per_run():
    frame = measurements()
    crossed = frame[frame["val_error"] < 0.1].groupby("run")["step"].min()
    runs = frame.drop_duplicates("run").drop(columns=["step", "val_error", "seed"])
    runs["steps"] = runs["run"].map(crossed).astype("Int64")
    runs["stopped_at"] = 300
    return runs


def test_one_row_per_run_keeps_what_it_says(imports):
    runs = one_row_per_run()
    runs.loc[runs["run"] == "r-8-0.01-0", ["status", "stopped_at"]] = ["diverged", None]
    made = imports(runs, target=0.1)
    assert steps(made.study) == EXPECTED
    assert made.trials["status"].value_counts()["diverged"] == 1
    assert analyze(made.study).fit is not None
    with pytest.raises(AnalysisError, match="needs measurements, got 0.2 for made"):
        analyze(made.study, 0.2)


def test_small_counts_without_brackets_are_reported(imports):
    runs = pd.DataFrame({"batch_size": [8, 32, 128, 512], "steps": [36, 12, 6, 4], "seed": 0})
    found = analyze(imports(runs.assign(lr=0.1), target=0.1).study)
    assert found.fit.points.before.tolist() == [36, 12, 6, 4]
    said = sentences(found)
    assert any("curves lie up to 12% lower: give the step before" in text for text in said)
    assert "`after`" not in said[-1]


def test_the_target_may_be_a_column(imports):
    assert steps(imports(one_row_per_run().assign(target=0.1)).study) == EXPECTED
    with pytest.raises(AnalysisError, match=r"one target, 0\.2, got 0\.1 in row 2 of"):
        imports(one_row_per_run().assign(target=0.1), "other.csv", target=0.2)
    with pytest.raises(AnalysisError, match="need the target that they were counted to"):
        imports(one_row_per_run(), "none.csv")


def test_known_ranges_let_the_search_be_judged(imports):
    made = imports(measurements(), target=0.1, space="lr=1e-3:1:log")
    assert made.study.box(8) == {"lr": {"low": 1e-3, "high": 1.0, "scale": "log"}}
    assert not made.study.adaptive
    assert "drawn are unknown" not in " ".join(sentences(analyze(made.study)))
    with pytest.raises(AnalysisError, match=r"cover every lr, got 0\.1 in row 2 of"):
        imports(measurements(), "narrow.csv", space="lr=0.001:0.05:log")
    with pytest.raises(AnalysisError, match="must name hyperparameters of the runs, lr, got 'rl'"):
        imports(measurements(), "name.csv", space="rl=0.001:0.5")


@pytest.mark.parametrize("text", ["lr", "lr=1", "lr=1:0", "lr=0:1:log", "lr=1:2,lr=1:3", "lr=a:b"])
def test_malformed_ranges_are_refused(text):
    with pytest.raises(AnalysisError, match="--space must be ranges name=low:high:scale"):
        parse_space([text])


def test_each_workload_and_optimizer_is_a_study(imports):
    frame = measurements()
    both = pd.concat(
        [frame.assign(optimizer="sgd"), frame.assign(optimizer="adam", run="a" + frame["run"])]
    )
    made = imports(both, target=0.1)
    assert list(made.studies) == ["made-sgd", "made-adam"]
    assert [steps(study) for study in made.studies.values()] == [EXPECTED, EXPECTED]
    only = imports(both, "more.csv", only="*-adam", target=0.1)
    assert list(only.studies) == ["more-adam"]


def test_a_measurement_that_is_not_finite_is_a_divergence(imports):
    frame = measurements()
    frame["val_error"] = frame["val_error"].astype(object)
    slow = frame["run"] == "r-8-0.01-0"
    frame.loc[slow & (frame["step"] == 100), "val_error"] = "nan"
    frame.loc[slow & (frame["step"] > 100), "val_error"] = ""
    made = imports(frame, target=0.1)
    trial = made.trials[made.trials["message"] == "run r-8-0.01-0"].iloc[0]
    assert (trial["status"], trial["stopped_at"], trial["best_error"]) == ("diverged", 300, 0.81)
    assert "measurements left out for not being finite: 1" in made.sentence


def test_accuracy_becomes_an_error_and_a_loss_a_loss(imports):
    frame = measurements()
    accuracy = frame.assign(val_accuracy=1 - frame["val_error"]).drop(columns="val_error")
    assert steps(imports(accuracy, target=0.1).study) == EXPECTED
    loss = imports(frame, "loss.csv", columns="val_loss=val_error", metric="val_loss", target=0.1)
    assert steps(loss.study) == EXPECTED
    assert loss.study.config["race"]["quantity"] == "loss"


@pytest.mark.parametrize(
    ("target", "words"),
    [(5, r"below 1, got 5; write 0\.05 for 5 %"), (0.95, "accuracy of 0.95, write --target 0.05")],
)
def test_a_target_as_an_accuracy_or_in_percent_is_refused(imports, target, words):
    frame = measurements()
    accuracy = frame.assign(val_accuracy=1 - frame["val_error"]).drop(columns="val_error")
    with pytest.raises(AnalysisError, match=words):
        imports(accuracy, target=target)


def test_a_taken_folder_is_refused(imports):
    imports(measurements())
    with pytest.raises(AnalysisError, match="a folder that is new or empty"):
        imports(measurements())


def test_names_of_studies_stay_in_the_results(imports):
    made = imports(measurements().assign(workload="../../x y", optimizer=".."), "a.b.csv")
    assert list(made.studies) == ["x-y"]
    assert list(imports(measurements(), "a.b.csv").studies) == ["a.b"]
    two = [measurements().assign(workload=name, run=name) for name in ("数学", "e\u0301té")]
    two = imports(pd.concat(two).drop_duplicates(["workload", "step"]))
    assert sorted(two.studies) == ["été", "数学"]
    (long,) = imports(measurements().assign(workload="学" * 90), results="long").studies
    assert long == "学" * 33
    both = pd.concat([measurements().assign(workload=name, run=name) for name in ("a b", "a/b")])
    with pytest.raises(AnalysisError, match="must have names that differ .* got two studies a-b"):
        imports(both.drop_duplicates(["workload", "step"]))
