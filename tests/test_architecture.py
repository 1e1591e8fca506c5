"""The import contracts of pyproject.toml, checked against imports that they must refuse."""

import copy
from pathlib import Path

import grimp
import pytest
from importlinter import api
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "batchscale", "study", "workloads")
KINDS = {kind.type_name: kind for kind in (ForbiddenContract, IndependenceContract, LayersContract)}


class Architecture:
    """The imports of the packages, and the contracts that hold for them."""

    def __init__(self):
        options = api.read_configuration(str(ROOT / "pyproject.toml"))
        self.contracts = [
            KINDS[contract["type"]](contract["name"], options["session_options"], contract)
            for contract in options["contracts_options"]
        ]
        assert set(options["session_options"]["root_packages"]) == set(PACKAGES)
        self.graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)

    def modules(self, *packages):
        """Return the modules of packages, sorted by name."""
        found = set(packages).union(*map(self.graph.find_descendants, packages))
        return sorted(found)

    def broken(self, importer=None, imported=None):
        """Return the names of the contracts that one more module or import breaks."""
        graph = copy.deepcopy(self.graph)
        if importer is not None:
            graph.add_module(importer)
        if imported is not None:
            graph.add_import(
                importer=importer, imported=imported, line_number=1, line_contents="added"
            )
        # a contract takes its ignored imports out of the graph that it checks
        return [
            contract.name
            for contract in self.contracts
            if not contract.check(copy.deepcopy(graph), verbose=False).kept
        ]


@pytest.fixture(scope="module")
def architecture():
    return Architecture()


def assert_refused(architecture, importers, imported, contract=""):
    """Add the import to one module of each package; each alone breaks a contract so named."""
    assert importers
    one_of_each = {name.rpartition(".")[0]: name for name in importers}.values()
    allowed = [
        name
        for name in one_of_each
        if not any(contract in broken for broken in architecture.broken(name, imported))
    ]
    assert allowed == []


def test_the_code_keeps_every_contract(architecture):
    assert len(architecture.contracts) >= 9
    assert len(architecture.modules(*PACKAGES)) > 200
    assert architecture.broken() == []


def test_no_module_outside_orchestration_may_import_ray(architecture):
    inside = set(architecture.modules("study.orchestration"))
    importers = [name for name in architecture.modules(*PACKAGES) if name not in inside]
    expected = {"batchscale", "study", "study.errors", "study.seeding", "study.records"}
    assert expected <= set(importers)
    assert_refused(architecture, importers, "ray", "Ray lives in")


def test_no_module_outside_search_may_import_optuna(architecture):
    inside = set(architecture.modules("study.search"))
    importers = [name for name in architecture.modules(*PACKAGES) if name not in inside]
    assert_refused(architecture, importers, "optuna", "Optuna lives in")


def test_orchestration_may_import_ray_and_search_optuna(architecture):
    assert architecture.broken("study.orchestration.added", "ray") == []
    assert architecture.broken("study.search.added", "optuna") == []


def test_no_module_of_analysis_may_import_torch(architecture):
    assert_refused(architecture, architecture.modules("analysis"), "torch")


@pytest.mark.parametrize(
    ("package", "other"),
    [("workloads", "analysis"), ("workloads", "study"), ("analysis", "workloads"),
     ("analysis", "study")],
)  # fmt: skip
def test_workloads_and_analysis_import_no_other_package(architecture, package, other):
    assert_refused(architecture, architecture.modules(package), other)
    inner = {"analysis": "analysis.errors", "study": "study.records", "workloads": "workloads.data"}
    assert_refused(architecture, architecture.modules(package), inner[other])


def test_the_packages_behind_batchscale_may_import_its_errors_and_files_alone(architecture):
    importers = architecture.modules("analysis", "study", "workloads")
    allowed = {"batchscale.errors", "batchscale.files"}
    rest = [name for name in architecture.modules("batchscale") if name not in allowed]
    assert_refused(architecture, importers, "batchscale")
    for imported in rest:
        assert_refused(architecture, ["study.seeding", "analysis.errors", "workloads"], imported)
    for name in allowed:
        assert architecture.broken("study.config.added", name) == []


@pytest.mark.parametrize("package", ["study", "analysis"])
def test_a_new_module_without_a_layer_is_refused(architecture, package):
    assert architecture.broken(f"{package}.added") == [f"Floors of {package}"]


def test_a_new_module_of_the_engine_may_import_no_ray(architecture):
    assert architecture.broken("study.engine.added") == []
    assert len(architecture.broken("study.engine.added", "ray")) >= 2


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("study.records", "study.config"),
        ("study.seeding", "study.optimizers"),
        ("study.optimizers", "study.engine"),
        ("study.engine", "study.search"),
        ("study.search", "study.storage"),
        ("study.storage", "study.search"),
        ("study.search", "study.planning"),
        ("study.planning", "study.orchestration"),
        ("study.replay", "study.planning"),
        ("study.orchestration", "study.commands"),
        ("analysis.errors", "analysis.escaping"),
        ("analysis.escaping", "analysis.tables"),
        ("analysis.fitting", "analysis.tables"),
        ("analysis.tables", "analysis.measures"),
        ("analysis.measures", "analysis.archive"),
        ("analysis.archive", "analysis.report"),
        ("analysis.report", "analysis.comparison"),
        ("analysis.comparison", "analysis.figures"),
    ],
)
def test_no_layer_may_import_one_above_or_beside_it(architecture, lower, upper):
    assert_refused(architecture, architecture.modules(lower), upper)
