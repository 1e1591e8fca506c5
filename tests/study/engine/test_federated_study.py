"""Federated studies: their config, training on a worker, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.config.federated import FederatedConfig
from study.engine.cohort import run_cohort
from study.engine.federated import client_shards, refuse_federated
from study.errors import StudyError
from study.planning.resolve import resolve
from study.records import Execution, Status
from study.storage.study_folder import continued, open_folder, read_study_toml
from tests.study.cohorts import cohort_of
from workloads.workload import Examples

BLOBS = Path(__file__).parents[2] / "blobs.py"
FEDAVG = {"clients": 3, "local_steps": 2, "shards": "dirichlet", "alpha": 0.5}
COHORT = cohort_of([0.3, 0.1, 0.03], 15)


def test_a_federated_cohort_races_packed_or_looped(training, make_study):
    packed, looped = (
        run_cohort(make_study(compute={"mode": mode}, federated=FEDAVG), training(), COHORT)
        for mode in ("packed", "looped")
    )
    assert packed[0].outcome.status is Status.REACHED
    assert [r.outcome for r in packed] == [r.outcome for r in looped]
    assert packed[0].execution == Execution("packed", 3, 5)
    plain = run_cohort(make_study(), training(), COHORT)
    assert plain[0].outcome.steps > packed[0].outcome.steps


def test_a_federated_trial_is_the_same_in_any_cohort(training, make_study):
    made, study = training(), make_study(federated=FEDAVG, compute={"mode": "looped"})
    together, again = (run_cohort(study, made, COHORT) for _ in range(2))
    alone = run_cohort(study, made, replace(COHORT, points=COHORT.points[:1]))
    for one, other in zip([*together, together[0]], [*again, *alone], strict=True):
        np.testing.assert_array_equal(one.curve.val_loss, other.curve.val_loss)


def test_a_federated_study_survives_its_folder(make_study, tmp_path):
    study, folder = make_study(federated=FEDAVG), ResultsFolder.at(str(tmp_path / "study"))
    open_folder(folder, study)
    assert read_study_toml(folder) == study
    with pytest.raises(StudyError, match=r"federated\.local_steps = 3 where the folder has 2"):
        continued(folder, make_study(federated=FEDAVG | {"local_steps": 3}))


def test_shards_depend_on_study_seed_and_number_of_clients_only(training, make_study):
    made, study = training(), make_study(federated=FEDAVG)
    found = [client_shards(study, made, size) for size in (3, 15)]
    assert [s.tolist() for s in found[0]] == [s.tolist() for s in found[1]]
    other = client_shards(make_study(federated=FEDAVG, seed=1), made, 3)
    assert [s.tolist() for s in found[0]] != [s.tolist() for s in other]
    few = make_study(federated={"local_batch_size": 5})
    assert [len(client_shards(few, made, size)) for size in (5, 15, 90)] == [1, 3, 18]


def test_a_round_counts_the_examples_of_all_its_steps(make_study):
    study = make_study(federated=FEDAVG, race={"max_steps": 1000, "max_epochs": 20})
    assert study.examples_per_step(15) == 30
    assert study.budget(15) == 20 * 90 // 30
    assert study.local_batch_size(15) == 5
    assert make_study().examples_per_step(15) == make_study().local_batch_size(15) == 15


def test_lanes_are_packed_by_the_local_batch(make_study):
    pack = {"pack": {"lanes": 32, "examples": 64}}
    assert make_study(compute=pack).pack_at(48) == 1
    assert make_study(compute=pack, federated=FEDAVG).pack_at(48) == 4


def test_federation_changes_the_digest_and_its_absence_does_not(make_study):
    plain, fedavg = make_study(), make_study(federated=FEDAVG)
    assert "federated" not in plain.as_data()
    assert plain.digest() != fedavg.digest()
    assert fedavg.digest() != make_study(federated=FEDAVG | {"alpha": 0.6}).digest()


def resolved_with(federated, **changes):
    study = {"workload": f"{BLOBS}:Blobs", "batch_sizes": [6, 12]} | changes
    return resolve(study | {"federated": federated})[0]


def test_a_complete_section_is_resolved_unchanged():
    study = resolved_with(FEDAVG)
    assert study.as_data()["federated"] == FEDAVG
    assert study.compute.mode == "packed"


@pytest.mark.parametrize(
    ("federated", "changes", "message"),
    [
        ({}, {}, "one of `clients` and `local_batch_size` must be given, got neither"),
        ({"clients": 3, "local_batch_size": 2}, {}, "must be given, got both"),
        ({"clients": 0}, {}, r"federated\.clients must be greater than or equal to 1, got 0"),
        ({"clients": 3, "local_steps": 0}, {}, r"federated\.local_steps must be greater"),
        ({"clients": 3, "shards": "skewed"}, {}, r"federated\.shards must be 'iid' or 'dirichlet'"),
        ({"clients": 3, "shards": "dirichlet"}, {}, "for 'dirichlet', got none; add it"),
        ({"clients": 3, "alpha": 0.5}, {}, "for 'iid', got 0.5; remove it"),
        (
            {"clients": 3, "shards": "dirichlet", "alpha": 0},
            {},
            r"federated\.alpha must",
        ),
        ({"client": 3}, {}, r"federated\.client is not a key .*; did you mean 'clients'"),
        ({"clients": 4}, {}, r"multiples of federated\.clients = 4, got 6; leave them out"),
        (
            {"local_batch_size": 5},
            {"batch_sizes": [5, 6, 12]},
            r"multiples of federated\.local_batch_size = 5, got 6, 12",
        ),
        (
            {"clients": 3},
            {"workload": f"{BLOBS}:BatchNormBlobs"},
            "a change of buffer 1.num_batches_tracked",
        ),
        (
            {"clients": 3},
            {"workload": "noisy-quadratic"},
            "left out for a workload with its own dynamics",
        ),
    ],
)
def test_invalid_federated_studies_are_refused(federated, changes, message):
    with pytest.raises(StudyError, match=message):
        resolved_with(federated, **changes)


@pytest.mark.parametrize("targets", [torch.zeros(90), torch.zeros(90, 2, dtype=torch.long)])
def test_targets_that_are_not_classes_cannot_be_skewed(training, targets):
    made = training()
    data = replace(made.data, train=Examples(made.data.train.inputs, targets))
    skewed = FederatedConfig(clients=3, shards="dirichlet", alpha=1.0)
    with pytest.raises(StudyError, match="iid for a workload whose targets are not classes"):
        refuse_federated(skewed, replace(made, data=data), [3])
