"""Entry points of installed plug-ins, whose names must be unique and not those of built-ins."""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of plug-in."""

    noun: str  # its name in messages, such as "workload"
    article: str  # of the noun
    builtin: Collection[str]  # names that plug-ins may not have
    error: type[Exception]  # raised for a faulty plug-in

    def points(self) -> dict[str, EntryPoint]:
        """Return the entry points of installed packages by name; refuse a name that is taken."""
        found: dict[str, EntryPoint] = {}
        for point in installed(f"batchscale.{self.noun}s"):
            other = "batchscale itself" if point.name in self.builtin else None
            if point.name in found:
                other = package(found[point.name])
            if other is not None:
                raise self.error(
                    f"{self.article} {self.noun}'s name must come from one package, got "
                    f"{point.name!r} from {package(point)} and {other}; uninstall one or rename "
                    "its entry point"
                )
            found[point.name] = point
        return found

    def load(self, point: EntryPoint) -> Any:
        """Return the object of an entry point; refuse one that does not import."""
        try:
            return point.load()
        except (Exception, SystemExit) as error:
            raise self.error(
                f"the plug-in behind {self.noun} {point.name!r} must import, got "
                f"{type(error).__name__}: {error} from {package(point)}; update or uninstall it"
            ) from error


@functools.cache  # reads the metadata of every installed package
def installed(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group."""
    return tuple(entry_points(group=group))


def package(point: EntryPoint) -> str:
    """Return the name of the package that provides an entry point."""
    return point.dist.name if point.dist is not None else point.value
