"""Trackers and their exports: each gives the runs that were made."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from tensorboardX import SummaryWriter

from analysis.errors import AnalysisError
from tests.analysis.runs.conftest import measurements, steps_needed

MAPPING = "val_error=val/error"
WANTED = {(8, 0.1): steps_needed(8), (8, 0.01): None, (64, 0.1): steps_needed(64)}


def runs():
    """Each run's settings and measurements, of two batch sizes."""
    frame = measurements()
    found = frame[frame["batch_size"].isin([8, 64])]
    for name, group in found.groupby("run", sort=False):
        first = group.iloc[0]
        settings = {"batch_size": int(first["batch_size"]), "lr": float(first["lr"])}
        yield str(name), settings, list(zip(group["step"], group["val_error"], strict=True))


def check(made):
    found = {
        (row.batch_size, row.lr): None if row.status != "reached" else row.steps
        for row in made.trials.itertuples()
    }
    assert found.items() >= WANTED.items()
    assert len(made.curves) == 4 * 31


def test_tensorboard_event_files(imports, tmp_path):
    for name, settings, curve in runs():
        with SummaryWriter(str(tmp_path / "tb" / name)) as writer:
            for step, error in curve:
                writer.add_scalar("val/error", error, step)
                writer.add_scalar("val/other", 7.0, step)
            writer.add_hparams({**settings, "model": "mlp"}, {"last": 1.0})
    made = imports(None, "tb", columns=MAPPING, target=0.1)
    check(made)
    assert "columns left out: model" in made.sentence
    file = next(
        path for path in (tmp_path / "tb").rglob("*.tfevents.*") if b"val" in path.read_bytes()
    )
    sound = file.read_bytes()
    place = sound.index(b"val/error") + 12  # within the number
    for content in (b"oops" * 99, sound[:place] + b"\xff" + sound[place + 1 :]):
        file.write_bytes(content)
        with pytest.raises(AnalysisError, match="as TensorBoard writes it, got .*the checksum at"):
            imports(None, "tb", columns=MAPPING, target=0.1)


def test_mlflow_folder(imports, tmp_path):
    experiment = tmp_path / "mlruns" / "77"
    for name, settings, curve in runs():
        run = experiment / name
        (run / "params").mkdir(parents=True)
        (run / "metrics" / "val").mkdir(parents=True)
        (run / "meta.yaml").write_text(
            f"lifecycle_stage: active\nrun_id: '{name}'\nrun_name: fast-1\nstatus: 3\n"
        )
        for key, value in settings.items():
            (run / "params" / key).write_text(str(value))
        lines = (f"1790000000 {error} {step}\n" for step, error in curve)
        (run / "metrics" / "val" / "error").write_text("".join(lines))
    (experiment / "meta.yaml").write_text("experiment_id: '77'\nname: digits\n")
    made = imports(None, "mlruns", columns=MAPPING, target=0.1)
    check(made)
    assert made.folder.name == "digits"
    with pytest.raises(AnalysisError, match="'val/err' for val_error, got the columns .*val/error"):
        imports(None, "mlruns", columns="val_error=val/err", target=0.1)
    (run / "metrics" / "val" / "error").write_text("1 2\n")
    with pytest.raises(
        AnalysisError, match="lines of time, value and step, got others in .*error:"
    ):
        imports(None, "mlruns", columns=MAPPING, target=0.1)
    (run / "meta.yaml").write_text("")
    with pytest.raises(AnalysisError, match="a run must have keys in .*meta.yaml, got none"):
        imports(None, "mlruns", columns=MAPPING, target=0.1)


@pytest.mark.filterwarnings("ignore")  # of packages that mlflow imports
def test_stores_that_mlflow_wrote(imports, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="needs the package mlflow-skinny")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name, uri in (("mlruns", "file://"), ("mlflow.db", "sqlite:///")):
        client = MlflowClient(tracking_uri=f"{uri}{tmp_path / name}")
        experiment = client.create_experiment(f"of-{name}")
        for _, settings, curve in runs():
            run = client.create_run(experiment).info.run_id
            for key, value in settings.items():
                client.log_param(run, key, value)
            for step, error in curve:
                client.log_metric(run, "val/error", error, step=step)
            client.set_terminated(run)
        check(imports(None, name, columns=MAPPING, target=0.1))


def test_local_files_of_weights_and_biases_are_refused_with_a_way_out(imports, tmp_path):
    run = tmp_path / "wandb" / "offline-run-20260101_000000-abc"
    run.mkdir(parents=True)
    (run / "run-abc.wandb").write_bytes(b"")
    (tmp_path / "wandb" / "latest-run").symlink_to(run)
    with pytest.raises(AnalysisError, match="cannot be read, got .*run `wandb sync` and import"):
        imports(None, "wandb", target=0.1)


def test_a_file_that_is_no_database_is_refused(imports):
    with pytest.raises(AnalysisError, match="must be SQLite as MLflow writes it"):
        imports("not a database", "mlflow.db")


def test_a_chart_of_weights_and_biases_with_the_table_of_its_runs(imports, tmp_path):
    made = list(runs())
    (tmp_path / "settings.csv").write_text(
        "Name,State,batch_size,lr,val/error\n"
        + "".join(f"{n},finished,{s['batch_size']},{s['lr']},1\n" for n, s, _ in made)
    )
    names = [f'"{n} - val/error{end}"' for n, _, _ in made for end in ("", "__MIN", "__MAX")]
    lines = [",".join(["Step", *names])]
    for row in zip(*(curve for _, _, curve in made), strict=True):
        cells = [str(error) for _, error in row for _ in range(3)]
        lines.append(",".join([str(row[0][0]), *cells]))
    chart = {"columns": f"step=Step,{MAPPING}", "target": 0.1, "join": tmp_path / "settings.csv"}
    check(imports("\n".join(lines), "chart.csv", **chart))
    (tmp_path / "settings.csv").write_text("Name,batch_size\nx,8\n")
    with pytest.raises(AnalysisError, match=r"every run must be in .*settings\.csv, got 'r-8-0"):
        imports("\n".join(lines), "again.csv", **chart)


def test_the_api_of_weights_and_biases(imports, monkeypatch, tmp_path):
    class Run:
        def __init__(self, name, settings, curve):
            self.id, self.name, self.state, self.config = name, f"n-{name}", "finished", settings
            self.summary, self._curve = {"val/error": 1.0, "other": 2.0, "_step": 3}, curve

        def scan_history(self, keys):
            rows = ({"at": at, "val/error": error, "other": 1} for at, error in self._curve)
            return [{key: row[key] for key in keys} for row in rows]

    made = [Run(*run) for run in runs()]
    module = ModuleType("wandb")
    module.Api = lambda: SimpleNamespace(
        runs=lambda project: made if project == "me/mine" else 1 / 0
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.chdir(tmp_path)
    from analysis.runs.columns import parse_mapping
    from analysis.runs.importing import Choices, import_runs
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.study import read_study

    choices = Choices(mapping=parse_mapping([f"step=at,{MAPPING}"]), target=0.1)
    (one,) = import_runs("wandb:me/mine", ResultsFolder.at("results"), choices)
    study = read_study(one.folder)
    check(SimpleNamespace(trials=study.trials, curves=study.curves))
    with pytest.raises(AnalysisError, match="must be one that you can read, got wandb:me/other"):
        import_runs("wandb:me/other", ResultsFolder.at("results"), choices)
    with pytest.raises(AnalysisError, match="`_step` counts calls of `log`"):
        import_runs("wandb:me/mine", ResultsFolder.at("results"), Choices())
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(AnalysisError, match=r"pip install 'batchscale\[wandb\]'"):
        import_runs("wandb:me/mine", ResultsFolder.at("results"), choices)
