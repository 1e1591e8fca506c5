"""Recipes: scaling rules that carry a point from one batch size to the others, untuned.

A scaling rule starts from a point tuned at the study's base batch size, or from a published one,
and nothing is searched elsewhere. Above the base, the learning rate may be warmed up from the
base's to the scaled one (Goyal et al. 2017, arXiv:1706.02677, section 2.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.tables.schema import EXPONENTS
from batchscale.errors import not_among
from study.config.coordinates import replaced
from study.config.sections import RecipeConfig
from study.config.space import Range, Space
from study.config.study import ResolvedStudy, StudyConfig
from study.errors import StudyError
from study.optimizers.schedules import WARM_UP
from study.records import Point, Role, ScalingRule, Source, TrialResult
from study.seeding import seeded_point

SCALED = "lr"


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A published point, which needs no search."""

    optimizer: str
    batch_size: int
    values: Mapping[str, float]  # its hyperparameters; others have the optimizer's defaults


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """How hyperparameters follow from a point at another batch size."""

    # the power of the batch size to which each hyperparameter is proportional; others stay
    powers: Mapping[str, float]
    # hyperparameters of which 1 - value is proportional to the batch size
    complements: tuple[str, ...] = ()
    # the published point that is scaled; None for one that the study tunes
    start: Published | None = None

    def scaled(self, values: Mapping[str, float], growth: float) -> dict[str, float]:
        """Return the point at a batch size that is `growth` times as large."""
        return {
            name: 1 - growth * (1 - value)
            if name in self.complements
            else value * growth ** self.powers.get(name, 0.0)
            for name, value in values.items()
        }


SCALINGS: Mapping[ScalingRule, Scaling] = {
    ScalingRule.LINEAR: Scaling(powers={SCALED: EXPONENTS["linear"]}),
    ScalingRule.SQUARE_ROOT: Scaling(powers={SCALED: EXPONENTS["square-root"]}),
    ScalingRule.SAME: Scaling(powers={}),
    # Malladi et al. 2022 (arXiv:2205.10287): keeps Adam's stochastic differential equation
    ScalingRule.SDE: Scaling(
        powers={SCALED: EXPONENTS["square-root"], "eps": -0.5}, complements=("beta1", "beta2")
    ),
    # You et al. 2020 (arXiv:1904.00962), the untuned runs of BERT: the share of steps that are
    # warm-up is 1/320 at 512 and 1/5 at 32,768
    ScalingRule.LAMB: Scaling(
        powers={SCALED: 0.5, "warmup_fraction": 1.0},
        start=Published(
            optimizer="lamb",
            batch_size=32_768,
            values={SCALED: 5e-3, "beta1": 0.9, "warmup_fraction": 0.2},
        ),
    ),
}


def recipe_points(
    resolved: ResolvedStudy, batch_size: int, base: TrialResult | None
) -> list[Point]:
    """Return the scaled point at a batch size other than the base, once for each fresh seed.

    Seeds follow from the study's seed, the batch size and a count, so that recipes are compared on
    the same initializations and data orders. `base` is the trial to scale; None for a published
    point.
    """
    assert resolved.recipe is not None
    rule, start = ScalingRule(resolved.recipe.rule), resolved.search.space
    if base is not None:
        start = dict(base.point.values)
        source = Source(base.batch_size, base.point.role, base.point.trial, rule)
    else:
        published = SCALINGS[rule].start
        assert published is not None  # refused when the study was resolved
        source = Source(published.batch_size, None, None, rule)
    fixed = {name: value for name, value in start.items() if not isinstance(value, Range)}
    values = SCALINGS[rule].scaled(fixed, batch_size / source.batch_size)
    if resolved.recipe.warmup_epochs:
        values["warmup_factor"] = min(1.0, fixed[SCALED] / values[SCALED])
    if "warmup_fraction" in values:
        values["warmup_fraction"] = min(1.0, values["warmup_fraction"])
    values = resolved.complete(values, batch_size)
    return [
        seeded_point(resolved.seed, batch_size, number, Role.RECIPE, values, source)
        for number in range(resolved.trials_at(batch_size))
    ]


def recipe_defaults(config: StudyConfig, *, endless: bool) -> dict[str, Any]:
    """Return what a recipe adds to the search space, in the form of a study file.

    This is the published point of its scaling rule, or the warm-up: its length, and a factor of 1,
    which has no effect at the base.

    Raises:
        StudyError: mode and recipe do not match, or the recipe is invalid.
    """
    recipe = config.recipe
    if (config.mode == "recipe") != (recipe is not None):
        got = "no [recipe]" if recipe is None else f"[recipe] and mode = {config.mode!r}"
        raise StudyError(
            f'mode = "recipe" and a table [recipe] must come together, got {got}; add the '
            "missing one, or remove the other"
        )
    if recipe is None:
        return {}
    if recipe.rule not in SCALINGS:
        raise StudyError(not_among("recipe.rule", recipe.rule, map(str, SCALINGS)))
    rule = SCALINGS[ScalingRule(recipe.rule)]
    _refuse_unfit(config, recipe, rule)
    entries = {} if rule.start is None else dict(rule.start.values)
    if recipe.warmup_epochs and endless:
        raise StudyError(
            "recipe.warmup_epochs must be left out for a workload with endless data, got "
            f"{recipe.warmup_epochs:g}"
        )
    return {"search": {"space": entries | _warm_up(recipe)}}


def _warm_up(recipe: RecipeConfig) -> dict[str, float]:
    if not recipe.warmup_epochs:
        return {}
    return {"warmup_epochs": recipe.warmup_epochs, "warmup_factor": 1.0}


def _refuse_unfit(config: StudyConfig, recipe: RecipeConfig, rule: Scaling) -> None:
    """Refuse keys that a scaling rule does not use, or the lack of one that it needs."""
    if rule.start is None and recipe.base is None:
        raise StudyError(
            f"recipe.base must be given for the rule {recipe.rule!r}, got none; name the batch "
            "size to tune at"
        )
    if rule.start is not None and recipe.base is not None:
        raise StudyError(
            f"recipe.base must be left out for the rule {recipe.rule!r}, got {recipe.base}: it "
            f"starts from a published point at {rule.start.batch_size:,}"
        )
    if rule.start is not None and config.optimizer != rule.start.optimizer:
        raise StudyError(
            f"optimizer must be {rule.start.optimizer!r} for the rule {recipe.rule!r}, got "
            f"{config.optimizer!r}; choose that, or another rule"
        )
    if recipe.warmup_epochs and (rule.start is not None or not rule.powers):
        why = "has no learning rate to warm up to" if rule.start is None else "brings its own"
        raise StudyError(
            f"recipe.warmup_epochs must be left out for the rule {recipe.rule!r}, got "
            f"{recipe.warmup_epochs:g}: it {why}"
        )
    own, space = _warm_up(recipe), config.search.space
    # a recorded study has the recipe's own entries
    named = [name for name in WARM_UP if name in space and space[name] != own.get(name)]
    if own and named:
        raise StudyError(
            f"search.space.{named[0]} must be left out beside recipe.warmup_epochs, got "
            f"{space[named[0]]!r}; remove one"
        )
    if config.search.warm_start:
        raise StudyError(
            "search.warm_start must be left out in a recipe, got true: no other batch size is "
            "tuned, so there is none to start from"
        )


def refuse_recipe(config: StudyConfig, space: Space, batch_sizes: Sequence[int]) -> None:
    """Refuse a recipe whose scaling rule cannot be applied.

    Raises:
        StudyError: the base is not a batch size of the study, or the study does not tune what the
            rule scales.
    """
    recipe = config.recipe
    if recipe is None:
        return
    if recipe.base is not None and recipe.base not in batch_sizes:
        raise StudyError(
            f"recipe.base must be one of batch_sizes, {', '.join(map(str, batch_sizes))}, got "
            f"{recipe.base}"
        )
    rule = SCALINGS[ScalingRule(recipe.rule)]
    if rule.start is None and rule.powers and not isinstance(space.get(SCALED), Range):
        raise StudyError(
            f"search.space.{SCALED} must be a range for the rule {recipe.rule!r}, got "
            f"{space.get(SCALED)!r}: it is tuned at the base and scaled from there; give a range"
        )
    if rule.complements:
        _refuse_beyond_sde(recipe, rule, space, batch_sizes)
    for name, entry in space.items() if rule.start is not None else ():
        if isinstance(entry, Range):
            raise StudyError(
                f"search.space.{name} must be a number for the rule {recipe.rule!r}, got a range: "
                "nothing is searched; give its value"
            )


def _refuse_beyond_sde(
    recipe: RecipeConfig, rule: Scaling, space: Space, batch_sizes: Sequence[int]
) -> None:
    """Refuse the SDE rule if the optimizer lacks beta1 or beta2, or they would leave [0, 1)."""
    assert recipe.base is not None  # refused before
    growth, named = max(batch_sizes) / recipe.base, {*space, *replaced(space)}
    for name in rule.complements:
        if name not in named:
            raise StudyError(
                f"optimizer must have {' and '.join(rule.complements)} for the rule "
                f"{recipe.rule!r}, got one without {name}; choose adam or adamw, or another rule"
            )
        entry = space.get(name)  # a coordinate in its place stays the same at any batch size
        least = entry.low if isinstance(entry, Range) else entry
        if least is not None and least < 1 - 1 / growth:
            raise StudyError(
                f"search.space.{name} must be at least {1 - 1 / growth:g} for the rule "
                f"{recipe.rule!r} up to a batch size of {max(batch_sizes):,}, where 1 - {name} is "
                f"{growth:g} times as large, got {least:g}; raise it, leave out large batch sizes, "
                f"or give {name}_half_life instead"
            )
