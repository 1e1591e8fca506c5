"""Wrong input: a short message with rule, value and remedy, exit code 2, nothing written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from tests import strange
from workloads import registry
from workloads.data.idx_images import FASHION_MNIST

EXAMPLES = Path(__file__).parents[3] / "examples"
DEAR = ("recipes",)
"""Examples of many studies."""
STUDY = """
workload = "digits-mlp"
batch_sizes = [4]
[search]
trials = 2
"""


def files():
    return sorted(str(path) for path in Path.cwd().rglob("*"))


WRONG = {
    "unknown workload": (["digits-mpl"], "did you mean 'digits-mlp'"),
    "unknown optimizer": (["--set", "optimizer=adamm"], "optimizer must be one of"),
    "unknown key": (["--set", "optimiser=sgd"], "did you mean 'optimizer'"),
    "unknown sampler": (["--set", "search.sampler=grid"], "search.sampler must be one of"),
    "batch size 0": (["--set", "batch_sizes=[0]"], "greater than or equal to 1, got 0"),
    "negative batch size": (["--set", "batch_sizes=[-2]"], "greater than or equal to 1, got -2"),
    "repeated batch size": (["--set", "batch_sizes=[2, 2]"], "got 2 more than once"),
    "batch size too large": (["--set", "batch_sizes=[4096]"], "1,347 training examples, got 4,096"),
    "reversed lr": (
        ["--set", "search.space.lr={low=1.0, high=0.1}"],
        "`low` must be less than `high`",
    ),
    "lr not positive": (
        ["--set", "search.space.lr={low=0.0, high=0.1}"],
        "search.space.lr must lie in (0, inf), got 0",
    ),
    "momentum of 1": (
        ["--set", "search.space.momentum={low=0.0, high=1.0}"],
        "search.space.momentum must lie in [0, 1), got 1",
    ),
    "negative momentum": (["--set", "search.space.momentum=-0.1"], "must lie in [0, 1), got -0.1"),
    "target of 0": (["--set", "race.target=0"], "race.target must lie in (0, 1)"),
    "target of 1": (["--set", "race.target=1"], "race.target must lie in (0, 1)"),
    "target already met": (["--set", "race.target=0.99"], "below the error before training"),
    "unknown option of the workload": (["--set", "workload_options.hiden=[8]"], "hiden"),
    "no data files": (["fashion-mnist-mlp", "--data-dir", "."], "fashion"),
    "data folder that is none": (
        ["--data-dir", "nowhere"],
        "--data-dir must be an existing folder",
    ),
    "cluster that is none": (["--address", "127.0.0.1:1"], "--address must be a running Ray"),
    "address that is none": (["--address", "ray://head:1"], "--address must be `auto` or host"),
    "results of no known kind": (["--results", "ftp://host/results"], "file://, s3://, gs://"),
    "results with a password": (["--results", "s3://me:my@bucket"], "must contain no password"),
    "study file that is none": (["missing.toml"], "must be readable UTF-8 text"),
    "no lanes in a pack": (["--set", "compute.pack=0"], "greater than or equal to 1, got 0"),
    "unknown precision": (["--set", "compute.precision=fp8"], "float32"),
    "grid of no lists": (["--set", "grid.seed=1"], "grid.seed must be a list"),
    "grid that is wrong at its end": (
        ["--set", "grid.seed=[0, -1]"],
        "in seed--1: seed must be greater than or equal to 0, got -1",
    ),
    "width that is none": (
        ["--set", "workload_options={parameters=20, depth=2}"],
        "`parameters` must be within 2% of what some width gives",
    ),
    "plug-in file that is none": (["missing.py:Mine"], "missing.py"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_refused_before_anything_happens(refused, arguments, message):
    Path("study.toml").write_text(STUDY)
    source = [] if not arguments[0].startswith("-") else ["study.toml"]
    assert message.lower() in refused("sweep", *source, *arguments).lower()


def test_a_plan_shows_the_cost_and_writes_nothing(passed, command):
    few = ["--set", "batch_sizes=[64, 256]", "--set", "search.trials=2", "--seconds", "0.05"]
    before = files()
    out = passed("plan", "digits-mlp", "--workers", "3", *few)
    assert "with 3 workers" in out
    code, _, err = command("plan", "digits-mlp", *few, "--max-hours", "0")
    assert code == 2
    assert "--max-hours must be at least the expected" in err
    assert files() == before


def test_a_plan_of_a_grid_is_the_sum_of_its_studies(passed):
    few = ["--set", "batch_sizes=[64]", "--set", "search.trials=2", "--seconds", "0.05"]
    out = passed("plan", "digits-mlp", *few, "--set", "grid.seed=[0, 1]")
    assert out.index("study 1 of 2: seed-0") < out.index("study 2 of 2: seed-1")
    assert out.count("steps to") == 2
    assert "all 2 studies with" in out


def _example(path):
    absent = "fashion-mnist" in path.read_text() and not FASHION_MNIST.package.is_dir()
    why = "package dataset-fashion-mnist is missing"
    marks = [pytest.mark.skipif(absent, reason=why), *[pytest.mark.long] * (path.stem in DEAR)]
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", [*map(_example, sorted(EXAMPLES.glob("*.toml")))])
def test_the_studies_of_an_example_resolve(path):
    from study.commands.running import Studies
    from study.config.grid import read_members

    assert Studies(read_members(str(path), [])).members


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_that_name\nclass Mine: pass\n", "nothing_of_that_name"),
        ("class Mine:\n  target = 1\n", "data"),
        ("class Other: pass\n", "Mine"),
        ("class Mine(:\n", "mine.py"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused(refused, code, message):
    Path("mine.py").write_text(code)
    assert message in refused("sweep", "mine.py:Mine")


def test_the_folder_of_another_study_is_left_unchanged(refused):
    from analysis.tables.folder import ResultsFolder
    from study.config.study_file import read_study
    from study.planning.resolve import resolve
    from study.storage.study_folder import open_folder

    Path("study.toml").write_text(STUDY)
    open_folder(ResultsFolder.at("results/study"), resolve(read_study("study.toml"))[0])
    assert "seed = 1 where the folder has 0" in refused("sweep", "study.toml", "--set", "seed=1")


def test_a_folder_that_cannot_be_written_is_refused(refused):
    Path("study.toml").write_text(STUDY)
    Path("results").write_text("a file where the folder would be")
    assert "must be writable" in refused("sweep", "study.toml")


CURVE = "step,val/classification_error\n10,0.5\n20,{}\n"
SEARCHED = '{{"batch_size": {0}, "parameter_configs": {{"learning_rate": {1}}}}}'
RATE = '{"type": "DOUBLE", "min_value": 0.1, "max_value": 10.0, "scale": "LOG_SCALE"}'
TRIAL = '{"trial_id": 0, "status": "COMPLETE", "steps": 20, "parameters": {"learning_rate": 1.0}}'


def write_archive():
    for size in (2, 4, 8, 16):
        trial = Path(f"archive/mnist/cnn/sgd/{size}/0")
        trial.mkdir(parents=True)
        (trial / "metadata.json").write_text(TRIAL)
        (trial / "measurements.csv").write_text(CURVE.format(0.1 if size > 2 else 0.4))
        (trial.parent / "study.json").write_text(SEARCHED.format(size, RATE))


def test_an_archive_is_imported_analyzed_and_exported(passed, refused):
    write_archive()
    folder = "results/mnist-cnn-sgd"
    out = passed("import", "archive", "--target", "0.2")
    assert f"Next: batchscale analyze {folder}\n" in out
    shutil.rmtree(folder)
    out = passed("import", "archive")
    assert "4 batch sizes, 4 trials" in out
    assert f"Next: batchscale analyze {folder} --target E\n" in out
    out = passed("analyze", folder, "--target", "0.2")
    assert "mnist-cnn, sgd, validation error < 0.2" in out
    assert "B = 2: no trial reached the target within 20 steps; the lowest error there is " in out
    assert Path(folder, "figures", "metaparameters.png").exists()
    out = passed("export", folder, "--to", "again")
    assert "4 trials in again/mnist/cnn/sgd, 0 left out" in out
    assert "must not overwrite anything" in refused("export", folder, "--to", "again")
    out = passed("status", folder)
    assert "imported and complete: 4 batch sizes, 4 trials" in out
    Path("mnist-cnn-sgd.toml").write_text(STUDY)
    err = refused("sweep", "mnist-cnn-sgd.toml", "--set", "workload=digits-mlp")
    assert "got one imported from an archive in results/mnist-cnn-sgd" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "a complete tar file, got nowhere: No such"),
        (["archive", "--only", "cifar*"], "got none for 'cifar*'"),
        (["archive", "--metric", "accuracy"], "--metric must be one of classification_error"),
        (["archive", "--target", "-1"], "--target must be a finite error above 0, got -1"),
        (["archive", "--first-trials", "2"], "--first-trials must not exceed"),
        (["archive", "--results", "ftp://host"], "file://, s3://, gs://"),
    ],
)
def test_an_archive_that_cannot_be_imported_is_refused(refused, arguments, message):
    write_archive()
    assert message in refused("import", *arguments)


@pytest.mark.parametrize("verb", ["analyze", "export"])
def test_a_damaged_study_file_is_refused(refused, verb):
    write_file(ResultsFolder.at("mine"), "study.toml", b"a = = 1")
    assert "mine/study.toml must be as batchscale wrote it" in refused(verb, "mine")


@pytest.mark.parametrize("verb", ["status", "analyze", "export"])
def test_a_folder_without_a_study_is_refused(refused, verb):
    assert "must hold study.toml" in refused(verb, "nowhere")
    assert not Path("nowhere").exists()


def test_equal_trials_takes_as_many_as_every_batch_size_has(command, monkeypatch):
    shutil.copytree(Path(__file__).parents[2] / "golden" / "search", "study")
    monkeypatch.setattr("analysis.figures.drawing.kind.write_all", lambda *_: [])
    assert "fewest over 12 to 17 trials at each" in command("analyze", "study")[1]
    trials = pd.read_parquet("study/trials.parquet")
    assert "fewest over the first 12 trials" in command("analyze", "study", "--equal-trials")[1]
    assert trials.equals(pd.read_parquet("study/trials.parquet"))


def test_a_target_below_that_of_the_sweep_is_refused(refused):
    golden = Path(__file__).parents[2] / "golden" / "search"
    shutil.copytree(golden, "study", ignore=shutil.ignore_patterns("summary.json"))
    err = refused("analyze", "study", "--target", "0.0001")
    assert "must not be below the one raced to" in err
    assert "got 0.0001" in err


def test_the_list_of_workloads_names_the_built_in_ones(command):
    code, out, _ = command("workloads")
    assert code == 0
    for name in ("digits-mlp", "fashion-mnist-simple-cnn", "noisy-quadratic"):
        assert name in out


def test_the_long_list_of_workloads_has_their_sizes(command, monkeypatch):
    listed = [entry for entry in registry.names() if entry.name.startswith("digits-m")]
    monkeypatch.setattr(registry, "names", lambda: listed)
    code, out, _ = command("workloads", "--long")
    assert code == 0
    assert "2,410" in out


@pytest.mark.parametrize("name", ["digits-mlp", "noisy-quadratic"])
def test_a_sound_workload_passes_its_check(command, name):
    code, out, _ = command("check", name)
    assert code == 0
    assert "FAIL" not in out


def test_a_workload_that_breaks_a_clause_fails_its_check(command):
    Path("mine.py").write_text(
        "from workloads.builtin.classification import DigitsMLP\n"
        "class Mine(DigitsMLP):\n"
        "    def error(self, model, data):\n"
        "        return super().error(model, data) * float('nan')\n"
    )
    code, out, _ = command("check", "mine.py:Mine")
    assert code == 1
    assert "FAIL" in out


@pytest.mark.parametrize(
    ("kind", "words"),
    [("RootMeanSquare", "whole = True"), ("MixedParameters", "must all be float32")],
)
def test_check_and_sweep_refuse_with_the_same_words(refused, command, kind, words):
    workload = f"{strange.__file__}:{kind}"
    code, out, _ = command("check", workload)
    assert code == 1
    assert words in out
    assert words in refused("sweep", workload)


def test_a_program_is_checked_through_its_study_file(refused, command):
    Path("train.py").write_text('print(\'{"step": 100, "val_error": 0.5}\')')
    Path("study.toml").write_text(
        'workload = "command"\nbatch_sizes = [8]\nrace.max_steps = 100\n[workload_options]\n'
        'run = "{python} -IS train.py"\ntarget = 0.6\n'
    )
    code, out, _ = command("check", "study.toml")
    assert code == 1
    assert "1 at batch size 8, val_error 0.5 at step 100" in out
    assert "FAIL target is below the start: 0.5 at step 100, target 0.6" in out
    assert "give its study.toml" in refused("check", "command")


def test_the_study_file_of_a_workload_is_not_checked(refused):
    Path("study.toml").write_text('workload = "noisy-quadratic"\n')
    err = refused("check", "study.toml")
    assert "got one of 'noisy-quadratic'; give the name of the workload instead" in err


def test_check_says_why_lanes_are_looped(command):
    code, out, _ = command("check", f"{strange.__file__}:ClassInModel")
    assert code == 0
    assert "looped: model" in out


def test_listing_workloads_loads_no_torch():
    code = "import sys, workloads.registry as r; r.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_dry_run_checks_everything_and_writes_nothing(passed, command):
    shutil.copytree(Path(__file__).parents[2] / "golden" / "search", "study")
    few = ["--set", "batch_sizes=[4, 64]", "--set", "search.trials=2", "--dry-run"]
    before = files()
    out = passed("sweep", "digits-mlp", *few)
    assert "at least 4 trials are missing (2 of the search at each of B = 4, 64)" in out
    out = passed("sweep", "study/study.toml", "--dry-run", "--set", "search.trials=20")
    assert "12/20 +2" in out
    assert "at least 24 trials are missing" in out
    code, out, _ = command("sweep", "study/study.toml", "--dry-run", "--set", "seed=1")
    assert (code, out) == (2, "")
    code, out, err = command("sweep", "digits-mlp", *few, "--results", "study/study.toml")
    assert (code, out) == (2, "")
    assert "must be writable, got study/study.toml/digits-mlp: Not a directory" in err
    assert files() == before
