"""How the command begins."""

import pytest

from batchscale import __main__


def test_ctrl_c_before_a_command_begins_prints_no_traceback(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__, "find_clash", interrupted)
    with pytest.raises(SystemExit, match="130"):
        __main__.main()
