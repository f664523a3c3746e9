"""The model in production on the same people: who of them it never saw, and whether the new one is worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spira.training.core.cohort import Cohort
from spira.training.core.comparison import Pair, comparison_gate, endpoints, judge, paired_differences
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.evidence import PeopleSeen
from spira.training.core.figures import Scored, per_person
from spira.training.core.verdicts import Gate
from spira.training.ports import Recordings, Tell
from spira.training.use_cases.evaluate import score
from spira.voice.score import ScreeningModel

NAME = "champion"


@dataclass(frozen=True, kw_only=True)
class Champion:
    """A registered model that a new one is measured against."""

    name: str
    """As people call it: NAME/VERSION."""
    model: ScreeningModel
    seen: PeopleSeen | None
    """None when its registration does not tell."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the comparison found: a gate always, a table where there was something to compare."""

    gate: Gate
    table: dict[str, Any] | None = None


def compare(
    candidate: Sequence[Scored],
    champion: Champion | None,
    cohort: Cohort,
    *,
    key: str,
    task: str,
    config: EvaluationConfig,
    seed: int,
    recordings: Recordings,
    tell: Tell,
) -> Compared:
    """Score the people of `candidate` (scores by recording) whom the champion never saw, and compare.

    `key` is the fingerprint of the pseudonyms' key, `task` the recording that the cohort holds.
    """
    obstacle = _obstacle(champion, key=key, task=task)
    if champion is None or champion.seen is None or obstacle:
        return Compared(gate=_too_little(obstacle))
    seen = set(champion.seen.seen)
    people = {one.participant for one in candidate} - seen
    labels = {one.label for one in candidate if one.participant in people}
    if len(people) < config.min_test_people or labels != {0, 1}:
        told = f"{len(people)} of these people were never seen by {champion.name}"
        return Compared(gate=_too_little(f"{told}; at least {config.min_test_people} of both classes are asked for"))
    indexes = [index for index, one in enumerate(cohort.recordings) if one.participant in people]
    theirs = score(champion.model, cohort, indexes, recordings=recordings, tell=tell)
    pair = Pair.of(per_person([one for one in candidate if one.participant in people]), per_person(theirs))
    judged = judge(endpoints(pair, config, seed=seed))
    table = {
        "model": champion.name,
        "n": len(people),
        "endpoints": [one.as_dict() for one in judged],
        "differences": paired_differences(pair, seed=seed),
    }
    return Compared(gate=comparison_gate(NAME, judged, against=champion.name), table=table)


def _obstacle(champion: Champion | None, *, key: str, task: str) -> str:
    """Why nothing can be compared; empty when it can."""
    if champion is None:
        return "there is no champion"
    if champion.seen is None:
        return f"it is not recorded whom {champion.name} was trained on"
    if champion.seen.key != key:
        return f"the people of {champion.name} are known under another key of pseudonyms"
    needed = champion.model.settings.required_recordings
    return "" if needed == (task,) else f"{champion.name} needs {', '.join(needed)}, these recordings are {task}"


def _too_little(reason: str) -> Gate:
    return Gate(name=NAME, verdict="NOT ENOUGH DATA", reason=reason)
