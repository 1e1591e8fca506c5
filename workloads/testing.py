"""Puts a workload through its contract: for `batchscale check`, and as a pytest kit.

The kit in a plug-in's tests, where every clause becomes a test of its own:

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
"""Checks one clause; gives what it saw, or raises BrokenClauseError or WorkloadError."""

_TRAINED: tuple[ClauseCheck, ...] = (
    contract.target_is_in_range,
    contract.data_are_identical_on_two_calls,
    contract.inputs_and_targets_agree_in_length,
    contract.loss_is_a_finite_mean,
    contract.error_is_a_finite_mean,
    contract.models_follow_the_seed,
    contract.target_is_below_the_start,
    contract.packed_equals_looped,
    contract.error_falls_when_trained,
)
_OWN_DYNAMICS: tuple[ClauseCheck, ...] = (
    contract.target_is_in_range,
    contract.target_is_below_the_start,
    contract.runs_are_deterministic,
    contract.keep_drops_the_lanes_it_is_told_to,
    contract.error_falls_when_trained,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """What came of one clause.

    Attributes:
        name: what is promised.
        passed: whether the workload keeps it.
        detail: what was seen.
    """

    name: str
    passed: bool
    detail: str


def clauses(workload: Workload | Dynamics) -> tuple[ClauseCheck, ...]:
    """Gives the clauses that a workload must keep."""
    return _OWN_DYNAMICS if isinstance(workload, Dynamics) else _TRAINED


def check(workload: Workload | Dynamics) -> Iterator[Clause]:
    """Puts a workload through its contract.

    Args:
        workload: the workload.

    Yields:
        What came of each clause; one that raises is broken, the others are still tried.
    """
    for clause in clauses(workload):
        name = clause.__name__.replace("_", " ")
        try:
            yield Clause(name=name, passed=True, detail=clause(workload))
        except (contract.BrokenClauseError, WorkloadError) as broken:
            yield Clause(name=name, passed=False, detail=str(broken))
        except Exception as error:  # noqa: BLE001 - the author is told, clause by clause
            yield Clause(name=name, passed=False, detail=f"{type(error).__name__}: {error}")


class WorkloadContract:
    """The kit for pytest: inherit, give `make`, and every clause is a test.

    It needs no pytest itself, so that `batchscale check` runs where there is none.
    """

    def make(self) -> Workload | Dynamics:
        """Gives the workload to test; called once.

        Raises:
            NotImplementedError: the author has not overridden it.
        """
        raise NotImplementedError("override `make` to give your workload")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Makes every clause a test of its own."""
        if "clause" in metafunc.fixturenames:
            workload = self.make()
            kept = clauses(workload)
            bound = [partial(clause, workload) for clause in kept]
            metafunc.parametrize("clause", bound, ids=[clause.__name__ for clause in kept])

    def test_clause(self, clause: Callable[[], str]) -> None:
        """Puts the workload through one clause."""
        clause()
