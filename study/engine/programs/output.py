"""What a program printed, of which the beginning and the end are kept."""

_HEAD, _TAIL = 2**13, 3 * 2**13
_LINES, _CHARACTERS = 12, 1500


class Output:
    """The output and the errors of a program as they came, at most 32 KiB of them."""

    def __init__(self) -> None:
        """Start with nothing printed."""
        self._head, self._tail, self._left_out = b"", b"", 0

    def add(self, piece: bytes) -> None:
        """Add what the program printed."""
        room = _HEAD - len(self._head)
        self._head += piece[:room]
        tail = self._tail + piece[room:]
        self._left_out += max(0, len(tail) - _TAIL)
        self._tail = tail[-_TAIL:]

    def kept(self) -> bytes:
        """Return what was kept, with a line where something was left out."""
        if not self._left_out:
            return self._head + self._tail
        gap = f"\n[... {self._left_out:,} bytes left out ...]\n".encode()
        return self._head + gap + self._tail

    def last_lines(self) -> str:
        """Return the last line, and on lines of their own those before it, for a message."""
        text = self.kept().decode("utf-8", errors="replace").replace("\r", "\n")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if not lines:
            return "it printed nothing"
        last = f"it printed last: {lines[-1].strip()}"[:_CHARACTERS]
        before = "\n".join(lines[-_LINES:-1])[-_CHARACTERS:]
        return f"{last}\nafter:\n{before}" if before else last
