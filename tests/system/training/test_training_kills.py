from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).parents[2] / "chaos" / "train.py"


def test_five_random_kills_of_a_fit_leave_its_bits_as_they_are() -> None:
    """Processes that are killed with SIGKILL and resumed; `make chaos-train` does it fifty times."""
    ended = subprocess.run(
        [sys.executable, str(CHAOS), "--kills", "5", "--json"], capture_output=True, text=True, check=False, timeout=240
    )

    told = json.loads(ended.stdout or "{}")
    assert ended.returncode == 0, ended.stderr or told
    assert (len(told["kills"]), told["unequal"]) == (5, 0)
