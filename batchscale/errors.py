"""The base of all errors caused by wrong input, and the limits of their messages."""

import difflib
import re
from collections.abc import Iterable

_MAX_CHARACTERS = 500
_MAX_LINES = 50
_KEPT_END = 200
"""Characters kept from the end of a long line, which is where the remedy is."""

_WORD = re.compile(r"[^\s'\"]+")
_PARAMETER = re.compile(r"((?:[?&;]|%3F|%26)([^?&;=%]*)(?:=|%3D))[^?&;]+", re.IGNORECASE)
_SECRET = re.compile(r"key|token|secret|passw|pwd|sig|cred|auth", re.IGNORECASE)


class BatchscaleError(ValueError):
    """Wrong input; the message states the rule, the value and the remedy.

    The command prints it without a traceback and exits with code 2. Its subclasses are
    `study.errors.StudyError`, `workloads.errors.WorkloadError` and `analysis.errors.AnalysisError`.
    """

    def __init__(self, message: str = "") -> None:
        """Set the message, with long lines shortened and secrets left out."""
        super().__init__(presentable(message))


def presentable(message: str) -> str:
    """Return a message without secrets, at most 50 lines of at most 500 characters.

    A long line loses its middle, as it starts with the rule and ends with the remedy.
    """
    lines = [_cut(redacted(line)) for line in message.split("\n")]
    if len(lines) > _MAX_LINES:
        left_out = len(lines) - _MAX_LINES + 1
        lines = [*lines[: _MAX_LINES - 1], f"and {left_out:,} more lines"]
    return "\n".join(lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question suggesting the closest known name; empty if none is close.

    >>> did_you_mean("digits-mpl", ["digits-mlp", "command"])
    "did you mean 'digits-mlp'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def not_among(key: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name, with a suggestion if there is one."""
    names = list(known)
    hint = did_you_mean(name, names)
    return f"{key} must be one of {', '.join(names)}, got {name!r}{hint and f'; {hint}'}"


def redacted(text: str) -> str:
    """Return a text with the passwords, keys and tokens in URIs replaced by ***.

    >>> redacted("got s3://me:my/secret@bucket/a?region=x&session_token=abc")
    'got s3://***@bucket/a?region=x&session_token=***'
    """
    return _WORD.sub(lambda word: _without_secrets(word[0]), text)


def _cut(line: str) -> str:
    if len(line) <= _MAX_CHARACTERS:
        return line
    return f"{line[: _MAX_CHARACTERS - _KEPT_END - 5]} ... {line[-_KEPT_END:]}"


def _without_secrets(word: str) -> str:
    start = re.search("://|%3A%2F%2F", word, re.IGNORECASE)
    end = max(word.rfind("@"), word.rfind("%40"))
    if start is not None and end > start.end():
        # secret keys of object stores may contain slashes, and file names an @
        user = word[start.end() : end]
        if "/" not in user or re.search(":|%3A", user, re.IGNORECASE):
            word = f"{word[: start.end()]}***{word[end:]}"
    return _PARAMETER.sub(lambda m: f"{m[1]}***" if _SECRET.search(m[2]) else m[0], word)
