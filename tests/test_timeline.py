"""Who works when."""

import threading

import pytest

from helpers.timeline import Timeline


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves by a second whenever it is looked at."""
    ticks = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))


def test_spans_have_kind_thread_begin_and_end(clock):
    line = Timeline()
    with line.span("reading"):
        pass
    with line.span("network"):
        pass
    me = threading.get_ident()
    assert line.spans == [("reading", me, 1, 2), ("network", me, 3, 4)]
    assert (line.kinds, line.seconds("reading"), line.seconds("nothing"), line.length) == (
        ["reading", "network"],
        1,
        0,
        3,
    )


def test_a_watched_function_does_the_same_and_its_calls_are_noted(clock):
    line = Timeline()
    watched = line.watch("adding", lambda a, b=0: a + b)
    assert (watched(1, b=2), watched(3)) == (3, 3)
    assert [span[0] for span in line.spans] == ["adding", "adding"] and line.seconds("adding") == 2


def test_threads_are_told_apart():
    line = Timeline()
    threads = [
        threading.Thread(target=line.watch("reading", barrier.wait))
        for barrier in [threading.Barrier(2)]
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({thread for _, thread, _, _ in line.spans}) == 2
    (_, _, first, ended), (_, _, second, _) = line.spans
    assert max(first, second) < ended
