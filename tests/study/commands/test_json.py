"""`--json` prints one document, which says what the tables and the files say."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"
FEW = ["--set", "batch_sizes=[64, 256]", "--set", "search.trials=2", "--seconds", "0.05"]


def document(done):
    code, out, err = done
    assert (code, err) == (0, "")
    return json.loads(out)


def cells(text, first):
    """Return the cells of the line of a printed table that begins with a text."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


@pytest.fixture
def study(command, tmp_path):
    shutil.copytree(GOLDEN / "search", "study")
    return "study"


def test_status(command, study):
    found, text = document(command("status", study, "--json")), command("status", study)[1]
    assert found["study"] == "study"
    assert found["unfinished"] == []
    assert f"{found['share_done']:.0%} of the expected work recorded" in text
    for row in found["batch_sizes"]:
        line = [f"{row['done']}/{row['trials']}", *([f"+{row['more']}"] if row["more"] else [])]
        numbers = ("reached", "diverged", "failed", "best_steps", "replicates")
        line += [str(row[name]) for name in numbers]
        assert cells(text, f"{row['batch_size']:,}")[1:] == line


def test_status_of_an_unfinished_study(command, study):
    (Path(study) / "parts" / "b00064-c006.parquet").unlink()
    found = document(command("status", study, "--json"))
    assert found["unfinished"] == [{"batch_size": 64, "role": "search", "trials": 6}]
    assert "6 of the search at B = 64" in command("status", study)[1]


def test_analyze(command, study, monkeypatch):
    monkeypatch.setattr("analysis.figures.drawing.kind.write_all", lambda *_: [])
    found = document(command("analyze", study, "--json"))
    assert found == json.loads(Path(study, "summary.json").read_text())


def test_compare(command, study, monkeypatch):
    monkeypatch.setattr("analysis.figures.drawing.kind.write_all", lambda *_: [])
    shutil.copytree(study, "other")
    found = document(command("compare", study, "other", "--json"))
    assert found == json.loads(Path("comparison", "comparison.json").read_text())


def test_a_plan_that_is_refused_says_so_on_the_other_stream(command):
    more = ("--workers", "3", "--max-hours", "0", "--json")
    code, out, err = command("plan", "digits-mlp", *FEW, *more)
    assert code == 2
    found = json.loads(out)
    (planned,) = found["studies"]
    assert planned["name"] is None
    assert [row["batch_size"] for row in planned["batch_sizes"]] == [64, 256]
    for key in ("seconds", "seconds_at_most"):
        assert found[key] == pytest.approx(sum(row[key] for row in planned["batch_sizes"]) / 3)
    assert found["disk"] == sum(row["disk"] for row in planned["batch_sizes"])
    hours = f"{found['seconds'] / 3600:.2g}"
    assert err.startswith(f"error: --max-hours must be at least the expected {hours}, got 0")


def test_workloads(command):
    found = document(command("workloads", "--json"))["workloads"]
    text = command("workloads")[1]
    for entry in found:
        assert entry["name"] in text
    assert found[0]["name"] == "digits-mlp"
    assert found[0]["source"] == "built in"


@pytest.mark.parametrize("verb", ["status", "analyze", "compare", "plan"])
def test_errors_are_not_documents(command, verb):
    code, out, err = command(verb, "nowhere.toml", "--json")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("batchscale sta", ["status"]), ("batchscale sweep digits-c", ["digits-cnn"])],
)
def test_a_shell_completes_commands_and_workloads(words, expected):
    given = {
        "_BATCHSCALE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("batchscale")],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == expected, done.stderr
