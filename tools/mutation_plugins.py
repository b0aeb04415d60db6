"""Plugins of pytest for `tools/mutate.py`: record what tests reach, and which one failed first."""

import json
import sys
import threading
import time

import pytest


class NoteReach:
    """Writes down, as JSON, how long each test takes and which functions of a module it calls.

    Args:
        source: The module's file.
        path: Where to write `{test: [seconds, functions]}`.
    """

    def __init__(self, source, path):
        self.source, self.path, self.reach = str(source), path, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        called, begin = set(), time.monotonic()

        def note(frame, event, arg):
            if frame.f_code.co_filename == self.source:
                called.add(frame.f_code.co_qualname.replace(".<locals>", ""))

        threading.settrace(note)
        sys.settrace(note)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            self.reach[item.nodeid] = time.monotonic() - begin, sorted(called)

    def pytest_sessionfinish(self):
        self.path.write_text(json.dumps(self.reach))


class LikeliestFirst:
    """Runs the tests that call a function before all others, the fastest of them first."""

    def __init__(self, function, reach):
        self.function, self.reach = function, reach

    def pytest_collection_modifyitems(self, items):
        files = list(dict.fromkeys(item.path for item in items))

        def rank(item):
            seconds, called = self.reach.get(item.nodeid, (0, ()))
            # File by file, so that what the tests of a file share is made once.
            return self.function not in called, files.index(item.path), seconds

        items.sort(key=rank)


class FirstFailure:
    """Writes down which test failed first, or which file can't be imported."""

    def __init__(self, path):
        self.path = path

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.path.exists():
            self.path.write_text(report.nodeid)

    pytest_collectreport = pytest_runtest_logreport
