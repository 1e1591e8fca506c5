"""Results folders from strangers are data: nothing in them runs, and what cannot be is refused."""

import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomlkit
from typer.main import get_command

from study.commands import app as cli

GOLDEN = Path(__file__).parents[3] / "golden" / "search"
VERBS = (["status"], ["analyze"], ["export", "--to", "archive"])
EVIL = """
from pathlib import Path
Path("{}").write_text("ran")
class Evil:
    pass
"""
MARKUP = r"[red]x[/] [/y] <script>alert(1)</script> ![a](b) $\frac$ $x$ | `c` & &lt; *d* \1"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Return a copy of a small sound results folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", get_command(cli.app))  # what it makes of itself at each call
    shutil.copytree(GOLDEN, "study")
    return Path("study")


@pytest.fixture
def change_config(accept):
    """Return what changes a key of a study file, with its digest."""

    def change(folder, keys, value):
        write_key(folder / "study.toml", keys, value)
        accept(folder)

    return change


@pytest.fixture
def change_table(accept):
    """Return what changes a table or a part, with its digest."""

    def change(file, how):
        table = pq.read_table(file)
        pq.write_table(how(table).replace_schema_metadata(table.schema.metadata), file)
        accept(file.parent)

    return change


def write_key(file, keys, value):
    config = tomlkit.parse(file.read_text())
    *tables, key = keys.split(".")
    table = config
    for name in tables:
        table = table[name]
    if value is None:
        del table[key]
    else:
        table[key] = value
    file.write_text(tomlkit.dumps(config))


def test_nothing_that_a_results_folder_names_is_imported(
    folder, passed, change_config, monkeypatch
):
    monkeypatch.setattr("analysis.figures.drawing.kind.write_all", lambda *_: [])
    Path("evil.py").write_text(EVIL.format(Path("ran").resolve()))
    for name in (str(Path("evil.py").resolve()) + ":Evil", "evil.py:Evil"):
        change_config(folder, "workload", name)
        before = set(sys.modules)
        shutil.rmtree(folder / "parts", ignore_errors=True)
        shutil.copytree(folder, "second", dirs_exist_ok=True)
        for verb, *options in (*VERBS, ["compare", "second"]):
            passed(verb, "study", *options)
            shutil.rmtree("archive", ignore_errors=True)
        assert not Path("ran").exists()
        new = set(sys.modules) - before
        assert not {name for name in new if "plugin" in name or name.startswith("evil")}


@pytest.mark.slow
def test_names_are_shown_literally_everywhere(folder, passed, change_config):
    shutil.rmtree(folder / "parts")
    change_config(folder, "workload", MARKUP)
    change_config(folder, "optimizer", MARKUP[::-1])
    second = Path("[bold]").absolute()
    shutil.copytree(folder, second)
    change_config(second, "optimizer", f"{MARKUP}2")
    out = passed("analyze", "[bold]")
    assert f"{MARKUP}, {MARKUP}2, validation error <" in out
    out = passed("compare", "study", "[bold]")
    assert "[bold]: [bold]" in Path("comparison/comparison.md").read_text().replace("\\", "")
    pages = [second / "summary.md", Path("comparison/comparison.md")]
    for page in (path.read_text() for path in pages):
        assert "<script" not in page
        assert "](b)" not in page
        assert "&lt;script>alert(1)" in page
    drawings = [*second.glob("figures/*.svg"), *Path("comparison").glob("*.svg")]
    assert len(drawings) > 5
    for drawing in drawings:
        names = {element.tag.rpartition("}")[2] for element in ElementTree.parse(drawing).iter()}
        assert "script" not in names
    assert "$x$" in (second / "figures" / "search.svg").read_text()


CONFIGS = {
    "workload": [1, "", "a\x1b[31mb", "a\nb", "x" * 5000, [], None],
    "optimizer": [1, "", "a\x1b[31mb", "a\u202eb", [], None],
    "race": [1, [], "x", None],
    "race.target": [0.0, -1.0, float("nan"), float("inf"), "x", True, [1]],
    "race.to": ["x", 1, [1]],
    "race.quantity": ["<b>", 1, [1]],
    "search": [1, [], None],
    "search.space": [1, [], None],
    "search.space.lr": ["x", [], {"low": 1.0}, {"low": 2.0, "high": 1.0, "scale": "log"}]
    + [{"low": 0.0, "high": 1.0, "scale": "log"}, {"low": 0.1, "high": 1.0, "scale": "<b>"}]
    + [float("nan"), {"low": "x", "high": [], "scale": "linear"}],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in CONFIGS.items() for value in values]
)
def test_a_hostile_study_file_is_refused(folder, command, change_config, key, value):
    change_config(folder, key, value)
    for verb, *options in (["analyze"], ["export", "--to", "archive"]):
        code, _, err = command(verb, "study", *options)
        assert (code, err[:7]) == (2, "error: "), err
        assert "digest" not in err
        assert "\x1b" not in err
        assert not Path("archive").exists()


def replaced(name, value, kind=None):
    def change(table):
        place = table.column_names.index(name)
        kind_here = table.schema.field(name).type if kind is None else kind
        values = table[name].to_pylist() if kind is None else [value] * len(table)
        statuses = table["status"].to_pylist() if "status" in table.column_names else ["reached"]
        values[statuses.index("reached")] = value
        column = pa.array(values, kind_here)
        return table.set_column(place, name, column)

    return change


def renamed(old, new):
    return lambda table: table.rename_columns([new if n == old else n for n in table.column_names])


def broken_text(table):
    place = table.column_names.index("message")
    offsets = pa.py_buffer(bytes(4) + (b"\x02\x00\x00\x00" * len(table)))
    buffers = [None, offsets, pa.py_buffer(b"\xff\xfe")]
    text = pa.Array.from_buffers(pa.string(), len(table), buffers)
    return table.set_column(place, "message", text)


NAN = float("nan")
TRIALS = {
    "batch size 0": replaced("batch_size", 0),
    "batch size -1": replaced("batch_size", -1),
    "batch size enormous": replaced("batch_size", 2**62),
    "batch size null": replaced("batch_size", None),
    "batch size text": replaced("batch_size", "x", pa.string()),
    "batch size of lists": replaced("batch_size", [1] * 1000, pa.list_(pa.int64())),
    "trial negative": replaced("trial", -1),
    "role unknown": replaced("role", "<script>"),
    "role null": replaced("role", None),
    "status unknown": replaced("status", "[red]"),
    "steps negative": replaced("steps", -5),
    "steps of another status": replaced("status", "capped"),
    "reached without steps": replaced("steps", None),
    "stopped negative": replaced("stopped_at", -1),
    "stopped before steps": replaced("stopped_at", 0),
    "error NaN": replaced("best_error", NAN),
    "lr NaN": replaced("lr", NAN),
    "lr infinite": replaced("lr", float("inf")),
    "lr text": replaced("lr", "<b>", pa.string()),
    "no column": lambda table: table.drop_columns(["status"]),
    "no batch size": lambda table: table.drop_columns(["batch_size"]),
    "markup as name": renamed("lr", "[red]lr[/]"),
    "html as name": renamed("lr", "<script>"),
    "formula as name": renamed("lr", "$x$"),
    "line as name": renamed("lr", "lr\nx"),
    "empty name": renamed("lr", ""),
    "one name twice": renamed("lr", "momentum"),
    "broken text": broken_text,
    "many columns": lambda table: pa.table(
        [*table.columns, *[table["lr"]] * 200],
        [*table.column_names, *(f"h{n}" for n in range(200))],
    ),
}
CURVES = {
    "step negative": replaced("step", -1),
    "step null": replaced("step", None),
    "error NaN": replaced("val_error", NAN),
    "error null": replaced("val_error", None),
    "loss infinite": replaced("val_loss", float("inf")),
    "no errors": lambda table: table.drop_columns(["val_error"]),
    "errors of text": replaced("val_error", "x", pa.string()),
    "role unknown": replaced("role", "x"),
}
BOXES = {
    "low NaN": replaced("low", NAN),
    "low above high": replaced("low", 1e9),
    "scale unknown": replaced("scale", "x"),
    "name": replaced("hyperparameter", "<b>"),
    "region": replaced("region", -1),
    "log of 0": replaced("low", 0.0),
}
TABLES = {"trials.parquet": TRIALS, "curves.parquet": CURVES, "boxes.parquet": BOXES}


@pytest.mark.parametrize(
    ("file", "change"),
    [(file, change) for file, changes in TABLES.items() for change in changes.values()],
    ids=[f"{file} {name}" for file, changes in TABLES.items() for name in changes],
)
def test_hostile_tables_are_refused(folder, command, change_table, file, change):
    shutil.rmtree(folder / "parts", ignore_errors=True)
    change_table(folder / file, change)
    for verb, *options in (["analyze"], ["export", "--to", "archive"]):
        code, out, err = command(verb, "study", *options)
        assert (code, out, err[:7]) == (2, "", "error: "), err
        assert file in err
        assert "digest" not in err
        assert not Path("archive").exists()


def test_a_table_of_absurd_size_is_refused_unread(folder, refused, monkeypatch):
    shutil.rmtree(folder / "parts", ignore_errors=True)
    monkeypatch.setattr("analysis.tables.validation.MAX_VALUES", 1000)
    assert "values, more than 1,000" in refused("analyze", "study")


LIST = pa.list_(pa.int64())
JUDGED_ANEW = {"error NaN", "stopped before steps", "many columns"}
"""What is taken from the curves, or not at all, whatever a part says."""
PARTS = {
    **{name: change for name, change in TRIALS.items() if name not in JUDGED_ANEW},
    "step negative": replaced("curve_step", [-1], LIST),
    "steps that fall": replaced("curve_step", [0, 5, 3], LIST),
    "steps null": replaced("curve_step", None, LIST),
    "steps of nulls": replaced("curve_step", [None], LIST),
    "steps of text": replaced("curve_step", ["x"], pa.list_(pa.string())),
    "errors NaN": replaced("curve_val_error", [NAN], pa.list_(pa.float64())),
    "no trial": lambda table: table.slice(0, 0),
}


@pytest.mark.parametrize("change", PARTS.values(), ids=PARTS)
def test_hostile_parts_are_refused(folder, command, change_table, change):
    part = min((folder / "parts").glob("*.parquet"))
    change_table(part, change)
    tables = {path: path.read_bytes() for path in folder.glob("*.parquet")}
    code, out, err = command("analyze", "study")
    assert (code, out, err[:7]) == (2, "", "error: "), err
    assert part.name in err
    assert "digest" not in err
    code, out, err = command("status", "study")  # which reads only what it counts
    assert (code, bool(err)) in {(0, False), (2, True)}
    assert bool(out) is not bool(err)
    assert {path: path.read_bytes() for path in folder.glob("*.parquet")} == tables
