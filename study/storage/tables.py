"""The tables of a study whose parts are there, made in memory."""

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import BOXES_FILE, CURVES_FILE, TRIALS_FILE
from analysis.tables.study import StudyTables, as_frame
from study.storage.consolidate import tables_of_parts
from study.storage.parts import Parts, part_names
from study.storage.study_folder import read_study_toml


def study_tables(folder: ResultsFolder) -> StudyTables | None:
    """Return the tables that `batchscale analyze` would write; None where there are no parts.

    A study that was imported or moved without its parts has tables only.

    Raises:
        StudyError: the study file or a part is damaged.
        AnalysisError: the folder cannot be read, or holds no study.
    """  # noqa: DOC502  (raised inside)
    if not part_names(folder):
        return None
    resolved = read_study_toml(folder)
    tables = tables_of_parts(Parts(folder, resolved))
    return StudyTables(
        name=folder.name,
        config=resolved.as_data(),
        trials=as_frame(tables[TRIALS_FILE]),
        curves=as_frame(tables[CURVES_FILE]),
        boxes=as_frame(tables[BOXES_FILE]),
    )
