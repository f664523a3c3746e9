"""A whole synthetic cohort as values: parameters, the recordings of a person, the noise bank."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.synthesis.glottis import SAMPLE_RATE
from spira.training.core.synthesis.people import Person
from spira.training.core.synthesis.scene import NOISES, draw_scene, kind_of, record, ward_noise
from spira.training.core.synthesis.speech import TASKS, Task, speak
from spira.training.core.synthesis.voice import draw_voice

REVISION = 1
"""Raised when the same parameters would give other samples, so that an older cohort is not taken for this one."""

_NOISE_SECONDS = 6
_CLIPS_PER_ROOM = 3
# Streams of chance: each question has its own, so that asking one more never changes the other answers.
_VOICE, _SPEECH, _SCENE, _ROOM = 2, 3, 4, 5

Pcm16 = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class CohortParameters:
    """What a cohort is made from; the same parameters give the same bytes."""

    participants: int = 120
    tasks: tuple[Task, ...] = ("sustained", "sentence")
    noise_clips: int = 24
    seed: int = 1

    def __post_init__(self) -> None:
        wrong = [
            Problem(where=where, what=what, hint=hint)
            for where, bad, what, hint in (
                ("participants", not 10 <= self.participants <= 5000, f"{self.participants}", "10 to 5000"),
                ("noise_clips", not 0 <= self.noise_clips <= 1000, f"{self.noise_clips}", "0 to 1000"),
                ("seed", not 0 <= self.seed < 2**32, f"{self.seed}", "0 to 2³²−1"),
                ("tasks", not self.tasks or len(set(self.tasks)) < len(self.tasks), f"{self.tasks}", "each once"),
                ("tasks", not set(self.tasks) <= set(TASKS), f"{self.tasks}", f"among {', '.join(TASKS)}"),
            )
            if bad
        ]
        if wrong:
            raise InvalidInput.of(wrong)

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "tasks": list(self.tasks), "revision": REVISION}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file of the cohort. `recording_id` tells nothing of the person, the label or the order."""

    recording_id: str
    task: Task
    device: str
    samples: Pcm16


@dataclass(frozen=True, kw_only=True)
class NoiseClip:
    """One clip of the noise bank; `group` is the room, to be kept on one side of a split."""

    name: str
    kind: str
    group: str
    samples: Pcm16


def recordings_of(person: Person, parameters: CohortParameters) -> Iterator[Recording]:
    """Each task once, on one device, in one session."""
    seed = parameters.seed
    voice = draw_voice(person, np.random.default_rng([seed, _VOICE, person.index]))
    scenes = np.random.default_rng([seed, _SCENE, person.index])
    scene = draw_scene(scenes)
    for task in parameters.tasks:
        said = speak(voice, task, np.random.default_rng([seed, _SPEECH, person.index, TASKS.index(task)]))
        heard = record(said.samples, said.voiced, scene=scene, mask=person.mask, rng=scenes)
        yield Recording(
            recording_id="r-" + hashlib.sha256(f"synthetic:{seed}:{person.index}:{task}".encode()).hexdigest()[:24],
            task=task,
            device=scene.device.name,
            samples=_pcm16(heard),
        )


def noise_clips(parameters: CohortParameters) -> Iterator[NoiseClip]:
    """Clips of 6 s, three to a room, kinds in turn."""
    kinds = list(NOISES)
    for index in range(parameters.noise_clips):
        room = index // _CLIPS_PER_ROOM
        rng = np.random.default_rng([parameters.seed, _ROOM, index])
        noise = ward_noise(kinds[room % len(kinds)], _NOISE_SECONDS * SAMPLE_RATE, rng)
        noise *= 10 ** (rng.uniform(-40, -26) / 20)
        yield NoiseClip(
            name=f"noise-{index:03d}",
            kind=kind_of(kinds[room % len(kinds)]),
            group=f"room-{room:03d}",
            samples=_pcm16(noise),
        )


def _pcm16(samples: npt.NDArray[np.float64]) -> Pcm16:
    return np.asarray(np.clip(np.round(samples * 32767), -32768, 32767), dtype=np.int16)
