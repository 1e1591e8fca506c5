"""The base of all errors that wrong input can cause."""


class BatchscaleError(ValueError):
    """Wrong input; the message holds the rule, the value and the remedy.

    The command prints it without a traceback and exits with code 2. It is raised as one of
    `study.errors.StudyError`, `workloads.errors.WorkloadError` and `analysis.errors.AnalysisError`.
    """
