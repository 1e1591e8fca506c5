import sys

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder that BATCHSCALE_DATA names."""
    monkeypatch.setenv("BATCHSCALE_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def on_the_hub(monkeypatch):
    """Return a function that sets the hub's answer, a file or an error, and returns its calls."""

    def set_answer(answer):
        asked = []

        class Hub:
            @staticmethod
            def hf_hub_download(repository, file, repo_type):
                asked.append((repository, file, repo_type))
                if isinstance(answer, Exception):
                    raise answer
                return answer

        monkeypatch.setitem(sys.modules, "huggingface_hub", Hub)
        return asked

    return set_answer
