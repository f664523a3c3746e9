"""A gate's answer: what was asked, whether it holds, and why. Too little data is an answer of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["PASS", "FAIL", "NOT ENOUGH DATA"]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One question about a model. `reason` holds the figures that decided it, with n and interval."""

    name: str
    verdict: Verdict
    reason: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def overall(gates: Iterable[Gate]) -> Verdict:
    """FAIL when any gate fails; PASS when all pass; else there is not enough data."""
    verdicts = {gate.verdict for gate in gates}
    if "FAIL" in verdicts:
        return "FAIL"
    return "PASS" if verdicts == {"PASS"} else "NOT ENOUGH DATA"
