"""Entry points of packages that are not installed."""


class Point:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name, loaded, package="other-package"):
        self.name, self.value = name, "other:Thing"
        self.dist = type("Distribution", (), {"name": package})()
        self._loaded = loaded

    def load(self):
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded
