"""Plug-ins that installed packages bring as entry points: each name once, and none of ours."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What a group of entry points brings.

    Attributes:
        noun: what one of them is, for messages.
        article: the noun's.
        builtin: names that are taken.
        error: what is raised where one is wrong.
    """

    noun: str
    article: str
    builtin: Collection[str]
    error: type[Exception]

    def by_name(self, points: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
        """Gives entry points by name; one that shadows another is refused."""
        found: dict[str, EntryPoint] = {}
        for point in points:
            other = "batchscale itself" if point.name in self.builtin else None
            if point.name in found:
                other = package(found[point.name])
            if other is not None:
                raise self.error(
                    f"{self.article} {self.noun}'s name must be brought by one package, got "
                    f"{point.name!r} from {package(point)} and from {other}; uninstall one or "
                    "rename its entry point"
                )
            found[point.name] = point
        return found

    def load(self, point: EntryPoint) -> Any:
        """Gives what an entry point names; one that does not import is refused."""
        try:
            return point.load()
        except Exception as error:
            raise self.error(
                f"the plug-in behind {self.noun} {point.name!r} must import, got "
                f"{type(error).__name__}: {error} from {package(point)}; repair or uninstall it"
            ) from error


def package(point: EntryPoint) -> str:
    """Names the package that brings an entry point."""
    return point.dist.name if point.dist is not None else point.value
