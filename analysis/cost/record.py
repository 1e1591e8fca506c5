"""The cost of training as plain data, as tables of text, and as files."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.console import Console

from analysis.cost.devices import DeviceCost
from analysis.cost.estimates import (
    BYTES,
    ENERGY,
    TIME,
    amount,
    interval_text,
    price_text,
    record,
    text,
    unit_of,
)
from analysis.cost.rows import CostRow
from analysis.cost.sentences import cost_sentences
from analysis.cost.study_cost import StudyCost
from analysis.fitting.estimates import Estimate, rounded
from analysis.measures.federated import step_unit
from analysis.report.tables import TABLES
from analysis.report.write import print_table
from analysis.tables.files import json_bytes, write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import COST_SUMMARY_FILE, SCHEMA_VERSION
from analysis.tables.study import csv_bytes

_ROW = ("steps", "examples_per_second", "examples", "seconds", "device_hours", "money", "joules")
_CSV, _DEVICES_CSV = "cost.csv", "cost_devices.csv"
_DISPENSABLE = ("memory", "energy", "examples", "found", "examples/s")
"""Columns that a narrow terminal leaves out, in this order."""


def cost_record(cost: StudyCost) -> dict[str, Any]:
    """Return the cost as JSON data; null where unknown or unbounded."""
    analysis, costs = cost.analysis, cost.costs
    return {
        "schema_version": SCHEMA_VERSION,
        "study": analysis.study.name,
        "title": analysis.title,
        "target": analysis.target,
        "unit": step_unit(analysis.study.config),
        "measured": {
            name: getattr(costs, name)
            for name in ("device", "threads", "precision", "parameters", "source")
        },
        "terms": asdict(cost.terms),
        "intervals_hold": list(cost.held),
        "verdicts": _verdicts(cost),
        "rows": [_row_record(row) for row in cost.rows],
        "doublings": [
            {
                "batch_size": row.batch_size,
                "next": larger.batch_size,
                **{name: record(multiple) for name, multiple in row.multiples(larger).items()},
            }
            for row, larger in cost.doublings
        ],
        "devices": [_device_record(row) for row in cost.scaling],
        "sentences": list(cost_sentences(cost)),
    }


def _verdicts(cost: StudyCost) -> dict[str, Any]:
    rows = {
        "fastest": cost.fastest,
        "smallest_within_10_percent": cost.smallest_near,
        "throughput_stops_rising": cost.throughput_stops,
    }
    scaled = {
        "fastest_on_devices": cost.fastest_scaled,
        "cheapest_on_devices": cost.cheapest_scaled,
        "cheapest_within_10_percent_on_devices": cost.cheapest_near,
    }
    return {
        **{name: None if row is None else row.batch_size for name, row in rows.items()},
        "may_be_as_fast": [row.batch_size for row in cost.as_fast],
        **{
            name: None if at is None else {"devices": at.devices, "batch_size": at.batch_size}
            for name, at in scaled.items()
        },
    }


def _row_record(row: CostRow) -> dict[str, Any]:
    step = row.step
    return {
        "batch_size": row.batch_size,
        "steps_found": row.steps_found,
        "seconds_found": row.seconds_found,
        "step_seconds": None if step is None else record(step.seconds),
        **{name: record(getattr(row, name)) for name in _ROW},
        **{
            name: None if step is None else getattr(step, name)
            for name in ("evaluation_seconds", "memory", "micro_batch", "repeats")
        },
    }


def _device_record(row: DeviceCost) -> dict[str, Any]:
    return {
        "devices": row.devices,
        "batch_size": row.batch_size,
        "share": row.share,
        "all_reduce_seconds": row.all_reduce_seconds,
        "efficiency": row.efficiency,
        "factors": dict(row.factors),
        **{
            name: record(getattr(row, name))
            for name in ("step_seconds", "seconds", "device_hours", "money", "speedup")
        },
    }


def readable_costs(cost: StudyCost) -> pd.DataFrame:
    """Return the cost as text: one row per batch size, "-" where unknown."""
    rows = cost.rows
    of: dict[str, Callable[[CostRow], str]] = {
        "B": lambda row: str(row.batch_size),
        "steps": lambda row: _value(row.steps),
        "step": lambda row: _time(None if row.step is None else row.step.seconds.value),
        "examples/s": lambda row: _value(row.examples_per_second),
        "examples": lambda row: _value(row.examples),
        "time": lambda row: _time(None if row.seconds is None else row.seconds.value),
        "95% CI": lambda row: _ends(row.seconds),
        "found": lambda row: _time(row.seconds_found),
        "money": lambda row: "-" if row.money is None else price_text(row.money.value),
        "energy": lambda row: "-" if row.joules is None else text(row.joules, ENERGY),
        "memory": _memory,
    }
    return pd.DataFrame({name: [write(row) for row in rows] for name, write in of.items()}).drop(
        columns=[
            *([] if cost.on_curve else ["found"]),
            *(["money"] if cost.terms.price is None else []),
            *(["energy"] if all(row.joules is None for row in rows) else []),
            *(["memory"] if all(_memory(row) == "-" for row in rows) else []),
        ]
    )


def readable_devices(cost: StudyCost) -> pd.DataFrame:
    """Return the cost on several devices as text, one row per number of devices."""
    of: dict[str, Callable[[DeviceCost], str]] = {
        "devices": lambda row: str(row.devices),
        "B": lambda row: str(row.batch_size),
        "step": lambda row: amount(row.step_seconds.value, TIME),
        "all-reduce": lambda row: amount(row.all_reduce_seconds, TIME),
        "time": lambda row: amount(row.seconds.value, TIME),
        "95% CI": lambda row: _ends(row.seconds),
        "speed-up": lambda row: rounded(row.speedup.value),
        "device time": lambda row: _time(row.device_seconds.value),
        "money": lambda row: "-" if row.money is None else price_text(row.money.value),
    }
    shown = pd.DataFrame({name: [write(row) for row in cost.scaling] for name, write in of.items()})
    return shown.drop(columns=["money"] if cost.terms.price is None else [])


def _memory(row: CostRow) -> str:
    used = None if row.step is None else row.step.memory
    return "-" if used is None else amount(used, BYTES)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else amount(seconds, TIME)


def _value(estimate: Estimate | None) -> str:
    return "-" if estimate is None else rounded(estimate.value)


def _ends(seconds: Estimate | None) -> str:
    if seconds is None:
        return "-"
    return interval_text(seconds, unit_of(seconds.value, TIME)[0]) or "-"


def print_costs(cost: StudyCost, console: Console) -> None:
    """Print the tables and the sentences."""
    console.print(cost.analysis.title, markup=False, soft_wrap=True)
    print_table(readable_costs(cost), console, _DISPENSABLE)
    if cost.scaling:
        print_table(readable_devices(cost), console, _DISPENSABLE)
    for sentence in cost_sentences(cost):
        console.print(sentence, markup=False, soft_wrap=True)


def write_cost(cost: StudyCost, folder: ResultsFolder) -> list[ResultsFolder]:
    """Write `cost.json` and the tables as CSV; return their locations."""
    content = cost_record(cost)
    write_file(folder, COST_SUMMARY_FILE, json_bytes(content))
    tables, files = folder / TABLES, [folder / COST_SUMMARY_FILE]
    for name, key in ((_CSV, "rows"), (_DEVICES_CSV, "devices")):
        if not content[key]:
            tables.remove(name)
            continue
        tables.write(name, csv_bytes(pd.json_normalize(content[key], sep="_")))
        files.append(tables / name)
    return files
