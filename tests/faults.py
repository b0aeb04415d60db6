"""The fault table: what was broken on purpose, how often, and what happened.

A fault test uses the fixture `fault` and calls it once with what happened. The rows are printed at
the end of a test run. `make faults` runs these tests and records the rows in
`book/results/faults.json`, which a page of the book shows. Every other run compares its rows with
this record.
"""

import json
import pathlib

RECORD = pathlib.Path(__file__).resolve().parent.parent / "book" / "results" / "faults.json"
AREAS = ("downloading", "decoding", "caching", "training")


class Table:
    """The rows `{"area", "tried", "happened", "cases"}` of this run and of the record.

    A shortened run repeats some tests less often than the run that was recorded.
    """

    def __init__(self, recording, shortened=False):
        self.recording, self.shortened, self.rows = recording, shortened, []
        self.recorded = json.loads(RECORD.read_text()) if RECORD.exists() else []

    def add(self, area, tried, happened, cases=1):
        """Add a row, and assert that the record contains it unless a new record is being made.

        Args:
            area: One of `AREAS`.
            tried: What was broken, in a few words.
            happened: What the reader gets, in a few words that hold in every run and on every
                machine.
            cases: How often it was tried. The test has checked what happened in each case, and
                that no half-written file remained.
        """
        assert area in AREAS
        row = {"area": area, "tried": tried, "happened": happened, "cases": cases}
        self.rows.append(row)
        assert self.recording or any(self._agrees(row, other) for other in self.recorded), (
            f"book/results/faults.json does not contain {row}; run make faults."
        )

    def _agrees(self, row, recorded):
        if self.shortened and row["cases"] < recorded["cases"]:
            row = row | {"cases": recorded["cases"]}
        return row == recorded

    def save(self):
        """Record the rows in the order of the areas."""
        rows = sorted(self.rows, key=lambda row: AREAS.index(row["area"]))
        RECORD.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")

    def lines(self):
        """Return the table as lines of text."""
        area, tried = (max(len(row[name]) for row in self.rows) for name in ("area", "tried"))
        for row in sorted(self.rows, key=lambda row: AREAS.index(row["area"])):
            yield (
                f"{row['area']:{area}}  {row['tried']:{tried}}  {row['cases']:4}  {row['happened']}"
            )
        cases = sum(row["cases"] for row in self.rows)
        yield f"{cases} cases in {len(self.rows)} rows; no half-written file remained"
