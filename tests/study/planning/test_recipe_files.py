"""Study files with a recipe: what they resolve to, and what is refused."""

from pathlib import Path

import pytest

from study.config.study import ResolvedStudy
from study.errors import StudyError
from study.planning.resolve import resolve

BLOBS = f"{Path(__file__).parents[2] / 'blobs.py'}:Blobs"
LINEAR = {"rule": "linear", "base": 16}
REFUSED = [
    ({"recipe": None}, 'mode = "recipe" and a table .recipe. must come together, got no .recipe.'),
    ({"mode": "search"}, "must come together, got .recipe. and mode = 'search'"),
    ({"mode": "rule"}, "mode must be 'search' or 'recipe', got 'rule'"),
    ({"recipe": {"base": 16}}, "recipe.rule is required"),
    ({"recipe": {"rule": "linaer", "base": 16}}, "recipe.rule must be one of .* mean 'linear'"),
    ({"recipe": {"rule": "linear"}}, "recipe.base must be given for the rule 'linear', got none"),
    ({"recipe": LINEAR | {"base": 17}}, "recipe.base must be one of batch_sizes, 4, 16, got 17"),
    ({"recipe": LINEAR | {"warmup": 5}}, "recipe.warmup is not a key .* mean 'warmup_epochs'"),
    ({"recipe": LINEAR | {"warmup_epochs": -1}}, "warmup_epochs must be greater than or equal"),
    (
        {"recipe": {"rule": "same", "base": 16, "warmup_epochs": 5}},
        "warmup_epochs must be left out for the rule 'same', got 5: it has no learning rate to",
    ),
    ({"search": {"space": {"lr": 0.1}}}, "search.space.lr must be a range for .* got 0.1"),
    ({"search": {"warm_start": True}}, "search.warm_start must be left out in a recipe"),
    (
        {"recipe": LINEAR | {"warmup_epochs": 5}, "search": {"space": {"warmup_steps": 9}}},
        "search.space.warmup_steps must be left out beside recipe.warmup_epochs, got 9",
    ),
    (
        {"recipe": LINEAR | {"warmup_epochs": 5}, "workload": "noisy-quadratic"},
        "recipe.warmup_epochs must be left out for a workload with endless data, got 5",
    ),
    ({"recipe": {"rule": "lamb"}}, "optimizer must be 'lamb' for the rule 'lamb', got 'nesterov'"),
    (
        {"recipe": {"rule": "lamb", "base": 16}, "optimizer": "lamb"},
        "recipe.base must be left out for the rule 'lamb', got 16: it starts from .* 32,768",
    ),
    (
        {"recipe": {"rule": "lamb", "warmup_epochs": 1}, "optimizer": "lamb"},
        "warmup_epochs must be left out for the rule 'lamb', got 1: it brings its own",
    ),
    (
        {
            "recipe": {"rule": "lamb"}, "optimizer": "lamb",
            "search": {"space": {"weight_decay": {"low": 0.0, "high": 1.0}}},
        },
        "search.space.weight_decay must be a number for the rule 'lamb', got a range",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_a_recipe_that_cannot_be_followed_is_refused(change, message):
    whole = {"workload": BLOBS, "batch_sizes": [4, 16], "mode": "recipe", "recipe": LINEAR}
    data = {name: value for name, value in (whole | change).items() if value is not None}
    with pytest.raises(StudyError, match=message):
        resolve(data)


def test_a_recipe_is_resolved_with_its_warm_up_among_the_columns():
    data = {"workload": BLOBS, "batch_sizes": [4, 16], "mode": "recipe"}
    study, _ = resolve(data | {"recipe": LINEAR | {"warmup_epochs": 5}})
    assert study.hyperparameters == ("lr", "momentum", "warmup_epochs", "warmup_factor")
    assert (study.searched, study.trials_at(16), study.trials_at(4)) == ((16,), 64, 5)
    assert ResolvedStudy.model_validate(study.as_data()) == study
    plain, _ = resolve(data | {"recipe": LINEAR})
    assert plain.hyperparameters == ("lr", "momentum")
