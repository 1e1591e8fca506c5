import tomllib
from pathlib import Path

import pytest
from torch import nn

from study.config.sections import ReplicatesConfig
from study.config.until import Grant
from study.errors import StudyError
from study.optimizers import OPTIMIZERS
from study.planning import dry_build
from study.planning.resolve import resolve
from workloads.errors import WorkloadError

BLOBS = Path(__file__).parents[2] / "blobs.py"
PLUGIN = """
import torch
from torch import nn
from workloads import Data
from workloads import Examples
from workloads import Target


class Line:
    target = Target({target})
    study_defaults = {{"race": {{"max_steps": 77}}, "search": {{"space": {{
        "lr": {{"low": 0.01, "high": 1.0, "scale": "log"}}, "momentum": 0.5}}}}}}

    def __init__(self, examples=20):
        self.examples = examples

    def data(self):
        x = torch.linspace(-1, 1, 2 * self.examples)[:, None]
        y = (x[:, 0] > 0).long()
        return Data(train=Examples(x[::2], y[::2]), validation=Examples(x[1::2], y[1::2]))

    def model(self):
        model = nn.Linear(1, 2)
        nn.init.zeros_(model.weight)
        return model

    def loss(self, model, batch):
        return {loss}

    def error(self, model, data):
        return {error}
"""
LOSS = "nn.functional.cross_entropy(model(batch.inputs), batch.targets)"
ERROR = "(model(data.inputs).argmax(-1) != data.targets).float().mean()"


@pytest.fixture
def plugin(tmp_path):
    """Write a plug-in file and gives its reference."""

    def write(target="0.1", loss=LOSS, error=ERROR):
        path = tmp_path / "line.py"
        path.write_text(PLUGIN.format(target=target, loss=loss, error=error))
        return f"{path}:Line"

    return write


def test_a_target_that_several_models_meet_untrained_is_refused(monkeypatch):
    resolve({"workload": f"{BLOBS}:Blobs", "race": {"target": 0.6}})  # one does
    monkeypatch.setattr(dry_build, "_OTHER_SEEDS", (2, 2))
    # 0.63 at the first seed, 0.47 at another one
    with pytest.raises(StudyError, match=r"below the error before training, 0\.4667, got 0\.6"):
        resolve({"workload": f"{BLOBS}:Blobs", "race": {"target": 0.6}})


def test_an_untrained_model_is_evaluated_once_for_loss_and_error(plugin, monkeypatch):
    _, trainable = resolve({"workload": plugin()})
    passes, forward = [], nn.Linear.forward

    def counted(model, inputs):
        passes.append(len(inputs))
        return forward(model, inputs)

    monkeypatch.setattr(nn.Linear, "forward", counted)
    assert dry_build._start(trainable) == 0.5
    assert passes == [20]


def test_no_shares_are_no_pruning(make_study):
    assert make_study(race={"prune": []}) == make_study()


def test_every_default_is_filled_in(plugin):
    study, trainable = resolve({"workload": plugin()})
    assert type(trainable.workload).__name__ == "Line"
    assert study.batch_sizes == (2, 4, 8, 16, 20)
    assert study.examples == 20
    assert study.target == 0.1
    assert study.race.quantity == "error"
    assert study.compute.mode == "packed"
    assert study.race.cohort.model_dump(exclude_none=True) == {"lanes": 32}
    assert (study.compute.pack.lanes, study.compute.pack.gradual) == (32, True)
    assert study.compute.micro_batch == "auto"
    assert study.race.max_steps == 77
    assert study.search.space["lr"].low == 0.01
    assert study.search.space["momentum"] == 0.5


def test_the_study_file_goes_before_the_workloads_defaults(plugin):
    space = {"lr": {"low": 0.1, "high": 0.2}}
    study, _ = resolve({"workload": plugin(), "race": {"max_steps": 5}, "search": {"space": space}})
    assert study.race.max_steps == 5
    assert study.search.space["lr"].scale == "linear"
    assert study.search.space["momentum"] == 0.5


def test_ranges_of_the_workload_that_the_optimizer_lacks_are_left_out(plugin):
    study, _ = resolve({"workload": plugin(), "optimizer": "sgd"})
    assert list(study.search.space) == ["lr"]


def test_a_schedule_brings_its_hyperparameters(plugin):
    study, _ = resolve({"workload": plugin(), "schedule": {"name": "linear-decay"}})
    assert list(study.search.space) == ["lr", "momentum", "decay_fraction", "end_factor"]


def test_an_option_enters_the_space_only_where_it_is_named(plugin):
    space = {"clip_norm": 1.0, "warmup_epochs": {"low": 0, "high": 5}}
    study, _ = resolve({"workload": plugin(), "search": {"space": space}})
    assert list(study.search.space) == ["lr", "momentum", "clip_norm", "warmup_epochs"]
    study, _ = resolve({"workload": "digits-mlp", "search": {"space": {"label_smoothing": 0.1}}})
    assert list(study.search.space) == ["lr", "momentum", "label_smoothing"]
    assert study.compute.mode == "packed"


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "lars", "lamb", "merit"])
def test_a_workloads_range_of_one_learning_rate_is_not_taken_for_another(plugin, optimizer):
    study, _ = resolve({"workload": plugin(), "optimizer": optimizer})
    own = OPTIMIZERS[optimizer].hyperparameters
    assert study.search.space["lr"] == own["lr"].default
    assert study.search.space.get("momentum", 0.5) == 0.5
    assert list(study.search.space) == list(own)


def test_a_momentum_that_does_not_lengthen_the_step_is_recorded(plugin):
    study, _ = resolve({"workload": plugin(), "optimizer": "muon"})
    assert study.as_data()["normalized_momentum"] is True
    assert "normalized_momentum" not in study.identity()


def test_a_recorded_study_resolves_to_itself():
    recorded = tomllib.loads((BLOBS.parent / "golden" / "search" / "study.toml").read_text())
    data = {key: value for key, value in recorded.items() if key not in {"examples", "adaptive"}}
    assert resolve(data)[0].as_data() == recorded


def test_a_table_of_budgets_holds_at_every_batch_size(plugin):
    data = {"workload": plugin(), "race": {"max_steps": {"2": 100, "8": 25}, "max_epochs": 30}}
    study, _ = resolve(data)
    assert [study.budget(size) for size in (1, 2, 4, 8, 20)] == [200, 100, 50, 25, 25]
    assert study.budget(1) == 200 < 30 * 20  # the smaller one of both limits
    data["race"] |= {"max_epochs": 5}
    assert resolve(data)[0].budget(1) == 100
    assert resolve(study.as_data() | {"batch_sizes": [1, 4]})[0].race == study.race


def test_a_measured_multiple_is_recorded_as_a_table_of_budgets(plugin):
    of = str(BLOBS.parent / "golden" / "search")
    study, _ = resolve({"workload": plugin(), "race": {"max_steps": {"times": 3, "of": of}}})
    assert set(study.race.max_steps) >= {"64", "1347"}
    assert study.budgets_differ
    assert resolve(study.as_data())[0] == study


def test_an_epoch_budget_binds_where_it_is_smaller(plugin):
    study, _ = resolve({"workload": plugin(), "race": {"max_steps": 50, "max_epochs": 4}})
    assert [study.budget(size) for size in (1, 2, 20)] == [50, 40, 4]


def test_a_budget_of_data_may_be_a_single_batch(plugin):
    race = {"max_examples": 20}
    study, _ = resolve({"workload": plugin(), "batch_sizes": [8, 20], "race": race})
    assert [study.budget(size) for size in study.batch_sizes] == [2, 1]


def test_a_race_to_the_budget_runs_every_trial_to_its_budget(plugin):
    study, _ = resolve({"workload": plugin(), "race": {"to": "budget"}})
    assert study.race.to == "budget"
    assert study.race.max_steps == 77
    assert study.digest() != resolve({"workload": plugin()})[0].digest()


def test_a_resolved_study_resolves_to_itself(plugin):
    study, _ = resolve({"workload": plugin()})
    data = study.as_data()
    del data["examples"], data["adaptive"]
    again, _ = resolve(data)
    assert again == study


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "nestorov"}, "optimizer must be one of.*did you mean 'nesterov'"),
        ({"search": {"sampler": "haltn"}}, r"search\.sampler must be one of.*'halton'"),
        ({"schedule": {"name": "cosin"}}, r"schedule\.name must be one of"),
        ({"batch_sizes": [4, 64]}, "must not exceed the 20 training examples, got 64"),
        ({"batch_sizes": {"from": 32}}, "must be at least"),
        ({"race": {"target": 0}}, r"race\.target must lie in \(0, 1\)"),
        ({"race": {"target": 1.0}}, r"race\.target must lie in \(0, 1\)"),
        ({"race": {"target": 0.9}}, "must be below the error before training, 0.5, got 0.9"),
        ({"race": {"max_steps": {}}}, "must have batch sizes as keys, got none; for example"),
        ({"race": {"max_steps": {"times": 4}}}, "must have batch sizes as keys, got 'times'"),
        ({"race": {"max_steps": {"016": 4}}}, "must have batch sizes as keys, got '016'"),
        ({"race": {"max_steps": {"16": 0}}}, r"race\.max_steps\.16 must be greater than or equal"),
        ({"race": {"max_steps": {"16": 2.5}}}, r"race\.max_steps\.16 must be an integer, got 2.5"),
        ({"race": {"max_steps": "many"}}, r"race\.max_steps must be a number, a table"),
        ({"race": {"max_steps": {"of": "x"}}}, r"race\.max_steps\.times is required"),
        ({"race": {"max_steps": {"of": "x", "times": 0.5}}}, r"max_steps\.times must be greater"),
        ({"race": {"max_steps": {"of": "none", "times": 2}}}, "of must be the results folder of a"),
        (
            {"batch_sizes": [4, 8, 16], "race": {"max_examples": 7}},
            r"race\.max_examples must allow at least one step, got 7 examples, which are fewer "
            "than a step uses at batch size 8, 16; raise it to 16 examples, or leave out",
        ),
        (
            {"batch_sizes": "auto", "until": {"b_crit": 0.2}, "race": {"max_examples": 19}},
            "got 19 examples, which are fewer than a step uses at batch size 20; raise",
        ),
        (
            {
                "batch_sizes": [8],
                "optimizer": "sgd",
                "federated": {"clients": 2, "local_steps": 5},
                "race": {"max_epochs": 1.9},
            },
            r"race\.max_epochs must allow at least one step, got 38 examples.*it to 40 examples",
        ),
        ({"race": {"prune": [0.5, 0.25]}}, r"must list rising shares, got \[0.5, 0.25\]; for"),
        ({"race": {"prune": [0.5, 0.5]}}, "must list rising shares"),
        ({"race": {"prune": [0.0, 0.5]}}, r"race\.prune\.0 must be greater than 0, got 0"),
        ({"race": {"prune": [0.5, 1.5]}}, r"race\.prune\.1 must be less than or equal to 1"),
        ({"race": {"prune": True}}, r"race\.prune must be a list, got True"),
        ({"race": {"prune": [0.5], "to": "budget"}}, 'must be left out for to = "budget", got'),
        ({"race": {"prune": [0.5], "cohort": 1}}, "at least two trials, got cohorts of one"),
        (
            {
                "race": {"prune": [0.5]},
                "mode": "recipe",
                "recipe": {"rule": "lamb"},
                "optimizer": "lamb",
            },
            "at least two trials, got a recipe without a base",
        ),
        ({"race": {"quantity": "loss"}}, "must be what the workload measures, 'error'"),
        ({"compute": {"mode": "dynamics"}}, r"compute\.mode must be auto or looped or packed"),
        ({"search": {"space": {"lr": {"low": 0, "high": 1}}}}, r"lr must lie in \(0, inf\), got 0"),
        ({"search": {"space": {"lr": -0.1}}}, r"lr must lie in \(0, inf\), got -0.1"),
        (
            {"search": {"space": {"momentum": {"low": -0.5, "high": 0.5}}}},
            r"momentum must lie in \[0, 1\), got -0.5",
        ),
        (
            {"search": {"warm_start": True, "space": {"lr": 0.1}}},
            "warm_start must be left out if search.space.lr is fixed, got 0.1",
        ),
        ({"search": {"space": {"momentum": 1.0}}}, r"momentum must lie in \[0, 1\), got 1"),
        ({"search": {"space": {"beta": 0.9}}}, "a key of search.space must be one of lr, momentum"),
        (
            {"optimizer": "sgd", "search": {"space": {"momentum": 0.9}}},
            "must be one of lr, weight_decay, clip_norm, .*, got",
        ),
        (
            {"search": {"space": {"warmup_steps": 3, "warmup_epochs": 1}}},
            "must give the warm-up in steps, in epochs or as a fraction, got warmup_steps and",
        ),
        ({"search": {"space": {"warmup_factor": 0.1}}}, "needs the length of the warm-up"),
        ({"search": {"space": {"clip_norm": -1}}}, r"clip_norm must lie in \[0, inf\), got -1"),
        ({"search": {"space": {"label_smoothing": 0.1}}}, "must be one of lr, momentum, .*, got"),
    ],
)
def test_what_cannot_run_is_refused_in_words(plugin, change, message):
    with pytest.raises(StudyError, match=message):
        resolve({"workload": plugin()} | change)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"loss": f"{LOSS} * float('nan')"}, "loss must be one finite number.*nan"),
        ({"error": f"{ERROR} + float('nan')"}, "error must be one finite number.*nan"),
        ({"loss": "model(batch.inputs)"}, "loss must be one finite number.*; return the mean"),
        ({"error": "0.5"}, "error must be one finite number.*got 0.5; return the tensor itself"),
        ({"loss": "model(batch.missing)"}, "AttributeError.*batchscale check"),
        ({"error": "torch.tensor(float('x'))"}, "ValueError.*batchscale check"),
        ({"error": "exit(4)"}, "SystemExit: 4; run .batchscale check"),
        ({"target": "1.5"}, r"a target on the error must lie in \(0, 1\), got 1.5"),
    ],
)
def test_a_workload_that_breaks_its_contract_is_refused_before_it_runs(plugin, broken, message):
    with pytest.raises((StudyError, WorkloadError), match=message):
        resolve({"workload": plugin(**broken)})


def test_an_unknown_workload_is_refused_with_a_suggestion():
    with pytest.raises(WorkloadError, match="digits-mlp"):
        resolve({"workload": "digits-mpl"})


def test_the_noisy_quadratic_runs_its_own_lanes():
    study, _ = resolve({"workload": "noisy-quadratic", "optimizer": "sgd"})
    assert study.compute.mode == "dynamics"
    assert study.race.quantity == "loss"
    assert study.examples is None
    assert study.batch_sizes[-1] == 65_536


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"optimizer": "adam"},
            "one of sgd, heavy-ball, nesterov for a workload with its own dynamics",
        ),
        ({"search": {"space": {"clip_norm": 1.0}}}, r"clip_norm must be left out .*, got 1\.0"),
        ({"search": {"space": {"weight_decay": 0.1}}}, "weight_decay must be left out"),
        (
            {"search": {"space": {"warmup_epochs": 1}}},
            "warmup_epochs must be left out .* endless data",
        ),
    ],
)
def test_own_dynamics_take_no_rule_that_they_do_not_know(change, message):
    with pytest.raises(StudyError, match=message):
        resolve({"workload": "noisy-quadratic"} | change)


def test_own_dynamics_may_be_warmed_up_in_steps():
    space = {"warmup_steps": 10, "clip_norm": 0}
    study, _ = resolve({"workload": "noisy-quadratic", "search": {"space": space}})
    assert study.search.space["warmup_steps"] == 10


@pytest.mark.parametrize("name", ["seed", "lr", "effective_lr", "examples", "trials", "val_loss"])
def test_a_workloads_hyperparameter_has_a_name_of_its_own(tmp_path, name):
    path = tmp_path / "named.py"
    path.write_text(
        PLUGIN.format(target="0.1", loss=LOSS, error=ERROR).replace(
            "batch):", f"batch, {name}=0.0):"
        )
        + f'    hyperparameters = {{"{name}": {{"default": 0.0, "low": 0.0}}}}\n'
    )
    with pytest.raises(StudyError, match=f"needs a unique name, got '{name}'"):
        resolve({"workload": f"{path}:Line"})


def test_batch_statistics_are_not_cut_into_micro_batches():
    study = {"workload": f"{BLOBS}:BatchNormBlobs", "compute": {"micro_batch": 8}}
    with pytest.raises(StudyError, match="batch statistics in 1, which needs the whole"):
        resolve(study)


def test_how_a_study_is_computed_leaves_its_digest_alone_but_for_mode_and_precision(plugin):
    study, _ = resolve({"workload": plugin()})
    assert set(study.identity()["compute"]) == {"mode", "precision"}
    assert set(study.identity()["search"]) == {"sampler", "space", "warm_start"}
    free = {"pack": 3, "micro_batch": 4, "checkpoint_minutes": 1, "cohort_minutes": 60}
    packed, _ = resolve({"workload": plugin(), "compute": free})
    assert packed.digest() == study.digest()
    rough, _ = resolve({"workload": plugin(), "compute": {"precision": "bf16", **free}})
    looped, _ = resolve({"workload": plugin(), "compute": {"mode": "looped"}})
    assert len({study.digest(), rough.digest(), looped.digest()}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": {}}, "must give b_crit, trial_steps or hours, got none"),
        ({"until": {"b_crit": 0.1}, "replicates": {"seeds": 1}}, "seeds of at least 2, got 1"),
        (
            {"until": {"hours": 1.0}, "mode": "recipe", "recipe": {"rule": "same", "base": 4}},
            'until must be left out for mode = "recipe"',
        ),
    ],
    ids=["empty", "no noise", "recipe"],
)
def test_until_needs_a_goal_and_seeds_that_show_the_noise(changes, message):
    data = {"workload": "noisy-quadratic", "optimizer": "sgd", "batch_sizes": [4, 16, 64]}
    with pytest.raises(StudyError, match=message):
        resolve(data | changes)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"search": {"sampler": "shared"}}, ReplicatesConfig(seeds=2, top=4, confirm=5)),
        (
            {"search": {"sampler": "shared"}, "replicates": {"slack": 3}},
            ReplicatesConfig(slack=3),
        ),
        ({}, ReplicatesConfig()),
    ],
)
def test_a_shared_search_that_leaves_replicates_out_compares_several_points(given, expected):
    file = {"workload": "noisy-quadratic", "optimizer": "sgd", "batch_sizes": [4, 16]}
    study, _ = resolve(file | given)
    assert study.replicates == expected
    assert study.replicates.measuring == 5
    again, _ = resolve(study.as_data())
    assert again.replicates == expected


def test_what_a_folder_was_granted_is_not_a_study_files_to_say():
    granted = [{"batch_size": 4, "trials": 99, "seeds": 9}]
    data = {"workload": "noisy-quadratic", "optimizer": "sgd", "batch_sizes": [4]}
    assert resolve(data | {"granted": granted})[0].granted is None


def test_a_sweep_that_chooses_begins_with_few_batch_sizes_and_records_all():
    data = {"workload": "noisy-quadratic", "optimizer": "sgd", "until": {"b_crit": 0.5}}
    study, _ = resolve(data | {"batch_sizes": "auto"})
    assert study.candidates == tuple(2**power for power in range(1, 17))
    assert study.batch_sizes == (8, 128, 1024, 16384)
    ends = {"from": 8, "to": 100, "auto": True}
    study, _ = resolve(data | {"batch_sizes": ends})
    assert study.candidates == (8, 16, 32, 64, 100)
    assert set(study.batch_sizes) < set(study.candidates)
    grown = study.with_grants([Grant(batch_size=8, trials=5, seeds=2)])
    assert 8 in grown.batch_sizes
    recorded = grown.as_data()
    assert resolve(recorded)[0] == grown.model_copy(update={"granted": None})
    with pytest.raises(StudyError, match='batch_sizes = "auto" needs until'):
        resolve(
            {key: value for key, value in data.items() if key != "until"} | {"batch_sizes": "auto"}
        )


def test_a_batch_of_one_that_cannot_train_is_refused_before_all_its_trials_fail():
    study = {"workload": f"{BLOBS}:BatchNormBlobs", "batch_sizes": [1, 4]}
    with pytest.raises(StudyError, match="got 1, for which: ValueError: Expected more"):
        resolve(study)
    assert resolve(study | {"batch_sizes": [2, 4]})[0].batch_sizes == (2, 4)
