"""Values that a DAG's form offers, without loading what they stand for."""

from __future__ import annotations

PRESETS = ("robust", "smoke", "spira-v1-3.5")
"""Names of the training presets; a test holds them beside the presets themselves."""
