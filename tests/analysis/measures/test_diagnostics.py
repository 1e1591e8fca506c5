from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis.errors import AnalysisError
from analysis.figures.diagnostics.landscape import between_data
from analysis.figures.diagnostics.noise import branch_data
from analysis.fitting.estimates import Estimate
from analysis.measures.diagnostics import SENTENCES, diagnostic_sentences, read_diagnostics
from analysis.tables.files import write_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE, SUMMARY_FILE, file_schema
from tests.analysis.made_diagnostics import diagnosed


def test_noise_is_compared_with_the_measured_critical_batch_size():
    said = diagnostic_sentences(diagnosed())["noise"]
    assert said[0] == (
        "Over training, the noise scale tr(S) / |G|^2 goes from 10 (8.0 to 12) to 50 (40 to 62) at "
        "B = 16, from 10 (8.0 to 12) to 50 (40 to 62) at B = 256."
    )
    # linear in the step: 10 to 50, on average 30
    assert said[1].startswith(
        "Its mean over the steps of a run is 30, the median of all runs, 0.60"
    )
    assert said[1].endswith("times the measured b_crit = 50 (40\N{EN DASH}70).")
    assert "order of magnitude only" in said[2]
    unknown = diagnostic_sentences(diagnosed(b_crit=None))["noise"]
    assert "run `analyze`" in unknown[1]
    open_ended = diagnosed(b_crit=(float("inf"), 40.0, float("inf")))
    assert "run `analyze`" in diagnostic_sentences(open_ended)["noise"][1]


@pytest.mark.parametrize(("optimizer", "norm"), [("adam", "sign"), ("muon", "spectral")])
def test_an_optimizer_that_moves_by_another_norm_has_its_own_noise_scale(optimizer, norm):
    said = diagnostic_sentences(diagnosed(optimizer=optimizer))["noise"]
    assert len(said) == 5
    assert f"the noise scale in the {norm} norm goes from" in said[2]


def test_flatness_says_small_against_large_and_whether_it_follows_the_batch_size():
    sizes = (4, 16, 64, 256, 1024)
    said = diagnostic_sentences(diagnosed(sizes=sizes))
    assert said["curvature"][0] == (
        "The largest eigenvalue of the Hessian at the target is 1 at B = 4 and 2.6e+02 at "
        "B = 1024, the rank correlation with B 1.00 (p = 1.4e-24)."
    )
    assert said["curvature"][2] == (
        "Learning rate times eigenvalue is 0.0078 (B = 4) to 2.0 (B = 1024) of the stability limit "
        "of a quadratic."
    )
    assert said["sharpness"][0].startswith("Keskar's sharpness (epsilon 0.001) is 0.04 at B = 4")
    assert said["landscape"][-2] == (
        "From the solution of B = 4 to B = 1024 the training loss goes from 0.23 to 0.23, with "
        "a maximum of 0.23 in between."
    )
    assert said["gap"][0] == (
        "At equal target, validation error minus training error is 0.1 (0.08 to 0.12) at B = 4, "
        "0.1 (0.08 to 0.12) at B = 1024."
    )


def test_branches_say_where_larger_batches_lose():
    said = diagnostic_sentences(diagnosed())["branch"]
    assert said == [
        "In branches from the run at B = 16, the largest batch whose loss is at most 5% worse "
        "after the next 128 examples is 512 (320 to no upper bound) at step 0; 512 (320 to no "
        "upper bound) at step 5; above 2048 (1020 to no upper bound) at step 40.",
        "The learning rate follows the linear rule and is not tuned at the larger batches, so "
        "these may be too low. For tuned runs, b_crit = 50 (40\N{EN DASH}70).",
    ]
    assert diagnostic_sentences(diagnosed(b_crit=None))["branch"][1].endswith("too low.")


def test_values_that_are_not_finite_are_reported_and_not_left_out():
    found = diagnosed()
    table = found.table
    line = table["quantity"].eq("train_loss") & table["variant"].isin(["line", "to B = 256"])
    lost = line & (table["variant"].eq("line") & table["x"].eq(0.5) | table["x"].eq(0.5))
    lost |= table["quantity"].isin(["trace", "keskar"])
    said = diagnostic_sentences(replace(found, table=table.assign(value=table["value"].mask(lost))))
    assert said["curvature"][1] == "Its trace is not known at any batch size."
    assert said["sharpness"][0].endswith("(epsilon 0.001) is not known at any batch size.")
    # a mean over both sides of the solution needs both
    assert said["landscape"][1] == (
        "Half a filter's length away the training loss is not known at any batch size."
    )
    assert said["landscape"][-2] == (
        "From the solution of B = 16 to B = 256 the training loss goes from 0.23 to 0.23, and is "
        "not finite somewhere in between."
    )


def test_a_run_too_short_to_branch_from_is_reported():
    found = diagnosed()
    table = found.table
    alone = table[(table["what"] == "branch") & table["x"].isna()].assign(value=np.nan, low=np.nan)
    short = replace(found, table=alone)
    assert diagnostic_sentences(short)["branch"] == [
        "The run at B = 16 is too short to branch from, or uses most of the data in one step; "
        "choose a smaller batch size with --batch-sizes."
    ]
    assert branch_data(short).empty


def test_only_measured_diagnostics_are_reported():
    found = diagnosed(sizes=(16,))
    assert list(diagnostic_sentences(found)) == list(SENTENCES)
    table = found.table[found.table["what"].isin(["gap", "layers"])]
    alone = type(found)(table=table, subject="", optimizer="lamb")
    assert list(diagnostic_sentences(alone)) == ["gap", "layers"]


def reread(tmp_path, seeds):
    """Return what is read of a folder with the tables of several seeds."""
    folder = ResultsFolder.at(tmp_path)
    own = [table.assign(role="replicate", trial=i) for i, table in enumerate(seeds)]
    schema = file_schema(DIAGNOSTICS_FILE)
    table = pa.Table.from_pandas(pd.concat(own), schema=schema, preserve_index=False)
    write_table(folder, DIAGNOSTICS_FILE, table)
    return read_diagnostics(folder, {"workload": "blobs", "optimizer": "sgd"})


def test_several_seeds_are_means_with_intervals(tmp_path):
    one = diagnosed().only(["noise", "gap"]).table
    away = one["quantity"] == "error_gap"
    seeds = [
        one.assign(
            value=(one["value"] * 2.0**k).mask(away, one["value"] + k),
            step=one["step"] + i,
        )
        for i, k in enumerate((-1, 0, 1))
    ]
    seeds[2].loc[one["quantity"] == "val_error", "value"] = np.nan

    half_way = reread(tmp_path, seeds[:2]).table["step"]
    assert set(half_way) <= {*one["step"], *(one["step"] + 1)}
    found = reread(tmp_path, seeds)
    first = one[one["quantity"] == "noise_scale"].reset_index(drop=True)
    again = found.table[found.table["quantity"] == "noise_scale"].reset_index(drop=True)
    assert again["value"].to_numpy(float) == pytest.approx(first["value"].to_numpy(float))
    assert (again["step"] == first["step"] + 1).all()  # the median
    far = 4.303 / 3**0.5  # Student's t of 2 degrees of freedom, for a spread of 1
    assert again["high"].to_numpy(float) == pytest.approx(2**far * first["value"], rel=1e-3)
    assert (again["samples"] == 3).all()
    gap = found.table[found.table["quantity"] == "error_gap"]  # of which one is negative
    assert gap["value"].to_numpy(float) == pytest.approx(0.1)
    assert gap["low"].to_numpy(float) == pytest.approx(0.1 - far, rel=1e-3)
    missing = found.table[found.table["quantity"] == "val_error"]
    assert missing["value"].to_numpy(float) == pytest.approx(0.2 / 2**0.5)
    assert (missing["samples"] == 2).all()
    said = diagnostic_sentences(found)
    assert {sentences[0] for sentences in said.values()} == {
        "Means over 3 fresh seeds of the best point at each batch size, with 95% intervals for "
        "seeds."
    }


def test_the_local_critical_batch_size_of_seeds_is_that_of_their_mean_excess(tmp_path):
    one = diagnosed().only(["branch"]).table
    excess = one["quantity"] == "excess_loss"
    seeds = [one.assign(value=one["value"].mask(excess, k * one["value"])) for k in (1, 3, 2)]
    rows = reread(tmp_path, seeds).table
    start = rows[rows["moment"] == "start"]
    critical = start[start["quantity"] == "critical_batch_size"].iloc[0]
    # the mean excess is 2 % with each doubling from 16 on
    assert critical["value"] == pytest.approx(16 * 2**2.5)
    far = 4.303 / 3**0.5  # Student's t of 2 degrees of freedom, for a spread of 1 % a doubling
    assert critical["low"] == pytest.approx(16 * 2 ** (5 / (2 + far)), rel=1e-3)
    assert pd.isna(critical["high"])
    assert critical["samples"] == 3
    end = rows[(rows["moment"] == "end") & (rows["quantity"] == "critical_batch_size")].iloc[0]
    assert pd.isna(end["value"])
    assert end["low"] == 16 * 2**7  # the largest batch


def test_lines_between_seeds_have_intervals(tmp_path):
    one = diagnosed().only(["landscape"]).table
    found = reread(tmp_path, [one.assign(value=k * one["value"]) for k in (0.5, 1, 2)])
    assert between_data(found)[["low", "high"]].notna().all(axis=None)
    (said,) = (s for s in diagnostic_sentences(found)["landscape"] if "the training loss goes" in s)
    assert " with a maximum of 0.23 (0.0" in said


def test_a_table_is_read_as_it_was_written(tmp_path):
    folder, made = ResultsFolder.at(tmp_path), diagnosed()
    config = {"workload": "blobs.py:Blobs", "optimizer": "sgd"}
    with pytest.raises(AnalysisError, match="diagnostics.parquet"):
        read_diagnostics(folder, config)
    table = pa.Table.from_pandas(
        made.table, schema=file_schema(DIAGNOSTICS_FILE), preserve_index=False
    )
    write_table(folder, DIAGNOSTICS_FILE, table)
    again = read_diagnostics(folder, config)
    assert again.subject == "Blobs, sgd"
    assert again.b_crit is None
    known = type(again)(
        table=again.table,
        subject="",
        optimizer="sgd",
        b_crit=Estimate(value=50.0, low=40.0, high=70.0),
    )
    assert diagnostic_sentences(known) == diagnostic_sentences(made)


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"critical_batch_sizes": 1}', b'{"critical_batch_sizes": {"b_crit": 1}}'],
)
def test_a_summary_that_analyze_did_not_write_is_refused(tmp_path, content):
    folder = ResultsFolder.at(tmp_path)
    write_file(folder, SUMMARY_FILE, content)
    with pytest.raises(AnalysisError, match="summary.json must be as batchscale wrote it.*analyze"):
        read_diagnostics(folder, {"workload": "digits-mlp", "optimizer": "sgd"})
