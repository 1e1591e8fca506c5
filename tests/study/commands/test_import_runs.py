"""Finished runs by the command: imported, looked at, and refused where only a sweep could help."""

import json
from pathlib import Path

import pytest

from tests.analysis.runs.conftest import measurements


def test_runs_are_imported_and_every_command_says_what_it_can(passed, refused):
    measurements().rename(columns={"step": "global_step"}).to_csv("mine.csv", index=False)
    columns = ("--columns", "step=global_step")
    assert "a column step (one row per measurement)" in refused("import", "mine.csv")
    assert not Path("results").exists()
    out = passed("import", "mine.csv", *columns)
    assert "4 batch sizes, 8 runs (8 exhausted)" in out
    assert "Next: batchscale analyze results/mine --target E" in out
    out = passed("status", "results/mine")
    assert "imported and complete: 4 batch sizes, 8 trials (8 exhausted), 248 measurements" in out
    out = passed("status", "results/mine", "--json")
    first = json.loads(out)["batch_sizes"][0]
    assert (first["batch_size"], first["trials"], first["exhausted"]) == (8, 2, 2)
    for arguments in (("sweep", "results/mine/study.toml"), ("diagnose", "results/mine")):
        assert "got one imported from finished runs in results/mine" in refused(*arguments)
    out = passed("verify", "results/mine")
    assert "imported ones cannot be trained again" in out
    out = passed("export", "results/mine", "--format", "csv", "--to", "out")
    assert out.strip() == "out/mine.csv"
    err = refused("export", "results/mine", "--format", "xls")
    assert "--format must be archive or csv, got 'xls'" in err
    out = passed("export", "results/mine", "--to", "out")
    assert "8 trials in out/mine/model/unknown-optimizer" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "mine.csv", "--all-trials"], "--all-trials does not apply to runs"),
        (["import", "mine", "--space", "lr=1:2"], "--space does not apply to an archive"),
        (["import", "nowhere.csv"], "a readable file, UTF-8 if it is text, got nowhere"),
        (["import", "mine.xlsx"], "finished runs must be a table (.csv, .tsv, .parquet, .jsonl"),
        (["import", "wandb:me/mine"], "needs the name of the step"),
    ],
)
def test_options_of_another_kind_are_refused(refused, arguments, message):
    measurements().to_csv("mine.csv", index=False)
    Path("mine").mkdir()
    Path("mine.xlsx").write_bytes(b"PK")
    assert message in refused(*arguments)
