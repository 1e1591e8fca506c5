"""The study.toml of a results folder is a study file as well."""

import tomllib
from pathlib import Path

import pytest

from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from study.commands.members import members_in
from study.commands.running import SweepOptions, _place
from study.config.study_file import override, read_study
from study.errors import StudyError
from study.planning.resolve import resolve
from study.storage.study_folder import folder_of, open_folder, read_study_toml

BLOBS = Path(__file__).parents[2] / "blobs.py"
SMALL = {"batch_sizes": [2, 8], "search": {"trials": 4}}


def recorded(folder, study):
    """Write what a sweep that was killed early leaves; return the path of its study.toml."""
    open_folder(ResultsFolder.at(folder), resolve(study)[0])
    (folder / "provenance.json").write_text('{"schema_version": 1, "sweeps": []}\n')
    return str(folder / "study.toml")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"workload": "noisy-quadratic", "optimizer": "sgd"},
        {"workload": f"{BLOBS}:DropoutBlobs", "compute": {"cohort_minutes": 5.0}},
        {"optimizer": "adamw", "schedule": {"name": "cosine"}, "search": {"sampler": "tpe"}},
        {"race": {"max_epochs": 3.0, "to": "budget", "cohort": {"lanes": 8, "examples": 64}}},
        {"mode": "recipe", "recipe": {"rule": "linear", "base": 2, "warmup_epochs": 1.0}},
        {"mode": "recipe", "optimizer": "lamb", "recipe": {"rule": "lamb"}},
        {"federated": {"clients": 2, "shards": "dirichlet", "alpha": 0.5}},
    ],
    ids=lambda changes: next(iter(changes), "plain"),
)
def test_it_resolves_to_the_study_that_it_records(tmp_path, changes):
    path = recorded(tmp_path / "made", SMALL | {"workload": f"{BLOBS}:Blobs"} | changes)
    assert resolve(read_study(path))[0] == read_study_toml(ResultsFolder.at(tmp_path / "made"))


def test_what_it_says_of_the_data_must_hold(tmp_path):
    path = recorded(tmp_path, SMALL | {"workload": f"{BLOBS}:Blobs"})
    for setting, message in [
        ("examples=91", "examples follows .* give 90, got 91; undo"),
        ("examples=90.5", "give 90, got 90.5"),
        ("adaptive=true", "adaptive follows .* give False, got True"),
        ("adaptive=0", "give False, got 0"),
        ("search.sampler=tpe", "give True, got False"),
    ]:
        with pytest.raises(StudyError, match=message):
            resolve(override(read_study(path), [setting]))


def test_its_study_continues_in_its_folder(tmp_path, monkeypatch):
    path = recorded(tmp_path / "blobs", SMALL | {"workload": f"{BLOBS}:Blobs"})
    assert str(_place(path, None)) == str(tmp_path / "blobs")
    assert str(_place(path, "elsewhere")) == "elsewhere/blobs"
    monkeypatch.chdir(tmp_path / "blobs")
    assert _place("study.toml", None).base == str(tmp_path / "blobs")
    assert str(_place("study.toml", "elsewhere")) == "elsewhere/blobs"


def test_a_users_own_file_may_have_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text('workload = "digits-mlp"\n')
    assert str(_place("study.toml", None)) == "results/study"
    Path("copied.toml").write_text(
        Path(recorded(tmp_path / "x", {"workload": "digits-mlp"})).read_text()
    )
    assert str(_place("copied.toml", None)) == "results/copied"
    assert folder_of("nowhere/study.toml") is None
    assert SweepOptions().results is None


def test_an_imported_study_cannot_be_swept(tmp_path):
    write_file(ResultsFolder.at(tmp_path), "study.toml", b"[imported]\n")
    (tmp_path / "trials.parquet").write_bytes(b"")
    for refuse in (
        lambda: folder_of(str(tmp_path / "study.toml")),
        lambda: members_in(str(tmp_path), []),
    ):
        with pytest.raises(StudyError, match="got one imported from"):
            refuse()


def test_a_results_folder_is_not_mistaken_for_a_workload(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "digits-mlp"):
        Path(name).mkdir()
        Path(name, "study.toml").write_text('workload = "digits-mlp"\n')
    with pytest.raises(StudyError, match=r"got the folder mine; give mine/study.toml"):
        members_in("mine", [])
    assert members_in("digits-mlp", [])[0].data["workload"] == "digits-mlp"


@pytest.mark.slow
@pytest.mark.long
def test_the_command_adds_to_it(passed, command, tmp_path):
    few = ("--set", "search.trials=2", "--set", "replicates.seeds=0", "--workers", "1")
    (tmp_path / "own.toml").write_text('workload = "blobs.py:Blobs"\nbatch_sizes = [4]\n')
    (tmp_path / "blobs.py").write_bytes(BLOBS.read_bytes())
    assert command("sweep", "own.toml", *few)[0] == 0
    more = ("--run-code", "--set", "batch_sizes=[8]", "--workers", "1")
    out = passed("sweep", "results/own/study.toml", *more)
    assert "4 trials recorded, 0 failed" in out
    assert "batchscale analyze results/own" in out
    assert [path.name for path in Path("results").iterdir()] == ["own"]
    assert tomllib.loads(Path("results/own/study.toml").read_text())["batch_sizes"] == [4, 8]


def test_code_that_it_names_runs_only_if_allowed(tmp_path, passed, command, monkeypatch):
    path = recorded(tmp_path / "made", SMALL | {"workload": f"{BLOBS}:Blobs"})
    with monkeypatch.context() as patch:
        patch.setattr("workloads.registry.module_of", lambda _: pytest.fail("it ran"))
        for verb in ("sweep", "plan"):
            code, out, err = command(verb, path)
            assert (code, out) == (2, ""), err
            assert str(BLOBS) in err
            assert "--run-code" in err
    passed("plan", path, "--run-code", "--seconds", "0.01")
