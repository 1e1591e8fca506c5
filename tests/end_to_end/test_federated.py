"""A federated study by the real command, on one worker and on two, at once and in two goes."""

import pytest

from analysis.report.record import sentences
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

pytestmark = [pytest.mark.slow, pytest.mark.long]

FEDAVG = (
    "batch_sizes=[6, 24]",
    "federated={clients=3, local_steps=2, shards='dirichlet', alpha=0.5}",
)


def words(*settings):
    return [word for setting in (*FEDAVG, *settings) for word in ("--set", setting)]


def test_a_federated_study_sweeps_as_any_other(place):
    code, _, err = place.run("sweep", "study.toml", *words("replicates.seeds=3"))
    assert code == 0, err
    trials = place.table("trials.parquet")
    assert set(trials["status"]) <= {"reached", "capped", "diverged", "exhausted"}
    assert (trials["micro_batch"] * 3 == trials["batch_size"]).all()
    assert (trials["role"] == "replicate").groupby(trials["batch_size"]).sum().tolist() == [3, 3]
    found = analyze(read_study(ResultsFolder.at(str(place.folder / "results/study"))))
    assert found.table["steps"].notna().all()
    assert sentences(found)[0].startswith("A step is a round of FedAvg: 3 clients take 2 steps")


def test_its_tables_depend_neither_on_the_workers_nor_on_how_it_went(place):
    for results, workers, trials in (("by2", 2, 8), ("by1", 1, 4), ("by1", 1, 8)):
        code, _, err = place.run(
            "sweep", "study.toml", "--results", results, "--workers", workers,
            *words(f"search.trials={trials}"),
        )  # fmt: skip
        assert code == 0, err
    place.assert_same_tables("by1", "by2")
