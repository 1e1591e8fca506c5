"""Results that are damaged, held, or on a disk that takes no more: by the command, without Ray."""

import shutil
import subprocess
from pathlib import Path

import pytest
import ray

from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from study.config.grid import read_members
from study.engine.cohort import run_cohort
from study.planning.resolve import resolve
from study.search.queue import CohortQueue
from study.storage.parts import part_name, write_part
from study.storage.provenance import record_start
from study.storage.study_folder import open_folder

BLOBS = Path(__file__).parents[3] / "blobs.py"
STUDY = f"""
workload = "{BLOBS}:Blobs"
batch_sizes = [16]
search.trials = 2
race = {{ target = 0.2, max_steps = 60, cohort = 2 }}
replicates.seeds = 0
"""
PART = part_name(16, 0)


def contents():
    """Return the content of every file but the lock."""
    found = (path for path in Path("results").rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in found if path.name != ".lock"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return two places, each with study.toml and all parts of it, of studies of another seed."""
    places = [tmp_path_factory.mktemp("made") for _ in range(2)]
    for seed, place in enumerate(places):
        (place / "study.toml").write_text(STUDY)
        (member,) = read_members(str(place / "study.toml"), [f"seed={seed}"])
        study, trainable = resolve(member.data)
        folder = ResultsFolder.at(place / "results" / "study")
        open_folder(folder, study)
        write_part(folder, study, run_cohort(study, trainable, CohortQueue(study, []).take()))
    return places


@pytest.fixture
def recorded(command, made, monkeypatch):
    """Return what runs the command where all parts of a study are recorded, and its folder."""
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was started"))
    shutil.copytree(made[0], ".", dirs_exist_ok=True)
    return command, ResultsFolder.at("results/study")


def test_tables_that_were_deleted_are_made_again(recorded):
    command, _ = recorded
    assert command("sweep", "study.toml")[0] == 0
    whole = contents()
    for name in ("trials.parquet", "curves.parquet"):
        Path("results/study", name).unlink()
    code, _, err = command("compare", "results/study", "results/study")
    assert code == 2
    code, out, err = command("sweep", "study.toml")
    assert (code, err) == (0, "")
    assert "2 trials recorded, 0 failed" in out
    assert {p: b for p, b in contents().items() if p.suffix == ".parquet"} == {
        path: content for path, content in whole.items() if path.suffix == ".parquet"
    }


@pytest.mark.parametrize("verb", ["sweep", "status", "analyze"])
@pytest.mark.parametrize("fault", ["truncated", "foreign"])
def test_a_foreign_part_changes_nothing(recorded, made, verb, fault, refused):
    command, folder = recorded
    if fault == "truncated":
        folder.write(PART, folder.read(PART)[:-100])
        remedy = "delete it, and run the same `sweep` to retrain its cohort"
    else:
        write_file(folder, PART, ResultsFolder.at(made[1] / "results" / "study").read(PART))
        remedy = "must belong to the study in its folder, got a part of another study"
    where = ["study.toml", "--set", "search.trials=4"] if verb == "sweep" else ["results/study"]
    err = refused(verb, *where)
    assert remedy in err
    assert "b00016-c000.parquet" in err


@pytest.mark.parametrize("name", ["study.toml", "provenance.json", PART])
@pytest.mark.parametrize("more", [(), ("--set", "search.trials=4")])
def test_a_sweep_refuses_a_folder_with_other_bytes_in_a_file(recorded, name, more):
    command, folder = recorded
    record_start(folder, {"workers": 1}, {})
    folder.write(name, folder.read(name) + b"\n")
    before = contents()
    code, _, err = command("sweep", "study.toml", *more)
    assert code == 2
    assert err.startswith(f"error: results/study/{name} must have the digest in")
    assert contents() == before


def test_a_second_sweep_is_refused_while_one_runs_but_reading_is_not(recorded, refused):
    command, folder = recorded
    with folder.locked():
        err = refused("sweep", "study.toml")
        assert "allows one sweep at a time, got results/study, in use by process" in err
        assert command("status", "results/study")[0] == 0
        folder.write("summary.json", b"{}")  # as `analyze` does
    assert command("sweep", "study.toml")[0] == 0


@pytest.fixture
def small_disk(command):
    """Return a disk of 64 kB as the folder `results`."""
    Path("results").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "results"]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk takes the rights to do so")
    yield Path("results").resolve()
    subprocess.run(["umount", "--lazy", "results"], check=True)


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("read-only", "Read-only file system; choose another folder, or get write access"),
        ("full", "No space left on device; free some space"),
    ],
)
def test_a_disk_that_cannot_be_written_is_refused_before_ray_starts(
    small_disk, recorded, fault, remedy, refused
):
    command, _ = recorded
    if fault == "full":
        with (
            pytest.raises(OSError, match="No space left"),
            (small_disk / "other").open("wb") as file,
        ):
            file.write(b"1" * 100_000)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert remedy in refused("sweep", "study.toml")
