"""Values that a DAG's form offers, without loading what they stand for."""

from __future__ import annotations

_V1_GRID = ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", *(f"3.{number}" for number in range(1, 13)))

PRESETS = ("robust", "smoke", *(f"spira-v1-{name}" for name in _V1_GRID))
"""Names of the training presets; a test holds them beside the presets themselves."""
