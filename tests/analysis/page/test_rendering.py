"""The page as a file: nothing of a study acts in it, nothing is loaded, and it stays small."""

import base64
import hashlib
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.page import rendering
from analysis.page.markdown import page_markdown
from analysis.page.rendering import page_html
from analysis.page.searches import Room
from tests.analysis.page.conftest import HOSTILE


@pytest.fixture(scope="module")
def html(attacked):
    return page_html(attacked)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def tags(html):
    parser = Tags()
    parser.feed(html)
    return parser.found


def test_no_name_becomes_a_tag_or_an_attribute(html):
    found = tags(html)
    assert [tag for tag, _ in found].count("script") == 2
    assert not [tag for tag, _ in found if tag in {"img", "iframe", "object", "embed", "form"}]
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in found if "style" in attributes]


def test_no_invisible_character_and_no_template_is_left(html):
    assert "\u202e" not in html
    assert "\u2028" not in html
    assert "\\u202eevil" in html
    assert "{{ 7*7 }}" in html


def test_nothing_is_loaded(html):
    for tag, attributes in tags(html):
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name, "#")
            assert value.startswith("#") or value == "data:,", (tag, name, value)
    assert "@import" not in html
    assert "url(" not in re.sub(r"url\(#", "", html)


def test_the_policy_names_the_script_and_the_style(html):
    policy = next(one["content"] for _, one in tags(html) if "http-equiv" in one)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_data_are_embedded_once_and_whole(html):
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    data = json.loads(text)
    assert data["studies"][0]["summary"]["study"] == HOSTILE
    assert HOSTILE in data["studies"][0]["searches"][0]["point"]


def test_the_markdown_has_no_hostile_html(attacked):
    text = page_markdown(attacked)
    assert {tag for tag, _ in tags(text)} == {"details", "summary"}
    assert "\u202e" not in text
    assert text.startswith("# &lt;/script>")


def test_every_topic_of_the_markdown_has_a_sentence(page, attacked):
    for shown, costs in ((page, True), (attacked, False)):
        topics = re.findall(r"^\*\*(.+)\*\*\n\n(- )?", page_markdown(shown), re.M)
        assert all(first == "- " for _, first in topics)
        assert ("Cost" in {name for name, _ in topics}) == costs


def test_every_file_of_the_page_is_in_it_and_in_the_package():
    folder = Path(rendering.__file__).parent
    settings = tomllib.loads((folder.parents[1] / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["analysis.page"]
    files = {path for part in folder.iterdir() if part.is_dir() for path in part.glob("*.*")}
    files = {path for path in files if path.suffix not in {".py", ".pyc"}}
    assert files == {path for pattern in patterns for path in folder.glob(pattern)}
    assert {path.name for path in files if path.suffix == ".js"} == {*rendering._SCRIPTS}


def test_a_large_page_is_thinned_until_it_is_small(page, monkeypatch):
    whole = page_html(page)
    assert whole == page_html(page)
    monkeypatch.setattr(rendering, "ROOM", Room(trials=120, curves=120))
    monkeypatch.setattr(rendering, "_SHARES", (1.0, 0.5))
    monkeypatch.setattr(rendering, "MAX_BYTES", len(whole.encode()))
    smaller = page_html(page)
    assert len(smaller.encode()) < len(whole.encode())
    assert "training curves of 120 trials are shown" in smaller
    monkeypatch.setattr(rendering, "MAX_BYTES", 10_000)
    with pytest.raises(AnalysisError, match="fewer than 10,000 bytes, got more for 1 studies"):
        page_html(page)
