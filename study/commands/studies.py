"""The studies of one file, one after another: all are checked before the first one runs."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STUDY_FILE
from study.config.grid import Member
from study.config.study import ResolvedStudy
from study.engine.networks.training import Trainable
from study.errors import StudyError
from study.planning.resolve import resolve
from study.planning.sizing import Device
from study.storage.study_folder import continued
from workloads.errors import WorkloadError

T = TypeVar("T")


class Studies:
    """Studies that are resolved and right; the data of the latest one only stay in memory."""

    def __init__(self, members: Sequence[Member], device: Device | None = None) -> None:
        """Resolves every study, so that what is wrong with the last is told before any runs.

        Args:
            members: the studies of a file, >= 1, each of another name.
            device: what they will be computed on; None for a CPU.
        """
        self.members = tuple(members)
        self._device = device
        self._latest: tuple[Member, tuple[ResolvedStudy, Trainable]] | None = None
        resolved = of_each(self.members, lambda member: self.ready(member)[0])
        self._resolved = {m.name: one for m, one in zip(self.members, resolved, strict=True)}

    def ready(self, member: Member) -> tuple[ResolvedStudy, Trainable]:
        """Gives a study as it will run, and its workload made ready."""
        if self._latest is None or self._latest[0] is not member:
            self._latest = None  # its data go before the next are read
            self._latest = (member, resolve(member.data, self._device))
        return self._latest[1]

    def title(self, member: Member) -> str | None:
        """Gives which study of how many it is; None where the file makes one without a grid."""
        if member.name is None:
            return None
        number = 1 + self.members.index(member)
        return f"study {number} of {len(self.members)}: {member.name}"

    def folders(self, place: ResultsFolder) -> list[ResultsFolder]:
        """Gives the results folder of each study, checked to be its own; writes nothing.

        Args:
            place: the folder of the file: its study's, or that of its studies' folders.

        Returns:
            One folder for each study.

        Raises:
            StudyError: a folder belongs to another study, or the place is a study's own.
        """
        if any(member.name is not None for member in self.members) and place.exists(STUDY_FILE):
            raise StudyError(
                f"the folder of a grid must hold no study of its own, got {place} with "
                f"{STUDY_FILE}; choose another --results, or rename the study file"
            )
        return of_each(self.members, lambda member: self._folder(place, member))

    def _folder(self, place: ResultsFolder, member: Member) -> ResultsFolder:
        folder = place if member.name is None else place / member.name
        continued(folder, self._resolved[member.name])
        return folder


def of_each(members: Sequence[Member], work: Callable[[Member], T]) -> list[T]:
    """Does the same for every study, and tells of all that are refused.

    Args:
        members: the studies of a file.
        work: what is done; wrong input raises.

    Returns:
        What it gave for each.

    Raises:
        StudyError: it was refused for some; each line once, with the studies that it is about.
    """
    done: list[T] = []
    refused: dict[str, list[str]] = {}
    for member in members:
        try:
            done.append(work(member))
        except (StudyError, WorkloadError, AnalysisError) as error:
            for line in str(error).splitlines():
                refused.setdefault(line, []).append(member.name or "the study")
    if refused:
        told = [_told(line, names, len(members)) for line, names in refused.items()]
        raise StudyError("\n".join(told))
    return done


def _told(line: str, names: Sequence[str], count: int) -> str:
    if len(names) == count:
        return line
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"in {names[0]}{more}: {line}"
