"""What is said: a held vowel, or a sentence of syllables with hiss, closures, pauses and a falling melody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, sosfilt

from spira.training.core.synthesis.glottis import SAMPLE_RATE, Signal, glottal_flow
from spira.training.core.synthesis.tract import at_frames, formants, frames_of, resonate
from spira.training.core.synthesis.voice import Voice, expected_pause_s, expected_pauses

Task = Literal["sustained", "sentence", "rhyme"]
TASKS: tuple[Task, ...] = ("sustained", "sentence", "rhyme")

# Syllables as onset + vowel. Onsets: s f x (hiss), t (closure), n (nasal), r (liquid), - (none). The 31 syllables of
# "O amor ao próximo ajuda a enfrentar o coronavírus com a força que a gente precisa", and the rhyme "Batatinha quando
# nasce, espalha rama pelo chão".
_TEXTS: dict[Task, str] = {
    "sentence": "-o -a no -a rO si no -a xu ta -a -e fe ta -o to rO na fi ru to -a fo sa ti -a xe ti re si za",
    "rhyme": "ta ta ti na ta to na si -i ta ra ra na te ro xa",
}
_PHRASE_ENDS = {"sentence": (2, 6, 9, 13, 19, 21, 23), "rhyme": (3, 5, 7, 10, 12)}


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """`samples` at 16 kHz, peak about 1; `voiced` where a voice sounds; `pauses_s` the lengths of the silent pauses."""

    samples: Signal
    voiced: Signal
    pauses_s: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Span:
    """A stretch of `length` samples: an onset, a vowel or a pause."""

    length: int
    kind: str
    vowel: str
    gain: float


def speak(voice: Voice, task: Task, rng: np.random.Generator) -> Utterance:
    """One recording of `task` in `voice`, still without a room."""
    return _hold(voice, rng) if task == "sustained" else _say(voice, task, rng)


def _hold(voice: Voice, rng: np.random.Generator) -> Utterance:
    """A held [a] of 2–4 s, a little shorter when breath is short."""
    seconds = float(np.clip(rng.normal(3.1 - 0.08 * voice.breathlessness, 0.6), 2.0, 4.0))
    samples = int(seconds * SAMPLE_RATE)
    f0 = voice.f0 * 2 ** (voice.drift * _slow(samples, 6.0, rng) / 12) * np.linspace(1.01, 0.99, samples)
    loudness = _ramps(samples, 0.06, 0.15) * 10 ** (0.8 * _slow(samples, 2.0, rng) / 20)
    loudness *= 10 ** (-np.linspace(0, rng.uniform(0.5, 4.0), samples) / 20)
    heard = resonate(_source(voice, f0, rng) * loudness, _shape(voice, "a", rng), damping=_damping(voice))
    return Utterance(samples=_tilted(heard, voice), voiced=np.ones(samples))


def _say(voice: Voice, task: Task, rng: np.random.Generator) -> Utterance:
    pauses = draw_pauses(voice, task, rng)
    spans = _spans(voice, task, pauses, rng)
    gain = _smooth(np.concatenate([np.full(span.length, span.gain) for span in spans]), 0.008)
    samples = gain.size
    voiced = np.concatenate([np.full(span.length, float(span.kind in "vnr")) for span in spans])
    silent = np.concatenate([np.full(span.length, float(span.kind == "pause")) for span in spans])
    melody = 2.5 - 5.0 * np.linspace(0, 1, samples) + voice.liveliness * _slow(samples, 3.0, rng)
    source = _source(voice, voice.f0 * 2 ** (melody / 12), rng) * gain * _smooth(voiced, 0.006)
    heard = resonate(source, _path(voice, spans, rng), damping=_damping(voice))
    heard = _tilted(heard, voice) + _hiss(spans, rng) + _inhaled(voice, silent, rng)
    return Utterance(samples=heard, voiced=voiced, pauses_s=tuple(pauses.values()))


def draw_pauses(voice: Voice, task: Task, rng: np.random.Generator) -> dict[int, float]:
    """Length (s) of the pause after a syllable. Short of breath, people pause inside phrases too (Ferreira, 2025)."""
    syllables = len(_TEXTS[task].split())
    mean = expected_pauses(voice.breathlessness) * syllables / 31
    weights = np.ones(syllables - 1)
    weights[list(_PHRASE_ENDS[task])] = 1 + 10 * np.exp(-voice.breathlessness)
    count = min(int(rng.poisson(mean)), syllables // 4)
    places = rng.choice(syllables - 1, size=count, replace=False, p=weights / weights.sum())
    spread = 0.35
    lengths = expected_pause_s(voice.breathlessness) * np.exp(spread * rng.standard_normal(count) - spread**2 / 2)
    lengths = np.clip(lengths, 0.05, 1.5)
    return {int(place): float(length) for place, length in zip(places, lengths, strict=True)}


def _spans(voice: Voice, task: Task, pauses: dict[int, float], rng: np.random.Generator) -> list[_Span]:
    edge = int(0.15 * SAMPLE_RATE)
    spans = [_Span(length=int(rng.uniform(1, 2) * edge), kind="pause", vowel="a", gain=0.0)]
    syllables = _TEXTS[task].split()
    for place, syllable in enumerate(syllables):
        onset, vowel = syllable[0], syllable[1]
        kind = {"s": "s", "z": "s", "x": "s", "f": "f", "t": "stop", "n": "n", "r": "r"}.get(onset, "")
        length = int(SAMPLE_RATE / voice.rate * float(np.exp(0.15 * rng.standard_normal())))
        share = {"": 0.0, "s": 0.4, "f": 0.35, "stop": 0.3, "n": 0.35, "r": 0.25}[kind]
        if kind:
            level = {"s": 0.0, "f": 0.0, "stop": 0.0, "n": 0.35, "r": 0.5}[kind]
            spans.append(_Span(length=int(share * length), kind=kind, vowel=vowel, gain=level))
        loud = float(rng.uniform(0.7, 1.0)) * (1 - 0.3 * place / len(syllables))
        spans.append(_Span(length=int((1 - share) * length), kind="v", vowel=vowel, gain=loud))
        if place in pauses:
            spans.append(_Span(length=int(pauses[place] * SAMPLE_RATE), kind="pause", vowel=vowel, gain=0.0))
    return [*spans, _Span(length=int(rng.uniform(1, 2) * edge), kind="pause", vowel="a", gain=0.0)]


def _path(voice: Voice, spans: list[_Span], rng: np.random.Generator) -> Signal:
    """Formants over time, (frames, 7): steps from target to target, smoothed over 35 ms as a tongue would."""
    shapes = [_shape(voice, span.vowel, rng, nasal=span.kind == "n") for span in spans]
    owner = np.repeat(np.arange(len(spans)), [span.length for span in spans])
    steps = np.stack(shapes)[at_frames(owner.astype(np.float64)).astype(np.int64)]
    if len(steps) != frames_of(owner.size):
        raise AssertionError("one shape per frame")
    return np.asarray(gaussian_filter1d(steps, 4.4, axis=0, mode="nearest"), dtype=np.float64)


def _shape(voice: Voice, vowel: str, rng: np.random.Generator, *, nasal: bool = False) -> Signal:
    centres = formants(vowel, scale=voice.tract) * (1 + 0.03 * rng.standard_normal(7))
    if nasal:
        centres[0] = 270.0 * voice.tract
    return np.sort(centres)


def _source(voice: Voice, f0: Signal, rng: np.random.Generator) -> Signal:
    return glottal_flow(f0, rd=voice.rd, jitter=voice.jitter, shimmer=voice.shimmer, breath_db=voice.breath_db, rng=rng)


def _damping(voice: Voice) -> float:
    return 1.0 + 0.25 * max(0.0, voice.rd - 0.8)


def _hiss(spans: list[_Span], rng: np.random.Generator) -> Signal:
    """Noise of the fricatives ([s]-like above 3.5 kHz, [f]-like flat and weak) and the bursts of the stops."""
    loud = {"s": 0.16, "f": 0.05}
    gain = _smooth(np.concatenate([np.full(span.length, loud.get(span.kind, 0.0)) for span in spans]), 0.012)
    end = 0
    for span in spans:
        end += span.length
        if span.kind == "stop":
            gain[max(0, end - 160) : end] += 0.12
    noise = rng.standard_normal(gain.size)
    bright = sosfilt(butter(2, 2800, "highpass", fs=SAMPLE_RATE, output="sos"), noise)
    return np.asarray(gain * bright, dtype=np.float64)


def _inhaled(voice: Voice, silent: Signal, rng: np.random.Generator) -> Signal:
    """A breath drawn in pauses, louder when it is short."""
    level = 0.006 * float(np.exp(0.5 * rng.standard_normal() + 0.5 * voice.breathlessness))
    noise = sosfilt(butter(1, (500, 3000), "bandpass", fs=SAMPLE_RATE, output="sos"), rng.standard_normal(silent.size))
    return np.asarray(level * _smooth(silent, 0.04) * noise, dtype=np.float64)


def _tilted(heard: Signal, voice: Voice) -> Signal:
    """Peak 1, with a person's own spectral slope of `voice.tilt` dB between the ends of the band."""
    bright = np.diff(heard, prepend=0.0)
    share = np.clip(voice.tilt / 12, -0.45, 0.45)
    mixed = heard + share * bright if share > 0 else heard - 0.5 * share * _smooth(heard, 0.00015)
    return np.asarray(mixed / (np.max(np.abs(mixed)) + 1e-9), dtype=np.float64)


def _slow(samples: int, hertz: float, rng: np.random.Generator) -> Signal:
    """Noise of unit variance that moves no faster than about `hertz`."""
    points = int(samples / SAMPLE_RATE * 100) + 12
    coarse = gaussian_filter1d(rng.standard_normal(points + 80), 100 / (2 * np.pi * hertz))[40:-40]
    coarse = (coarse - coarse.mean()) / (coarse.std() + 1e-9)
    moved = np.interp(np.linspace(0, points - 1, samples), np.arange(points), coarse)
    return np.asarray(moved, dtype=np.float64)


def _smooth(values: Signal, seconds: float) -> Signal:
    """Running mean over `seconds`, twice: soft edges in linear time."""
    width = max(1, int(seconds * SAMPLE_RATE))
    padded = np.concatenate([np.full(width, values[0]), values, np.full(width, values[-1])])
    for _ in range(2):
        total = np.cumsum(np.concatenate([np.zeros(1), padded]))
        mean = (total[width:] - total[:-width]) / width
        padded = np.concatenate([np.full(width // 2, mean[0]), mean, np.full(width - 1 - width // 2, mean[-1])])
    return padded[width : width + values.size]


def _ramps(samples: int, rise: float, fall: float) -> Signal:
    """Half-cosine fade-in and fade-out (s)."""
    up, down = int(rise * SAMPLE_RATE), int(fall * SAMPLE_RATE)
    gain = np.ones(samples)
    gain[:up] = 0.5 - 0.5 * np.cos(np.pi * np.arange(up) / up)
    gain[-down:] = 0.5 + 0.5 * np.cos(np.pi * np.arange(down) / down)
    return gain
