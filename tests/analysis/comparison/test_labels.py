import pytest

from analysis.comparison.labels import labels, study_folders, unique_names
from analysis.errors import AnalysisError

CONFIG = {
    "workload": "digits-mlp",
    "optimizer": "sgd",
    "batch_sizes": [2, 4],
    "seed": 0,
    "workload_options": {"hidden": [64]},
    "search": {"trials": 16, "space": {"lr": {"low": 0.001}}},
}
FEDAVG = {"clients": 8, "local_steps": 4, "shards": "dirichlet", "alpha": 0.3}

WARM_UP = {"stages": [[0.0, 0.25], [0.3, 1.0]], "lr": "same"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([{}, {"optimizer": "adam"}], ["optimizer = sgd", "optimizer = adam"]),
        # what readers ask about first, though momentum differs too
        (
            [{}, {"search": {"momentum": 0.9}, "optimizer": "adam"}],
            ["optimizer = sgd", "optimizer = adam"],
        ),
        (
            [{}, {"workload_options": {}}],
            ["workload_options.hidden = [64]", "workload_options.hidden = default"],
        ),
        ([{"seed": 1}, {"batch_sizes": [8]}], ["seed = 1", "seed = 0"]),
        ([{}, {"batch_sizes": [8]}], ["first", "second"]),
        ([{}, {"workload": "a/b.py:Mine"}], ["workload = digits-mlp", "workload = Mine"]),
        (
            [{}, {"optimizer": "adam"}, {"seed": 1}],
            [
                "optimizer = sgd, seed = 0",
                "optimizer = adam, seed = 0",
                "optimizer = sgd, seed = 1",
            ],
        ),
        (
            [{}, {"federated": FEDAVG}, {"federated": FEDAVG | {"alpha": 3.0}, "seed": 1}],
            [
                "federated = none",
                "federated = 8 clients x 4 steps dirichlet 0.3",
                "federated = 8 clients x 4 steps dirichlet 3",
            ],
        ),
        (
            [{}, {"federated": {"local_batch_size": 16, "local_steps": 1, "shards": "iid"}}],
            ["federated = none", "federated = local batch 16 x 1 step iid"],
        ),
        (
            [{}, {"batch_schedule": WARM_UP, "batch_plans": {}}],
            ["batch_schedule = none", "batch_schedule = 0.25 B to 1 B in 2 stages with lr same"],
        ),
        (
            [{}, {"race": {"prune": [0.25, 0.5]}}],
            ["race.prune = none", "race.prune = [0.25, 0.5]"],
        ),
        (
            [{}, {"race": {"weights": "averaged"}}],
            ["race.weights = raw", "race.weights = averaged"],
        ),
        (
            [
                {"search": {"space": {"beta2": 0.95}}},
                {"search": {"space": {"beta2_half_life": 3460.0}}},
            ],
            ["first", "second"],
        ),
        (
            [{}, *({"recipe": {"rule": rule, "base": 4}} for rule in ("linear", "sde"))],
            ["recipe.rule = none", "recipe.rule = linear", "recipe.rule = sde"],
        ),
        ([{}, {"seed": 1}, {"seed": 2}], ["seed = 0", "seed = 1", "seed = 2"]),
        ([{}, {}], ["first", "second"]),
    ],
)
def test_labels_have_the_fewest_distinguishing_keys(changes, expected):
    names = ["first", "second", "third"][: len(changes)]
    assert list(labels([CONFIG | change for change in changes], names)) == expected


def test_names_are_the_shortest_ends_of_paths():
    assert unique_names(["results/a", "results/b/"]) == ("a", "b")
    assert unique_names(["a/digits", "b/digits"]) == ("a/digits", "b/digits")
    assert unique_names(["/x/a/digits", "/x/b/digits"]) == ("a/digits", "b/digits")


def test_folders_by_name_in_the_order_given(tmp_path):
    found = study_folders([str(tmp_path / "b"), str(tmp_path / "a")])
    assert list(found) == ["b", "a"]
    assert str(found["a"]) == str(tmp_path / "a")


def test_one_folder_or_one_twice_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match="needs 2 or more results folders, got 1"):
        study_folders(["a"])
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for again in ("a/", "./a", "link"):
        with pytest.raises(AnalysisError, match=f"different results folders, got .*{again} twice"):
            study_folders([str(tmp_path / "a"), f"{tmp_path}/{again}"])
