"""Pages in a real browser: Debian's Chromium, without a window."""

import shutil
from dataclasses import dataclass, field

import pytest

CHROMIUM = shutil.which("chromium")
MILLISECONDS = 15_000
"""The longest that anything in a page is waited for."""


@dataclass
class Watched:
    """A page that is open, with what went wrong in it and what it asked for."""

    tab: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no `chromium` on the path; .ci/run installs Debian's")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        # the sandbox of Chromium refuses root, which containers run as
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser):
    """Return what opens a file; anything in its console, and any request, is kept."""
    contexts = []

    def open_file(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(MILLISECONDS)
        watched = Watched(tab)
        tab.on("console", lambda message: watched.errors.append(message.text))
        tab.on("pageerror", lambda error: watched.errors.append(str(error)))
        tab.on("dialog", lambda dialog: (watched.errors.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda request: watched.requests.append(request.url))
        tab.goto(path.as_uri())
        return watched

    yield open_file
    for context in contexts:
        context.close()
