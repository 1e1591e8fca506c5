"""Tests of a workload against its contract, for `batchscale check` and as a pytest kit.

In a plug-in's tests, each clause becomes a test:

    from workloads.testing import WorkloadContract

    class TestMine(WorkloadContract):
        def make(self):
            return Mine()
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from workloads import contract
from workloads.errors import WorkloadError
from workloads.workload import Dynamics, Workload

ClauseCheck = Callable[[Any], str]
"""Check of one clause: returns its finding, or raises BrokenClauseError or WorkloadError."""

_TRAINED: tuple[ClauseCheck, ...] = (
    contract.target_is_in_range,
    contract.data_are_identical_on_two_calls,
    contract.inputs_and_targets_agree_in_length,
    contract.loss_is_a_finite_mean,
    contract.error_is_a_finite_mean,
    contract.quantities_are_finite_means,
    contract.models_follow_the_seed,
    contract.computes_from_its_arguments_alone,
    contract.target_is_below_the_start,
    contract.error_falls_when_trained,
)
_OWN_DYNAMICS: tuple[ClauseCheck, ...] = (
    contract.target_is_in_range,
    contract.target_is_below_the_start,
    contract.runs_are_deterministic,
    contract.keep_drops_the_lanes_it_is_told_to,
    contract.error_falls_when_trained,
)


@dataclass(frozen=True, slots=True)
class Clause:
    """The result of a check: its name, whether it passed (None if unknown), and its finding."""

    name: str
    passed: bool | None
    detail: str


def clauses(workload: Workload | Dynamics) -> tuple[ClauseCheck, ...]:
    """Return the clauses that apply to a workload."""
    return _OWN_DYNAMICS if isinstance(workload, Dynamics) else _TRAINED


def check(workload: Workload | Dynamics) -> Iterator[Clause]:
    """Check a workload against every clause of its contract.

    Yields:
        The result of each clause. A clause that raises has failed; the rest are still checked.
    """
    for clause in clauses(workload):
        name = clause.__name__.replace("_", " ")
        try:
            yield Clause(name=name, passed=True, detail=clause(workload))
        except (contract.BrokenClauseError, WorkloadError) as broken:
            yield Clause(name=name, passed=False, detail=str(broken))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported to the author, clause by clause
            yield Clause(name=name, passed=False, detail=f"{type(error).__name__}: {error}")


class WorkloadContract:
    """A pytest kit: inherit from it and override `make`; each clause becomes a test.

    It does not import pytest, so `batchscale check` works without pytest.
    """

    def make(self) -> Workload | Dynamics:
        """Return the workload to test."""
        raise NotImplementedError("override `make` to return your workload")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make each clause a test."""
        if "clause" in metafunc.fixturenames:
            workload = self.make()
            bound = [partial(clause, workload) for clause in clauses(workload)]
            metafunc.parametrize("clause", bound, ids=[clause.func.__name__ for clause in bound])

    def test_clause(self, clause: Callable[[], str]) -> None:
        """Check one clause."""
        clause()
