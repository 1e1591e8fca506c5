from ray.experimental import internal_kv

from study.orchestration.board import Board
from study.records import Lap

LAP = Lap(batch_size=16, share=0.5, loss=None, steps_per_second=2.0)


def test_the_board_shows_what_each_worker_told_last(monkeypatch):
    store = {}

    def delete(prefix, del_by_prefix, namespace):
        for key in [key for key in store if key.startswith(prefix)]:
            del store[key]

    monkeypatch.setattr(
        internal_kv, "_internal_kv_put", lambda key, value, namespace: store.update({key: value})
    )
    monkeypatch.setattr(
        internal_kv,
        "_internal_kv_list",
        lambda prefix, namespace: [key for key in store if key.startswith(prefix)],
    )
    monkeypatch.setattr(internal_kv, "_internal_kv_get", lambda key, namespace: store[key])
    monkeypatch.setattr(internal_kv, "_internal_kv_del", delete)
    board, other = Board(), Board()
    first, second = board.teller(), board.teller()
    first(LAP)
    second(LAP)
    first(None)
    other.teller()(LAP)
    assert board.laps() == [LAP]
    board.clear()
    assert (board.laps(), other.laps()) == ([], [LAP])


def test_without_ray_the_board_is_empty_and_telling_harms_nobody():
    board = Board()
    board.teller()(LAP)
    assert board.laps() == []
