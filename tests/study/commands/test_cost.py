"""`batchscale cost`: what it measures, reads, writes and refuses."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import batchscale

GOLDEN = Path(__file__).parents[2] / "golden" / "search"
SIZES = (64, 256, 1347)


@pytest.fixture
def digits(command):
    """Make a folder `digits` with a small study, and a table of step times."""
    shutil.copytree(GOLDEN, "digits")
    rows = "".join(f"{size},{1e-4 + 1e-6 * size}\n" for size in SIZES)
    Path("times.csv").write_text(f"batch_size,seconds_per_step\n{rows}")


def contents():
    return {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}


def test_steps_are_timed_and_joined(passed, command, digits):
    before = contents()
    out = passed("cost", "digits", "--seconds", "0.01", "--threads", "1")
    assert "Fastest on one device: B = " in out
    assert " repeats, with their 95% intervals" in out
    table = pd.read_parquet("digits/cost.parquet")
    assert tuple(table["batch_size"]) == SIZES
    assert (table["step_seconds"] > 0).all()
    assert set(table["threads"]) == {1}
    new = {str(path.relative_to(Path.cwd())) for path in set(contents()) - set(before)}
    assert new == {
        *(f"digits/cost.{kind}" for kind in ("json", "parquet")),
        *(f"digits/cost.{kind}.sha256" for kind in ("json", "parquet")),
        "digits/tables/cost.csv",
        *(f"digits/figures/cost.{kind}" for kind in ("png", "svg", "csv")),
    }
    assert {path: contents()[path] for path in before} == before
    recorded = command("cost", "digits", "--recorded", "--json")
    assert json.loads(recorded[1]) == json.loads(Path("digits/cost.json").read_text())
    found = batchscale.load("digits").cost()
    assert found.costs.rows[0].seconds.value == table["step_seconds"][0]


def test_times_from_elsewhere_with_a_price_and_devices(passed, digits):
    given = ("--step-times", "times.csv", "--price", "2", "--devices", "4,1,2", "--bandwidth", "10")
    out = passed("cost", "digits", *given, "--parameters", "2410", "--json")
    content = json.loads(out)
    assert content["terms"]["devices"] == [1, 2, 4]
    assert [row["devices"] for row in content["devices"]] == [1, 2, 4]
    assert content["measured"]["source"] == "times.csv"
    for row in content["rows"]:
        seconds = 1e-4 + 1e-6 * row["batch_size"]
        assert row["seconds"]["value"] == pytest.approx(row["steps"]["value"] * seconds)
        assert row["money"]["value"] == pytest.approx(2 * row["seconds"]["value"] / 3600)
    assert Path("digits/figures/cost_devices.png").is_file()
    assert batchscale.load("digits").cost().terms.price == 2.0


WRONG = {
    "two places": (["--recorded", "--step-times", "times.csv"], "must come from one place"),
    "nothing recorded": (["--recorded"], "needs the step times of an earlier `cost`"),
    "threads for no timing": (["--recorded", "--threads", "1"], "--threads is for timing steps"),
    "a free device": (["--price", "0"], "--price must be a number from 1e-15 to 1e+15, got 0"),
    "a price of nothing": (["--price", "nan"], "nan is not a finite number"),
    "no link": (["--devices", "1,8"], "give the bandwidth of each device's link"),
    "no device": (["--devices", "0"], "--devices must be 1 to"),
    "words": (["--devices", "many"], "--devices must be integers separated by commas"),
    "a link of no devices": (["--bandwidth", "3"], "got no --devices; add"),
    "a delay on no link": (["--devices", "2", "--latency", "5"], "got no --bandwidth; add it"),
    "a dead link": (
        ["--devices", "2", "--bandwidth", "-1"],
        "--bandwidth must be at least 1 byte/s",
    ),
    "no address": (["--address", "nowhere"], "--address must be `auto` or host:port"),
    "no time": (["--seconds", "0"], "0.01"),
    "no table": (["--step-times", "missing.csv"], "must be a readable file"),
    "other sizes": (["--step-times", "other.csv"], "must be of batch sizes of the study"),
    "a tight target": (["--target", "0.01"], "must not be below the one raced to"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_refused_and_nothing_is_written(refused, digits, arguments, message):
    Path("other.csv").write_text("batch_size,seconds_per_step\n3,0.1\n")
    assert message in refused("cost", "digits", *arguments)


def test_finished_runs_need_their_step_times(passed, command):
    rows = [f"r{size},{size},{step},{0.9 - step / 100}" for size in (4, 8) for step in (0, 50, 80)]
    Path("runs.csv").write_text("run,batch_size,step,val_error\n" + "\n".join(rows) + "\n")
    assert command("import", "runs.csv", "--target", "0.2")[0] == 0
    code, out, err = command("cost", "results/runs")
    assert (code, out) == (2, "")
    assert "got an imported one in results/runs; give its step times with --step" in err
    Path("times.csv").write_text("batch_size,seconds_per_step\n4,1\n8,1.5\n")
    out = passed("cost", "results/runs", "--step-times", "times.csv")
    assert "Fastest on one device: B = 4, 80 s to target" in out
