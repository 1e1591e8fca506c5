import pickle

import pytest

from workloads import registry
from workloads.builtin import BUILTIN
from workloads.errors import WorkloadError
from workloads.registry import names, resolve

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
    """Writes a plug-in file and gives its path."""

    def write(code=GOOD, name="mine.py"):
        (tmp_path / name).write_text(code)
        return tmp_path / name

    return write


class Point:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name, loaded, package="other-package"):
        self.name, self.value = name, "other:Thing"
        self.dist = type("Distribution", (), {"name": package})()
        self._loaded = loaded

    def load(self):
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def installed(monkeypatch):
    """Pretends that these entry points are installed."""
    return lambda *points: monkeypatch.setattr(registry, "entry_points", lambda group: points)


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
    ],
)
def test_what_is_not_there_is_said(reference, message):
    with pytest.raises(WorkloadError, match=message):
        resolve(reference)


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("class Mine(:", {}, "must import, got SyntaxError"),
        ("import no_such_thing", {}, "must import, got ModuleNotFoundError.*no_such_thing"),
        (GOOD.replace("Mine", "Mina"), {}, "did you mean 'Mina'"),
        (GOOD.replace("def loss", "def lost"), {}, "lacks loss"),
        (GOOD, {"widht": 3}, "got 'widht'; did you mean 'width'"),
        (GOOD, {"width": -1}, "ValueError: no negative width"),
    ],
)
def test_a_plug_in_that_cannot_be_used_says_why(written, code, options, message):
    with pytest.raises(WorkloadError, match=message):
        resolve(f"{written(code)}:Mine", options)


def test_a_broken_file_can_be_mended_and_tried_again(written):
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
    with pytest.raises(WorkloadError, match="must be brought by one package"):
        names()
