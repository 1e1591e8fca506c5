import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import workloads
from tests.entry_points import Point
from workloads import entry_points, registry
from workloads.builtin.table import BUILTIN
from workloads.errors import WorkloadError
from workloads.registry import names, resolve

ROOT = str(Path(workloads.__file__).parents[1])
GOOD = """
class Mine:
    target = 0.1

    def __init__(self, width=3):
        if width < 0:
            raise ValueError("no negative width")
        self.width = width

    def data(self): ...
    def model(self): ...
    def loss(self, model, batch): ...
    def error(self, model, data): ...
"""


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a plug-in file and returns its path."""

    def write(code=GOOD, name="mine.py"):
        (tmp_path / name).write_text(code)
        return tmp_path / name

    return write


@pytest.fixture
def installed(monkeypatch):
    """Return a function that pretends that some entry points are installed."""
    return lambda *points: monkeypatch.setattr(entry_points, "installed", lambda group: points)


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_name_builds(name):
    assert resolve(name).target.value > 0


def test_a_class_in_a_file_builds_with_its_options(written):
    assert resolve(f"{written()}:Mine", {"width": 7}).width == 7


def test_a_file_is_imported_once_and_its_objects_pickle(written):
    path = written()
    first, second = resolve(f"{path}:Mine"), resolve(f"{path}:Mine")
    assert type(first) is type(second)
    assert pickle.loads(pickle.dumps(first)).width == 3


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("digits-mpl", "did you mean 'digits-mlp'"),
        ("something-else", "must be one of digits-mlp.*path/to/file.py:Class"),
        ("nowhere.py:Mine", "must exist"),
        ("nowhere.py", "must be given as path/to/file.py:Class, got 'nowhere.py'"),
        ("nowhere.py:", "must be given as path/to/file.py:Class, got 'nowhere.py:'"),
    ],
)
def test_an_unknown_reference_is_refused_with_a_hint(reference, message):
    with pytest.raises(WorkloadError, match=message):
        resolve(reference)


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("class Mine(:", {}, "must import, got SyntaxError"),
        ("import no_such_thing", {}, "must import, got ModuleNotFoundError.*no_such_thing"),
        (GOOD.replace("Mine", "Mina"), {}, "did you mean 'Mina'"),
        ("raise SystemExit(3)", {}, "must import, got SystemExit: 3"),
        (GOOD.replace("Mine", "Nothing"), {}, "add class 'Mine' to the file"),
        ("Mine = 3", {}, "must be a class in its file"),
        (GOOD.replace("def loss", "def lost"), {}, "lacks loss"),
        (GOOD.replace("def loss", "def a").replace("def data", "def b"), {}, "lacks data, loss"),
        (
            "class Mine:\n    def lanes(self, setup): ...",
            {},
            "must have target, lanes.*lacks target",
        ),
        (GOOD.replace("width=3", "width"), {}, "must give width, got none"),
        (GOOD, {"widht": 3}, "got 'widht'; did you mean 'width'"),
        (GOOD, {"width": -1}, "ValueError: no negative width"),
        (
            f"{GOOD}\n    whole = 'yes'",
            {},
            "`whole` of a workload must be True or False, got 'yes'",
        ),
        (f"{GOOD}\n    data = ['x' * 10**6]", {}, r"data of .*Mine is \['x{98}$"),
    ],
)
def test_an_unusable_plug_in_is_refused_with_the_reason(written, code, options, message):
    with pytest.raises(WorkloadError, match=message):
        resolve(f"{written(code)}:Mine", options)


def test_a_broken_file_can_be_fixed_and_imported_again(written):
    with pytest.raises(WorkloadError, match="SyntaxError"):
        resolve(f"{written('class Mine(:')}:Mine")
    assert resolve(f"{written()}:Mine").width == 3


def test_an_entry_point_is_listed_and_found(installed, written):
    kind = type(resolve(f"{written()}:Mine"))
    installed(Point("mine", kind))
    assert resolve("mine", {"width": 4}).width == 4
    assert [(e.name, e.source) for e in names()][-1] == ("mine", "other-package")


def test_an_entry_point_that_does_not_import_is_named(installed):
    installed(Point("mine", ImportError("no luck")))
    with pytest.raises(WorkloadError, match="plug-in behind workload 'mine'.*no luck.*other-pack"):
        resolve("mine")


@pytest.mark.parametrize(
    "points",
    [
        (Point("digits-mlp", object),),
        (Point("mine", object, "one"), Point("mine", object, "two")),
    ],
)
def test_shadowing_a_name_is_an_error(installed, points):
    installed(*points)
    with pytest.raises(WorkloadError, match="must come from one package"):
        names()


def test_a_plug_ins_folder_stays_off_the_import_path(written):
    before = list(sys.path)
    workload = resolve(f"{written()}:Mine")
    assert sys.path == before
    assert type(workload).__module__ != "mine"


def test_two_files_of_one_name_are_two_modules(written, tmp_path):
    (tmp_path / "other").mkdir()
    first = resolve(f"{written()}:Mine")
    second = resolve(f"{written(name='other/mine.py')}:Mine")
    assert type(first) is not type(second)


def test_the_same_file_is_the_same_module_by_any_path(written, tmp_path, monkeypatch):
    first = resolve(f"{written()}:Mine")
    monkeypatch.chdir(tmp_path)
    assert type(resolve("mine.py:Mine")) is type(first)


def test_listing_imports_no_torch():
    code = (
        "import sys; from workloads.registry import names; names(); "
        "assert not {'torch', 'numpy', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": ROOT})


def test_the_contract_is_imported_with_the_package_on_first_use():
    assert workloads.Target is workloads.workload.Target
    with pytest.raises(AttributeError, match="'workloads' has no attribute 'Traget'"):
        workloads.Traget  # noqa: B018


def test_a_plug_in_imports_the_files_beside_it(written, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "deep.py").write_text("import numbers_of\nWIDTH = numbers_of.TEN + 1\n")
    (tmp_path / "numbers_of.py").write_text("from parts import deep as again\nTEN = 10\n")
    (tmp_path / "random.py").write_text("raise SystemExit('not that of Python')")
    (tmp_path / "workloads.py").write_text("raise SystemExit('not ours')")
    code = GOOD.replace("self.width = width", "from parts.deep import WIDTH; self.width = WIDTH")
    path = written(f"import random\nfrom workloads import Target\nimport parts.deep as d\n{code}")
    made = resolve(f"{path}:Mine")
    assert made.width == 11
    assert sys.modules[type(made).__module__].d.WIDTH == 11
    assert not {"parts", "numbers_of"} & sys.modules.keys()
    assert str(tmp_path) not in sys.path


def test_files_of_one_name_in_two_folders_are_separate(tmp_path):
    found = []
    for value in (1, 2):
        folder = tmp_path / str(value)
        folder.mkdir()
        (folder / "helper.py").write_text(f"class Kept: value = {value}")
        (folder / "mine.py").write_text(
            f"import helper\n{GOOD}\n    def kept(self):\n        import helper as now\n"
            "        return now.Kept(), helper.Kept()\n"
        )
        found += resolve(f"{folder / 'mine.py'}:Mine").kept()
    assert [kept.value for kept in found] == [1, 1, 2, 2]
    assert [kept.value for kept in pickle.loads(pickle.dumps(found))] == [1, 1, 2, 2]


def test_a_file_may_have_the_name_of_a_package_that_it_imports(written):
    path = written(f"import pytest\n{GOOD}\n    raised = pytest.ExitCode\n", "pytest.py")
    assert resolve(f"{path}:Mine").raised is pytest.ExitCode


def test_a_refused_file_imports_nothing_beside_it(written, tmp_path):
    (tmp_path / "beside.py").write_text("raise SystemExit('ran')")
    with registry.files_refused(), pytest.raises(WorkloadError, match="does not run unasked"):
        resolve(f"{written('import beside')}:Mine")
    with pytest.raises(WorkloadError, match="must import, got SystemExit: ran"):
        resolve(f"{written('import beside')}:Mine")
