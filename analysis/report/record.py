"""The summary of an analysis as plain data, from which all its sentences are made."""

import functools
from typing import Any

from analysis.fitting.critical import DEFINITIONS
from analysis.measures.batch_plan import is_planned
from analysis.measures.budgets import best_errors, choose_budgets
from analysis.measures.federated import TOKENS, local_steps, step_unit
from analysis.measures.mean_target import mean_records
from analysis.measures.recipes import recipe_record
from analysis.measures.replicates import fitted_quantity
from analysis.report.failures import failure_records
from analysis.report.fits import critical_record, fits_record
from analysis.report.goals import goal_records
from analysis.report.sentences import findings, summary_sentences
from analysis.report.summary import Analysis
from analysis.tables.schema import SCHEMA_VERSION, TRIAL_KEY
from analysis.tables.study import json_rows


def summary_record(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as JSON data; null if unknown or unbounded."""
    facts = _facts(analysis)
    return {
        **facts,
        "definitions": dict(DEFINITIONS),
        "sentences": list(summary_sentences(facts)),
    }


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Return the findings, one sentence each, as in summary.md."""
    return summary_sentences(_facts(analysis))


def findings_of(analysis: Analysis) -> dict[str, tuple[str, ...]]:
    """Return the findings by topic, in the order of summary.md."""
    return findings(_facts(analysis))


@functools.lru_cache(maxsize=1)  # shared by file, page and terminal
def _facts(analysis: Analysis) -> dict[str, Any]:
    study, regimes = analysis.study, analysis.regimes
    config = study.config
    recorded = study.trials.drop_duplicates(list(TRIAL_KEY))
    mean = mean_records(study, analysis.target)
    # as lists: JSON does not accept numpy's integers
    endings = (recorded[name].tolist() for name in ("batch_size", "status", "message"))
    return {
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "workload": config["workload"],
        "optimizer": config["optimizer"],
        "quantity": analysis.quantity,
        "unit": step_unit(config),
        "target": analysis.target,
        "raced_target": config["race"].get("target"),
        "imported": study.imported,
        "unfinished": list(analysis.unfinished),
        "federated": config.get("federated"),
        **({TOKENS: config[TOKENS]} if TOKENS in config else {}),
        **({"mean_target": mean} if mean else {}),
        **({"begun_below": analysis.begun_below} if analysis.begun_below else {}),
        **{key: config[key] for key in ("candidates", "listed") if key in config},
        **({"batch_schedule": config["batch_schedule"]} if is_planned(config) else {}),
        "recipe": recipe_record(study),
        "replicates_planned": bool(config.get("replicates", {}).get("seeds", 0)),
        "table": json_rows(analysis.table),
        "first": analysis.first,
        "target_for_all": analysis.target_for_all,
        "failures": failure_records(zip(*endings, strict=True)),
        "search": json_rows(analysis.search),
        "fitted": fitted_quantity(study, analysis.table),
        **fits_record(analysis.fits, local_steps(config)),
        "left_out": list(analysis.left_out),
        **({"unexplained": list(analysis.unexplained)} if analysis.unexplained else {}),
        "critical_batch_sizes": critical_record(analysis.critical),
        "tuning": None if analysis.tuning is None else analysis.tuning.record(),
        "scaling_rules": json_rows(analysis.rules),
        "regimes": None if regimes is None else regimes.record(),
        "goals": goal_records(analysis.goals),
        "budgets": json_rows(best_errors(study, choose_budgets(study))),
    }
