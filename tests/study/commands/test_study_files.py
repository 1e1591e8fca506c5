"""A first study file, and the schema of study files."""

import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from study.commands.study_files import study_schema
from study.config.study import StudyConfig
from study.config.study_file import validated
from study.planning.template import study_template
from workloads.registry import names, resolve

ROOT = Path(__file__).parents[3]
BLOBS = ROOT / "tests" / "blobs.py"
STUDY_FILES = [
    *sorted((ROOT / "examples").glob("*.toml")),
    *sorted((ROOT / "results" / "reference").rglob("study.toml")),
    *sorted((ROOT / "tests" / "golden").rglob("study.toml")),
]


def uncommented(text):
    """Return a template with its defaults set, but for the tables that need more than that."""
    tables = "recipe|federated|batch_schedule"
    kept = re.sub(rf"^#\[({tables})\]$.*?(?=^#?\[)", "", text, flags=re.M | re.S)
    return re.sub(r"^#(?=[a-z])", "", kept, flags=re.M)


@pytest.mark.parametrize("name", [entry.name for entry in names()])
def test_a_first_study_file_sets_workload_and_pruning_and_shows_other_defaults(name):
    text = study_template(name)
    written = tomllib.loads(text)
    set_there = {key: value for key, value in written.items() if value}
    assert set_there == {"workload": name, "race": {"prune": [0.25, 0.5]}}
    plain = validated(StudyConfig, written)
    shown = tomllib.loads(uncommented(text))
    config = validated(StudyConfig, shown)
    assert config.replicates == plain.replicates
    assert config.compute == plain.compute
    assert {"lr"} <= set(config.search.space)
    # that of the noisy quadratic is known once it is built
    assert (config.race.target is None) == (name == "noisy-quadratic")
    assert max(map(len, text.splitlines())) <= 100


def test_a_first_study_file_of_a_program_lacks_only_the_program():
    text = study_template("command")
    written = tomllib.loads(text)
    config = validated(StudyConfig, written)
    assert set(written["workload_options"]) == {"run", "target"}
    assert set(config.search.space) == {"lr"}
    workload = resolve("command", written["workload_options"])
    assert workload.hyperparameters == {"lr"}
    shown = tomllib.loads(uncommented(text))
    resolve("command", shown["workload_options"])


def test_init_writes_a_study_file_that_runs_and_overwrites_nothing(command):
    code, out, err = command("init")
    assert (code, out) == (
        0,
        "study.toml written; edit it, then run: batchscale sweep study.toml\n",
    ), err
    text = Path("study.toml").read_text()
    assert tomllib.loads(text)["workload"] == "digits-mlp"
    assert "\n#trials = 64\n" in text
    assert tomllib.loads(text)["race"] == {"prune": [0.25, 0.5]}
    code, out, err = command("init", "--workload", "noisy-quadratic")
    assert (code, out) == (2, "")
    assert "must not overwrite a file, got study.toml" in err
    assert Path("study.toml").read_text() == text


def test_init_takes_a_workload_file_from_any_folder(command):
    Path("mine.py").write_text(BLOBS.read_text())
    Path("studies").mkdir()
    assert command("init", "mine.toml", "--workload", "mine.py:Blobs")[0] == 0
    assert command("init", "studies/mine.toml", "--workload", "mine.py:Blobs")[0] == 0
    here, there = (tomllib.loads(Path(p).read_text()) for p in ("mine.toml", "studies/mine.toml"))
    assert here["workload"] == "mine.py:Blobs"
    assert there["workload"] == f"{Path('mine.py').resolve()}:Blobs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "digits-mpl"], "did you mean 'digits-mlp'"),
        (["study.json"], "must end with .toml, got study.json"),
        (["nowhere/study.toml"], "must be writable, got nowhere/study.toml: No such file"),
        (["--workload", "missing.py:Mine"], "a workload file must exist"),
    ],
)
def test_init_refuses(command, arguments, message):
    code, out, err = command("init", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert list(Path.cwd().iterdir()) == []


@pytest.fixture(scope="module")
def validator():
    Draft202012Validator.check_schema(study_schema())
    return Draft202012Validator(study_schema())


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schema_accepts_every_study_file(validator, path):
    validator.validate(tomllib.loads(path.read_text()))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("optimiser = 'sgd'", []),
        ("seed = -1", ["seed"]),
        ("mode = 'find'", ["mode"]),
        ("search.trials = '64'", ["search", "trials"]),
        ("search.trials = 0", ["search", "trials"]),
        ("race.targets = 0.1", ["race"]),
        ("search.space.lr = { low = 1, high = 2, scale = 'cubic' }", ["search", "space", "lr"]),
        ("grid.seed = 1", ["grid"]),
    ],
)
def test_the_schema_refuses_what_a_sweep_refuses(validator, text, where):
    study = {"workload": "digits-mlp", **tomllib.loads(text)}
    (error,) = validator.iter_errors(study)
    assert list(error.path)[: len(where)] == where


def test_the_schema_says_what_keys_mean(command):
    import json

    code, out, _ = command("schema")
    assert code == 0
    schema = json.loads(out)
    assert schema == study_schema()
    assert schema["properties"]["seed"]["description"] == ("Seed of all random draws of the study.")
