import pytest

from study.config.space import Range
from study.errors import StudyError
from study.optimizers.hyperparameters import of_optimizer, of_schedule, of_workload


class Smoothing:
    hyperparameters = {
        "smoothing": {"default": 0.1, "low": 0.0, "high": 1.0},
        "penalty": {"default": {"low": 1e-4, "high": 1.0, "scale": "log"}, "low": 0.0},
    }

    def loss(self, model, batch, smoothing=0.1, penalty=0.0): ...


def test_hyperparameters_with_a_range_are_required_and_fixed_ones_optional():
    group = of_workload(Smoothing())
    assert list(group.known) == ["penalty", "smoothing"]
    assert list(group.required) == ["penalty"]
    assert group.required["penalty"].default == Range(low=1e-4, high=1.0, scale="log")
    assert group.optional["smoothing"].domain() == "[0, 1)"


def test_a_workload_without_hyperparameters_has_none():
    assert of_workload(object()).known == {}


@pytest.mark.parametrize(
    ("space", "used"),
    [
        ({"lr": 0.1}, ["lr"]),
        ({"lr": 0.1, "weight_decay": 0.0, "clip_norm": 1.0}, ["lr", "clip_norm"]),
        ({"lr": 0.1, "weight_decay": Range(low=0.0, high=0.1)}, ["lr", "weight_decay"]),
    ],
)
def test_an_optional_hyperparameter_at_its_default_is_left_out_of_the_computation(space, used):
    assert list(of_optimizer("sgd").used(space)) == used


def test_required_hyperparameters_are_used_even_at_their_defaults():
    space = dict.fromkeys(of_optimizer("adamw").required, 0.01)
    assert "weight_decay" in of_optimizer("adamw").used(space)


def test_every_schedule_can_have_a_warm_up():
    assert set(of_schedule("constant").optional) == {
        "warmup_steps",
        "warmup_epochs",
        "warmup_fraction",
        "warmup_factor",
    }


def declaring(**entries):
    return type("Declaring", (Smoothing,), {"hyperparameters": entries})()


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (
            declaring(smoothing={"low": 0.0}),
            "must give default and low.*'smoothing', where default",
        ),
        (declaring(smoothing={"default": 0, "low": 0, "up": 1}), "where up: Unexpected"),
        (declaring(smoothing=0.1), "got 0.1 for 'smoothing', where it"),
        (
            declaring(other={"default": 0, "low": 0}),
            "loss must take 'other'.*got model, batch, smo",
        ),
        (
            declaring(batch={"default": 0, "low": 0}),
            "must take 'batch'.*as a keyword with a default",
        ),
        (
            declaring(smoothing={"default": 0, "low": 0}),
            "must equal its default in.* got 0 and 0.1",
        ),
    ],
)
def test_a_malformed_declaration_is_refused(workload, message):
    with pytest.raises(StudyError, match=message):
        of_workload(workload)
