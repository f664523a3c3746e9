"""Where it is recorded: ward noise, a phone's band and a level. Nothing here is ever told who is ill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.signal import butter, sosfilt

from spira.training.core.synthesis.glottis import SAMPLE_RATE, Signal

NoiseKind = Literal["ambient", "human"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """A phone: what passes of the spectrum (Hz), and its usual level (dBFS of the speech)."""

    name: str
    low: float
    high: float
    level: float


DEVICES = (
    Device(name="phone-a", low=60, high=7600, level=-22),
    Device(name="phone-b", low=120, high=7000, level=-26),
    Device(name="phone-c", low=80, high=6000, level=-20),
    Device(name="tablet", low=150, high=7400, level=-28),
)
_MASK_DB = {"none": 0.0, "thin": 2.0, "thick": 6.0}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A recording situation. `snr_db`: voice over ward noise; `level_db`: RMS of the voice (dBFS)."""

    device: Device
    snr_db: float
    level_db: float
    noises: tuple[str, ...]


def draw_scene(rng: np.random.Generator) -> Scene:
    """SNR 27 ± 5 dB, level ± 3 dB around the device's own; a fan or hum always, something else half the time."""
    device = DEVICES[int(rng.integers(len(DEVICES)))]
    noises = [str(rng.choice(["fan", "hum"]))]
    if rng.random() < 0.5:
        noises.append(str(rng.choice(["beeps", "babble"])))
    return Scene(
        device=device,
        snr_db=float(np.clip(rng.normal(27, 5), 12, 40)),
        level_db=float(device.level + 3 * rng.standard_normal()),
        noises=tuple(noises),
    )


def record(samples: Signal, voiced: Signal, *, scene: Scene, mask: str, rng: np.random.Generator) -> Signal:
    """What the phone stores: voice behind a mask, plus the ward, through the device, at its level; within ±1.

    The level is set by the voiced part, so pauses don't make a recording louder or quieter.
    """
    voice = _masked(samples, mask)
    speech_rms = _rms(voice[voiced > 0.5])
    ward = sum((ward_noise(kind, samples.size, rng) for kind in scene.noises), start=np.zeros(samples.size))
    heard = voice / speech_rms + 10 ** (-scene.snr_db / 20) * ward / _rms(ward)
    heard = sosfilt(butter(2, scene.device.low, "highpass", fs=SAMPLE_RATE, output="sos"), heard)
    heard = sosfilt(butter(4, scene.device.high, "lowpass", fs=SAMPLE_RATE, output="sos"), heard)
    heard = np.asarray(heard, dtype=np.float64) + 10 ** (-58 / 20) * rng.standard_normal(samples.size)
    heard *= 10 ** (scene.level_db / 20)
    return heard * min(1.0, 0.95 / float(np.max(np.abs(heard))))


def ward_noise(kind: str, samples: int, rng: np.random.Generator) -> Signal:
    """`samples` of one kind of `NOISES`, RMS 1."""
    noise = NOISES[kind](samples, rng)
    return noise / _rms(noise)


def _hum(samples: int, rng: np.random.Generator) -> Signal:
    """Mains (60 Hz and harmonics) with a little rumble."""
    time = np.arange(samples) / SAMPLE_RATE
    tones = sum(
        (np.sin(2 * np.pi * 60 * k * time + rng.uniform(0, 6.28)) * rng.uniform(0.2, 1.0) / k for k in range(1, 9)),
        start=np.zeros(samples),
    )
    return tones + 0.4 * _coloured(samples, -1.2, rng)


def _fan(samples: int, rng: np.random.Generator) -> Signal:
    """Air: noise falling 3–6 dB per octave with the blades' slow beat."""
    time = np.arange(samples) / SAMPLE_RATE
    beat = 1 + 0.15 * np.sin(2 * np.pi * rng.uniform(4, 18) * time)
    return _coloured(samples, rng.uniform(-1.0, -0.5), rng) * beat


def _beeps(samples: int, rng: np.random.Generator) -> Signal:
    """A monitor: short tones once a second or so, over faint air."""
    time = np.arange(samples) / SAMPLE_RATE
    pitch, period, on = rng.uniform(500, 1200), rng.uniform(0.6, 1.3), rng.uniform(0.08, 0.2)
    gate = ((time + rng.uniform(0, period)) % period < on).astype(np.float64)
    gate = np.convolve(gate, np.ones(80) / 80, mode="same")
    return gate * np.sin(2 * np.pi * pitch * time) + 0.1 * _coloured(samples, -0.7, rng)


def _babble(samples: int, rng: np.random.Generator) -> Signal:
    """Voices next door: noise in wandering formant bands, each talker at the rate of syllables."""
    time = np.arange(samples) / SAMPLE_RATE
    total = np.zeros(samples)
    for _ in range(4):
        centre = rng.uniform(300, 1600)
        band = butter(1, (0.7 * centre, 1.4 * centre), "bandpass", fs=SAMPLE_RATE, output="sos")
        talk = np.abs(np.sin(np.pi * rng.uniform(3, 6) * time + rng.uniform(0, 6.28)))
        total += talk * np.asarray(sosfilt(band, rng.standard_normal(samples)), dtype=np.float64)
    return total


NOISES: dict[str, Callable[[int, np.random.Generator], Signal]] = {
    "hum": _hum,
    "fan": _fan,
    "beeps": _beeps,
    "babble": _babble,
}


def kind_of(noise: str) -> NoiseKind:
    """The word of a noise manifest for one of `NOISES`."""
    return "human" if noise == "babble" else "ambient"


def _coloured(samples: int, slope: float, rng: np.random.Generator) -> Signal:
    """Noise whose amplitude spectrum goes with frequency^slope above 40 Hz, RMS 1."""
    length = 1 << (samples - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(length))
    shaped = np.fft.irfft(spectrum * np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 40.0) ** slope)[:samples]
    return np.asarray(shaped / _rms(shaped), dtype=np.float64)


def _masked(voice: Signal, mask: str) -> Signal:
    """Cloth takes up to 6 dB off the treble."""
    treble = np.asarray(sosfilt(butter(1, 2500, "highpass", fs=SAMPLE_RATE, output="sos"), voice), dtype=np.float64)
    return voice - (1 - 10 ** (-_MASK_DB[mask] / 20)) * treble


def _rms(signal: Signal) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) + 1e-12
