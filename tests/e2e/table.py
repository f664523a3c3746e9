"""What was exercised, what came of it and how long it took: printed as it happens, and whole at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Row:
    what: str
    told: str = ""
    seconds: float = 0.0
    passed: bool | None = None


@dataclass
class Table:
    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def row(self, what: str) -> Iterator[Row]:
        """The block passes when it raises nothing; what it found goes to `told`."""
        row = Row(what=what)
        self.rows.append(row)
        print(f"… {what}", flush=True)
        began = time.monotonic()
        try:
            yield row
            row.passed = True
        except BaseException as error:
            row.passed, row.told = False, row.told or str(error).strip().partition("\n")[0]
            raise
        finally:
            row.seconds = time.monotonic() - began
            print(_line(row, width=0), flush=True)

    @property
    def passed(self) -> bool:
        return bool(self.rows) and all(row.passed for row in self.rows)

    def __str__(self) -> str:
        width = max((len(row.what) for row in self.rows), default=0)
        total = f"{sum(row.seconds for row in self.rows):6.0f} s  {'passed' if self.passed else 'FAILED'}"
        return "\n".join([*(_line(row, width=width) for row in self.rows), total])


def _line(row: Row, *, width: int) -> str:
    mark = {True: "ok", False: "FAILED", None: "…"}[row.passed]
    return f"{row.seconds:6.1f} s  {mark:<6}  {row.what:<{width}}  {row.told}"
