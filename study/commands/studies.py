"""The studies of one file: all are checked before the first one runs."""

from collections.abc import Sequence

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STUDY_FILE
from study.commands.members import for_each
from study.config.grid import Member
from study.config.study import ResolvedStudy
from study.engine.networks.training import Trainable
from study.errors import StudyError
from study.planning.resolve import resolve
from study.planning.sizing import Device
from study.storage.study_folder import continued


class Studies:
    """Resolved studies; only the data of the one used last stay in memory."""

    def __init__(self, members: Sequence[Member], device: Device | None = None) -> None:
        """Resolve every study, so that an error in the last one is found before any runs."""
        self.members = tuple(members)
        self._device = device
        self._latest: tuple[Member, tuple[ResolvedStudy, Trainable]] | None = None
        resolved = for_each(self.members, lambda member: self.ready(member)[0])
        self._resolved = {m.name: one for m, one in zip(self.members, resolved, strict=True)}

    def ready(self, member: Member) -> tuple[ResolvedStudy, Trainable]:
        """Return a study as it will run, and its loaded workload."""
        if self._latest is None or self._latest[0] is not member:
            self._latest = None  # frees its data before the next are loaded
            self._latest = (member, resolve(member.data, self._device))
        return self._latest[1]

    def resolved(self, member: Member) -> ResolvedStudy:
        """Return a study as it will run, without loading its data."""
        return self._resolved[member.name]

    def title(self, member: Member) -> str | None:
        """Return a heading such as "study 2 of 4: seed-1"; None for a file without a grid."""
        if member.name is None:
            return None
        number = 1 + self.members.index(member)
        return f"study {number} of {len(self.members)}: {member.name}"

    def folders(self, place: ResultsFolder) -> list[ResultsFolder]:
        """Return the results folder of each study, checked to be free or its own; write nothing.

        `place` is the folder of the only study, or the parent of the folders of a grid.

        Raises:
            StudyError: a folder belongs to another study, or the parent is itself a study's folder.
        """
        if any(member.name is not None for member in self.members) and place.exists(STUDY_FILE):
            raise StudyError(
                f"the parent folder of a grid must not be a study's folder, got {place} with "
                f"{STUDY_FILE}; choose another --results, or rename the study file"
            )
        return for_each(self.members, lambda member: self._folder(place, member))

    def _folder(self, place: ResultsFolder, member: Member) -> ResultsFolder:
        folder = place if member.name is None else place / member.name
        continued(folder, self._resolved[member.name])
        return folder
