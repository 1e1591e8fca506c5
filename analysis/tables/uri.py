"""URIs of results folders: the schemes that are allowed, and that none contains a secret."""

import re
from urllib.parse import unquote, urlsplit

from analysis.errors import AnalysisError
from batchscale.errors import redacted

# file systems in which a file appears complete or not at all; some others that pyarrow knows show
# a file while it is being written
_SCHEMES = ("file", "s3", "gs")
_URI_WITH_ONE_SLASH = re.compile(r"(s3|gs|https?):/", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GS_RETRY = "retry_limit_seconds"  # pyarrow's default is 15 minutes


def is_uri(location: str) -> bool:
    """Return whether a location is a URI rather than a path.

    Raises:
        AnalysisError: it is empty, or a URI with one slash, which would name a local folder.
    """
    if not location:
        raise AnalysisError("results must be a path or a URI, got none; the current folder is .")
    if "://" in location:
        return True
    if _URI_WITH_ONE_SLASH.match(location):
        scheme = location.partition(":")[0]
        raise AnalysisError(
            f"a results URI must have two slashes after its scheme, got one after {scheme}:; write "
            f"{scheme}://bucket/results"
        )
    return False


def check_uri(uri: str) -> None:
    """Refuse a URI that pyarrow cannot open, or that contains a password, a key or a token.

    Raises:
        AnalysisError: the URI is refused; the message does not repeat a secret.
    """
    scheme = uri.partition("://")[0].lower()
    plain = _decoded(uri)
    if scheme in _SCHEMES and redacted(plain) != plain:
        # commands are recorded with the results
        raise AnalysisError(
            f"a results URI must contain no password, key or token, got one for {scheme}://; leave "
            "it out and set the store's own variables, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise AnalysisError(f"results must be a path or a URI of {known}, got {uri}")
    if "\0" in plain:
        raise AnalysisError(f"a results URI must not contain NUL, got {uri}")
    bucket = re.split("[/?#]", uri.partition("://")[2], maxsplit=1)[0]
    if scheme != "file" and not _BUCKET.fullmatch(bucket):
        # the text there may be a key, so the message leaves it out
        raise AnalysisError(
            f"a results URI must name a bucket, as in s3://bucket/results, got {scheme}:// with "
            "none, or with other characters than letters, digits and . _ - in it"
        )


def with_retry_limit(uri: str) -> str:
    """Return a URI for which pyarrow gives up within a minute if the store does not answer."""
    if not uri.startswith("gs:") or _GS_RETRY in uri:
        return uri
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{_GS_RETRY}=30"


def _decoded(uri: str) -> str:
    """Undo percent-encoding, which may have been applied more than once."""
    for _ in range(4):
        uri = unquote(uri)
    return uri
