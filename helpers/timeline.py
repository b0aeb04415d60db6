"""Record when reading and training take place. Taught in *Feed the GPU*."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator


class Timeline:
    """Records the time spans of each kind of work, in any thread.

    Attributes:
        spans: `(kind, thread, begin, end)` in order of their ends; times in seconds since the
            timeline was created.
    """

    def __init__(self):
        self.spans: list[tuple[str, int, float, float]] = []
        self._zero = time.perf_counter()

    @contextlib.contextmanager
    def span(self, kind: str) -> Iterator[None]:
        """Record the time that the block takes."""
        begin = time.perf_counter() - self._zero
        yield
        self.spans.append((kind, threading.get_ident(), begin, time.perf_counter() - self._zero))

    def watch(self, kind: str, function: Callable) -> Callable:
        """Return the same function, except that the time of each call is recorded."""

        @functools.wraps(function)
        def watched(*args, **kwargs):
            with self.span(kind):
                return function(*args, **kwargs)

        return watched

    @property
    def kinds(self) -> list[str]:
        """The kinds of work, in order of their first span."""
        return list(dict.fromkeys(kind for kind, *_ in self.spans))

    def seconds(self, kind: str) -> float:
        """Return the total duration of a kind of work, summed over threads."""
        return sum(end - begin for name, _, begin, end in self.spans if name == kind)

    @property
    def length(self) -> float:
        """Seconds from the beginning of the first span to the end of the last."""
        return max(end for *_, end in self.spans) - min(begin for _, _, begin, _ in self.spans)
