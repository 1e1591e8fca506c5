"""Made runs whose steps to target are known, and a short way to import them."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.runs.columns import Units, parse_mapping
from analysis.runs.importing import Choices, import_runs
from analysis.runs.space import parse_space
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

SIZES = (8, 16, 32, 64)


def steps_needed(size):
    """Updates until the error of the best point is below 0.1, a multiple of 10."""
    return 10 * math.ceil((40 + 1600 / size) / 10)


def measurements(seeds=(0,)):
    """Rows of runs: at each batch size a good and a slow point, measured every 10 steps."""
    rows = []
    for size in SIZES:
        for lr, factor in ((0.1, 1), (0.01, 3)):
            for seed in seeds:
                crossing = factor * steps_needed(size) + 10 * seed
                for step in range(0, 301, 10):
                    error = 0.05 if step >= crossing else 0.9 - step / 1000
                    rows.append((f"r-{size}-{lr}-{seed}", size, lr, seed, step, error))
    names = ["run", "batch_size", "lr", "seed", "step", "val_error"]
    return pd.DataFrame(rows, columns=names)


@pytest.fixture
def imports(tmp_path):
    """Write a table (a frame or text), or take a source; import it and read the studies."""

    def run(source, name="made.csv", **options):
        path = tmp_path / name
        results = ResultsFolder.at(tmp_path / options.pop("results", "results"))
        if isinstance(source, pd.DataFrame):
            source.to_csv(path, index=False)
        elif source is not None:
            path.write_text(source)
        choices = Choices(
            mapping=parse_mapping([options.pop("columns")] if "columns" in options else []),
            units=Units(
                step=options.pop("step_unit", "updates"),
                tokens_per_example=options.pop("tokens", None),
            ),
            space=parse_space([options.pop("space")] if "space" in options else []),
            **options,
        )
        made = import_runs(str(path), results, choices)
        studies = {one.folder.name: read_study(one.folder) for one in made}
        first = next(iter(studies.values()))
        return SimpleNamespace(
            study=first,
            studies=studies,
            sentence=made[0].sentence,
            folder=made[0].folder,
            trials=first.trials,
            curves=first.curves,
        )

    return run
