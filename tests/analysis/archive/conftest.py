"""Small made archives in the published layout."""

import json
import tarfile

import pytest

CNN = "mnist/cnn/momentum"
RESNET = "imagenet_subsets/half/resnet_50/sgd"

_CONFIGS = {
    "learning_rate": {"type": "DOUBLE", "min_value": 1e-4, "max_value": 10.0, "scale": "LOG_SCALE"},
    "momentum": {
        "type": "DOUBLE",
        "min_value": 0.9,
        "max_value": 0.999,
        "scale": "REVERSE_LOG_SCALE",
    },
    "learning_rate_decay_steps": {"type": "INTEGER", "min_value": 50, "max_value": 90, "scale": ""},
    "label_smoothing": {"type": "DISCRETE", "feasible_points": [0.0, 0.01, 0.1]},
}
_POINT = {
    "learning_rate": 0.1,
    "momentum": 0.99,
    "learning_rate_decay_steps": 70,
    "label_smoothing": 0.01,
}


def csv(columns, rows):
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"


def trial(number, status, rows, *, steps, columns=None, **parameters):
    """A trial: rows of step, train and validation loss, validation error; `columns` names them."""
    columns = columns or (
        "step",
        "train/cross_entropy_error",
        "val/cross_entropy_error",
        "val/classification_error",
        "test/classification_error",
    )
    metadata = {
        "parameters": {**_POINT, **parameters},
        "status": status,
        "steps": steps,
        "trial_id": number,
    }
    return {"metadata.json": metadata, "measurements.csv": csv(columns, rows)}


def study(path, size, trials, configs=None):
    *_, dataset, model, optimizer = path.split("/")
    description = {
        "batch_size": size,
        "dataset": dataset,
        "early_stopping": False,
        "model": model,
        "optimizer": optimizer,
        "parameter_configs": _CONFIGS if configs is None else configs,
        "train_steps": 100,
    }
    files = {f"{path}/{size}/study.json": description}
    for one in trials:
        for name, content in one.items():
            files[f"{path}/{size}/{one['metadata.json']['trial_id']}/{name}"] = content
    return files


def rows(*errors, step=(0, 10, 30, 35, 100)):
    return [(s, 2 * e, 3 * e, e, e + 0.01) for s, e in zip(step, errors, strict=False)]


def made_files():
    """Two workloads, one in a group; by hand, CNN takes 30 steps (trial 3) and 10 (trial 12)."""
    cnn = {
        **study(
            CNN,
            8,
            [
                trial(2, "COMPLETE", rows(0.9, 0.5, 0.2, 0.1, 0.05), steps=100),
                trial(3, "COMPLETE", rows(0.9, 0.5, 0.19, 0.3, 0.04), steps=100, momentum=0.95),
                trial(4, "COMPLETE", rows(0.9, 0.5, 0.19, 0.3, 0.04), steps=101),
                trial(7, "INCOMPLETE", rows(0.9, 0.1), steps=12),
                trial(11, "INFEASIBLE", rows(0.9, 0.15, float("nan"), float("inf")), steps=40),
            ],
        ),
        **study(
            CNN,
            64,
            [
                trial(9, "INFEASIBLE", [], steps=0),
                trial(10, "COMPLETE", rows(0.4, 0.3, 0.1, step=(5, 20, 40)), steps=100),
                trial(12, "COMPLETE", rows(0.9, 0.1, 0.3), steps=100),
            ],
            {**_CONFIGS, "momentum": {**_CONFIGS["momentum"], "min_value": 0.5}},
        ),
        **study(CNN, 256, [trial(0, "COMPLETE", rows(0.9, 0.8), steps=100)]),
    }
    columns = ("step", "val/cross_entropy_error", "val/average_precision")
    resnet = study(
        RESNET,
        16,
        [
            trial(0, "COMPLETE", [(0, 9.0, 0.0), (50, 5.0, 0.3)], steps=100, columns=columns),
            trial(1, "COMPLETE", [(0, 9.0, 0.0), (70, 5.5, 0.35)], steps=100, columns=columns),
        ],
        {**_CONFIGS, "label_smoothing": {"type": "DISCRETE", "feasible_points": [0.01]}},
    )
    return {**cnn, **resnet}


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def write_searches():
    """Return a writer of an archive of one workload: status and curve of each trial by size."""

    def write_them(root, searches):
        files = {}
        for size, found in searches.items():
            trials = [
                trial(n, status, rows(*[e for _, e in c], step=[s for s, _ in c]), steps=40)
                for n, (status, c) in enumerate(found)
            ]
            files |= study("data/model/sgd", size, trials)
        return write(root, files)

    return write_them


@pytest.fixture
def archive(tmp_path):
    """Return the made archive as a folder."""
    return write(tmp_path / "made", made_files())


@pytest.fixture
def tar_of(tmp_path):
    """Return a packer of a folder, under the top folder of the published file."""

    def pack(folder, name="made.tar.bz2", mode="w:bz2"):
        with tarfile.open(tmp_path / name, mode) as tar:
            tar.add(folder, "batch_science")
        return tmp_path / name

    return pack
