"""Who works when: the reading and the network. Taught in the chapter *Feed the GPU*."""

import contextlib
import functools
import threading
import time


class Timeline:
    """Notes from when to when each kind of work goes on, in whatever threads it does.

    Attributes:
        spans: `(kind, thread, begin, end)` in the order in which they ended; times in seconds from
            the making of the timeline.
    """

    def __init__(self):
        self.spans = []
        self._zero = time.perf_counter()

    @contextlib.contextmanager
    def span(self, kind):
        """Note the time that the block takes."""
        begin = time.perf_counter() - self._zero
        yield
        self.spans.append((kind, threading.get_ident(), begin, time.perf_counter() - self._zero))

    def watch(self, kind, function):
        """Return a function that does the same as the one given, and notes the time of each call."""

        @functools.wraps(function)
        def watched(*args, **kwargs):
            with self.span(kind):
                return function(*args, **kwargs)

        return watched

    @property
    def kinds(self):
        """The kinds of work, in the order in which they were first done."""
        return list(dict.fromkeys(kind for kind, *_ in self.spans))

    def seconds(self, kind):
        """Return how long a kind of work went on, summed over threads."""
        return sum(end - begin for name, _, begin, end in self.spans if name == kind)

    @property
    def length(self):
        """Seconds from the beginning of the first span to the end of the last."""
        return max(end for *_, end in self.spans) - min(begin for _, _, begin, _ in self.spans)
