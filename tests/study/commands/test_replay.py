"""`batchscale verify` and `batchscale diagnose`: exit codes, what is printed, what is written."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

REFERENCE = Path(__file__).parents[3] / "results" / "reference" / "digits"


def contents():
    return {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}


@pytest.fixture
def digits(command):
    """Make a folder `digits` with the reference study, and one of an archive."""
    shutil.copytree(REFERENCE, "digits", ignore=shutil.ignore_patterns("figures", "diagnostics*"))
    trial = Path("archive/mnist/cnn/sgd/16/0")
    trial.mkdir(parents=True)
    (trial / "metadata.json").write_text(
        '{"trial_id": 0, "status": "COMPLETE", "steps": 20, "parameters": {"learning_rate": 1.0}}'
    )
    (trial / "measurements.csv").write_text("step,val/classification_error\n10,0.5\n20,0.1\n")
    (trial.parent / "study.json").write_text(
        '{"batch_size": 16, "parameter_configs": {"learning_rate": {"type": "DOUBLE", '
        '"min_value": 0.1, "max_value": 10.0, "scale": "LOG_SCALE"}}}'
    )
    assert command("import", "archive", "--target", "0.2")[0] == 0


def test_a_sound_study_passes(passed, digits):
    before = contents()
    out = passed("verify", "digits", "--no-replay")
    marks = [line.split(":")[0] for line in out.splitlines()]
    assert marks == [
        "ok   study.toml",
        "ok   digests",
        "-    parts",
        "ok   tables",
        "ok   trials",
        "ok   summary",
    ]
    out = passed("verify", "results/mnist-cnn-sgd")
    assert "ok   tables: 1 trials; imported ones cannot be trained again" in out
    assert "-    winners: not trained again" in out
    assert contents() == before


@pytest.mark.slow
@pytest.mark.long
def test_every_winner_of_the_reference_study_replays(command, digits):
    code, out, err = command("verify", "digits")
    assert code == 0, out + err
    assert out.count("as recorded") == 11


def test_a_failed_check_exits_with_code_1(command, digits):
    trials = Path("digits/trials.parquet")
    trials.write_bytes(trials.read_bytes()[:1000])
    code, out, err = command("verify", "digits")
    assert code == 1, err
    assert "FAIL tables: digits/trials.parquet must have the digest in trials.parquet.sha256" in out
    assert "-    winners: not trained again" in out


def test_diagnose_writes_a_table_and_figures_and_describes_them(passed, digits):
    before = contents()
    sizes = ("--batch-sizes", "1347,1024")
    out = passed("diagnose", "digits", "--what", "noise,gap", *sizes)
    assert "times the measured b_crit = " in out
    assert "At equal steps, validation error minus training error is" in out
    new = {str(path.relative_to(Path.cwd())) for path in set(contents()) - set(before)}
    drawn = {
        f"digits/figures/{n}.{form}" for n in ("noise", "gap") for form in ("png", "svg", "csv")
    }
    assert new == {"digits/diagnostics.parquet", "digits/diagnostics.parquet.sha256", *drawn}
    table = pd.read_parquet("digits/diagnostics.parquet")
    assert list(table["batch_size"].unique()) == [1024, 1347]
    ends = table[table["moment"] == "end"].groupby("batch_size")["step"].first()
    assert ends.to_dict() == {1024: 25, 1347: 29}
    assert {path: contents()[path] for path in before} == before

    out = passed(
        *("diagnose", "digits", "--what", "layers", "--batch-sizes", "1024", "--seeds", "2"),
        "--json",
    )
    document = json.loads(out)
    assert list(document["sentences"]) == ["layers"]
    assert document["sentences"]["layers"][0].startswith("Means over 2 fresh seeds")
    assert {row["what"] for row in document["diagnostics"]} == {"layers"}
    table = pd.read_parquet("digits/diagnostics.parquet")
    assert table[table["what"] == "layers"]["trial"].nunique() == 2
    assert all(Path(name).exists() for name in drawn)  # also those of the other diagnostics
    again = table.groupby("what")["batch_size"].unique()
    assert {what: list(own) for what, own in again.items()} == {
        "gap": [1024, 1347],
        "layers": [1024],
        "noise": [1024, 1347],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diagnose", "digits", "--batch-sizes", "512,5"], "must be among those that reached"),
        (["diagnose", "digits", "--batch-sizes", "many"], "integers separated by commas"),
        (["diagnose", "results/mnist-cnn-sgd"], "got one imported from an archive"),
        (["diagnose", "nowhere"], "must hold study.toml"),
        (["diagnose", "digits", "--what", "noize"], "did you mean 'noise'?"),
        (["verify", "nowhere"], "must hold study.toml"),
        (["verify", "digits", "--data-dir", "nowhere"], "--data-dir must be an existing folder"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(refused, digits, arguments, message):
    assert message in refused(*arguments)
