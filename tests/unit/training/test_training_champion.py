"""When a new model can be compared with the one in production, and what is said when it can't."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from spira.kernel.errors import NotFound
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, Recording, Split
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.evidence import PeopleSeen, people_seen
from spira.training.core.figures import Scored
from spira.training.use_cases.champion import Champion, Compared, compare
from spira.voice.features import FeatureSettings
from spira.voice.network import NetworkSettings
from spira.voice.score import ModelSettings, ScreeningModel
from spira.voice.segment import WindowSettings

RATE = 16_000
CONFIG = EvaluationConfig(min_test_people=6, slices=())
SETTINGS = ModelSettings(
    windows=WindowSettings(window_s=1.0, step_s=1.0),
    features=FeatureSettings(n_mfcc=4, level="rms"),
    network=NetworkSettings(dropout=0.0),
    code_version="test",
)


class Memory:
    """Recordings by location."""

    def __init__(self, clips: dict[str, bytes]) -> None:
        self.clips = clips

    def read(self, location: str) -> bytes:
        try:
            return self.clips[location]
        except KeyError:
            raise NotFound(location) from None


def hum(hz: float) -> bytes:
    out = io.BytesIO()
    tone = 0.1 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    soundfile.write(out, tone, RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()


@pytest.fixture(scope="module")
def world() -> tuple[Cohort, Memory, list[Scored]]:
    clips = {f"{n}.wav": hum(100.0 + 7 * n) for n in range(8)}
    recordings = tuple(
        Recording(
            row=n + 2,
            location=name,
            sha256=sha256_hex(data),
            duration_s=1.0,
            participant=f"p{n}",
            label=n % 2,
            fold=None,
            matched_pair=None,
            age=None,
            facets={},
        )
        for n, (name, data) in enumerate(clips.items())
    )
    scores = [
        Scored(participant=one.participant, label=one.label, score=n / 10, threshold=0.5)
        for n, one in enumerate(recordings)
    ]
    return Cohort(recordings=recordings), Memory(clips), scores


@pytest.fixture(scope="module")
def measured(world: tuple[Cohort, Memory, list[Scored]]) -> Callable[..., Compared]:
    cohort, memory, scores = world
    model = ScreeningModel.untrained(SETTINGS)

    def against(seen: PeopleSeen | None, *, key: str = "k", task: str = "sustained") -> Compared:
        champion = Champion(name="old/3", model=model, seen=seen)
        return compare(
            scores, champion, cohort, key=key, task=task, config=CONFIG, seed=1, recordings=memory, tell=lambda *_: None
        )

    return against


def test_without_a_champion_the_verdict_says_so(world: tuple[Cohort, Memory, list[Scored]]) -> None:
    cohort, memory, scores = world

    found = compare(
        scores, None, cohort, key="k", task="sustained", config=CONFIG, seed=1, recordings=memory, tell=lambda *_: None
    )

    assert (found.gate.verdict, found.gate.reason, found.table) == (
        "NOT ENOUGH DATA",
        "there is no champion",
        None,
    )


def test_people_whom_the_champion_saw_are_left_out(measured: Callable[..., Compared]) -> None:
    found = measured(PeopleSeen(key="k", seen=("p0", "p7", "somebody else")))

    assert found.table is not None
    assert (found.table["model"], found.table["n"]) == ("old/3", 6)
    assert {one["n"] for one in found.table["endpoints"]} == {6}


@pytest.mark.parametrize(
    ("seen", "more", "reason"),
    [
        (None, {}, "it is not recorded whom old/3 was trained on"),
        (PeopleSeen(key="k", seen=()), {"key": "other"}, "the people of old/3 are known under another key"),
        (PeopleSeen(key="k", seen=()), {"task": "sentence"}, "old/3 needs sustained, these recordings are sentence"),
        (PeopleSeen(key="k", seen=("p0", "p1", "p2")), {}, "5 of these people were never seen by old/3; at least 6"),
        (PeopleSeen(key="k", seen=("p1", "p3", "p5", "p7")), {}, "4 of these people were never seen by old/3"),
    ],
)
def test_what_can_not_be_compared_is_said(
    measured: Callable[..., Compared], seen: PeopleSeen | None, more: dict[str, str], reason: str
) -> None:
    found = measured(seen, **more)

    assert found.gate.verdict == "NOT ENOUGH DATA"
    assert found.gate.reason.startswith(reason)


def test_everybody_but_the_test_people_counts_as_seen(world: tuple[Cohort, Memory, list[Scored]]) -> None:
    cohort, _, _ = world

    found = people_seen(cohort, Split(train=(0, 2), validation=(5,), test=(1, 3)), key="k")

    assert found == PeopleSeen(key="k", seen=("p0", "p2", "p5"))
