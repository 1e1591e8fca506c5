from ray.experimental import internal_kv

from study.orchestration import stopping
from study.orchestration.signals import Stop
from study.orchestration.stopping import Ending, StopSign


class Board:
    """Ray's store, in memory."""

    def __init__(self, monkeypatch):
        self.keys = set()
        monkeypatch.setattr(
            internal_kv, "_internal_kv_put", lambda key, value, namespace: self.keys.add(key)
        )
        monkeypatch.setattr(
            internal_kv, "_internal_kv_exists", lambda key, namespace: key in self.keys
        )
        monkeypatch.setattr(
            internal_kv, "_internal_kv_del", lambda key, namespace: self.keys.remove(key)
        )


class Searcher:
    closed = False

    def close(self):
        self.closed = True


def test_a_request_closes_the_searcher_and_puts_up_the_sign(monkeypatch):
    monkeypatch.setattr(stopping, "_LOOK_SECONDS", 0)
    board, stop, sign, searcher = Board(monkeypatch), Stop(), StopSign(), Searcher()
    ending, other = Ending(stop, sign, searcher), StopSign()
    assert not ending.stop_all()
    assert not searcher.closed
    assert not sign.seen()
    stop._signal = 2
    assert not ending.stop_all()  # cohorts have time to be saved
    assert searcher.closed
    assert sign.seen()
    assert not other.seen()
    monkeypatch.setattr(stopping, "SAVING_SECONDS", -1)
    assert ending.stop_all()
    sign.take_down()
    assert not board.keys


def test_a_worker_looks_for_the_sign_now_and_then_only(monkeypatch):
    Board(monkeypatch)
    sign = StopSign()
    assert not sign.seen()
    sign.put_up()
    assert not sign.seen()  # the last look was a moment ago


def test_a_ray_that_ends_is_no_request(monkeypatch):
    def lost(key, namespace):
        raise ConnectionError

    monkeypatch.setattr(internal_kv, "_internal_kv_exists", lost)
    assert not StopSign().seen()
