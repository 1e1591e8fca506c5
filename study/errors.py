"""The one error that a user can cause: printed without a traceback, exit code 2."""


class StudyError(ValueError):
    """A study that cannot be run as asked; the message holds rule, value and remedy."""
