"""How inputs that hypothesis makes are tried: always the same ones, however long one takes."""

from functools import partial

from hypothesis import HealthCheck, settings

tried = partial(
    settings,
    deadline=None,
    derandomize=True,
    # what is shared is a command that keeps nothing between two inputs
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
