"""The names that users import: what they are, and what importing them costs."""

import subprocess
import sys

import pytest

import batchscale
import workloads
from batchscale.errors import BatchscaleError

HEAVY = {"torch", "ray", "optuna", "pandas", "numpy", "matplotlib", "scipy", "pydantic"}


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_the_import_is_light():
    code = f"import sys, batchscale; dir(batchscale); print({HEAVY!r} & set(sys.modules))"
    assert run(code) == "set()"


def test_a_workload_author_imports_no_more_than_the_contract():
    code = "import sys; from batchscale import Data, Target; print('ray' in sys.modules)"
    assert run(code) == "False"


@pytest.mark.parametrize("name", batchscale.__all__)
def test_every_name_is_there(name):
    assert getattr(batchscale, name) is not None
    assert name in dir(batchscale)


def test_the_contract_is_the_same_as_in_workloads():
    for name in workloads.__all__:
        assert getattr(batchscale, name) is getattr(workloads, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'batchscale' has no attribute 'lod'"):
        batchscale.lod  # noqa: B018


def test_errors_have_one_base():
    from analysis.errors import AnalysisError
    from study.errors import StudyError

    for kind in (AnalysisError, StudyError, workloads.WorkloadError):
        assert issubclass(kind, BatchscaleError)


@pytest.mark.parametrize("option", ["--version", "-h"])
def test_the_module_runs_as_the_command(option):
    done = subprocess.run(
        [sys.executable, "-m", "batchscale", option], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "batchscale" in done.stdout
    if option == "--version":
        assert done.stdout.split() == ["batchscale", batchscale.__version__]
