"""How good a recording is, as numbers, and which of them a rule refuses. An energy VAD tells speech from pauses.

`VadSettings` and `QualityRules` are plain data, so that a recorder in another language can judge alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from spira.kernel.errors import Problem
from spira.voice.decode import SAMPLE_RATE, FloatArray

BoolArray = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.float64]

LOWEST_DBFS = -100.0
"""What digital silence counts as, so that levels and ratios stay finite."""
CLIPPED = 0.99
"""Amplitude from which a sample counts as clipped: resampling leaves flat tops not quite at full scale."""
ZERO = 2.0**-16
"""Amplitude below which a sample is zero at 16 bits."""
BANDWIDTH_DROP_DB = 60.0
_SPECTRUM = 1024


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VadSettings(_Data):
    """The energy VAD. Of all frames' RMS levels (dBFS) take `low`, the `low_percentile`-th percentile, and `high`, the
    `high_percentile`-th. When `high - low` reaches `contrast_db`, speech is what reaches
    `low + min(margin_db, (high - low) / 2)`; otherwise the clip has no pause (a held vowel, say) and every frame is
    speech. Nothing below `lowest_dbfs` is. Percentiles are interpolated linearly; frames start every `hop_s` and lie
    wholly within the clip.
    """

    frame_s: float = Field(default=0.025, gt=0.0)
    hop_s: float = Field(default=0.010, gt=0.0)
    low_percentile: float = Field(default=10.0, ge=0.0, le=100.0)
    high_percentile: float = Field(default=95.0, ge=0.0, le=100.0)
    contrast_db: float = Field(default=12.0, ge=0.0)
    margin_db: float = Field(default=9.0, ge=0.0)
    lowest_dbfs: float = -65.0


class QualityReport(_Data):
    """What was measured at 16 kHz. Levels are relative to full scale: 0 dBFS is an amplitude (or RMS) of 1.0."""

    duration_s: float
    peak_dbfs: float
    rms_dbfs: float
    clipping_ratio: float
    """Share of samples at full scale."""
    zero_ratio: float
    """Share of samples that are zero at 16 bits: a noise gate's or a dead microphone's."""
    speech_ratio: float
    """Share of frames that the VAD takes for speech."""
    snr_db: float | None
    """Power of speech (less the noise) over the power of pauses; None where there are no pauses to compare with."""
    bandwidth_hz: float
    """Highest frequency at which the long-term spectrum comes within 60 dB of its peak."""
    periodicity: float
    """Median over speech frames of the highest normalised autocorrelation at 60 to 500 Hz: 1 for a perfect voice,
    about 0.15 for white noise. The most severely hoarse vowels lie around 0.35."""


class QualityRules(_Data):
    """Bounds that a recording must keep."""

    min_duration_s: float = Field(default=0.3, ge=0.0)
    max_duration_s: float = Field(default=120.0, gt=0.0)
    min_rms_dbfs: float = -60.0
    max_clipping_ratio: float = Field(default=0.2, ge=0.0, le=1.0)
    max_zero_ratio: float = Field(default=0.9, ge=0.0, le=1.0)
    min_speech_s: float = Field(default=0.1, ge=0.0)
    min_snr_db: float | None = None
    min_bandwidth_hz: float = Field(default=0.0, ge=0.0)
    min_periodicity: float = Field(default=0.25, ge=-1.0, le=1.0)


DEFAULT_VAD = VadSettings()


def measure(samples: FloatArray, vad: VadSettings = DEFAULT_VAD) -> QualityReport:
    """Measures a clip, float32 [samples] at 16 kHz."""
    levels = frame_levels(samples, vad)
    speech = speech_frames(levels, vad)
    size = np.abs(samples)
    return QualityReport(
        duration_s=len(samples) / SAMPLE_RATE,
        peak_dbfs=_dbfs(float(size.max(initial=0.0)) ** 2),
        rms_dbfs=_dbfs(_power(samples)),
        clipping_ratio=_share(size >= CLIPPED),
        zero_ratio=_share(size < ZERO),
        speech_ratio=_share(speech),
        snr_db=_snr_db(levels, speech),
        bandwidth_hz=_bandwidth_hz(samples),
        periodicity=_periodicity(samples, speech, vad),
    )


def problems(report: QualityReport, rules: QualityRules, *, where: str) -> list[Problem]:
    """Every rule that `report` breaks, each with the way out; `where` names the recording."""
    speech_s = report.speech_ratio * report.duration_s
    quiet = report.snr_db is None or rules.min_snr_db is None or report.snr_db >= rules.min_snr_db
    verdicts = (
        (
            report.duration_s >= rules.min_duration_s,
            f"lasts {report.duration_s:.2f} s, at least {rules.min_duration_s:g} s are needed",
            "record longer",
        ),
        (
            report.duration_s <= rules.max_duration_s,
            f"lasts {report.duration_s:.1f} s, at most {rules.max_duration_s:g} s are taken",
            "record shorter",
        ),
        (
            report.rms_dbfs >= rules.min_rms_dbfs,
            f"is almost silent ({report.rms_dbfs:.0f} dBFS)",
            "move the microphone closer",
        ),
        (
            report.clipping_ratio <= rules.max_clipping_ratio,
            f"is clipped in {report.clipping_ratio:.0%} of its samples",
            "move the microphone away",
        ),
        (
            report.zero_ratio <= rules.max_zero_ratio,
            f"is digital silence in {report.zero_ratio:.0%} of its samples",
            "switch noise suppression off",
        ),
        (speech_s >= rules.min_speech_s, f"holds {speech_s:.2f} s of sound above its noise", "speak up"),
        (quiet, f"is noisy ({report.snr_db or 0.0:.0f} dB above the noise)", "find a quieter place"),
        (
            report.bandwidth_hz >= rules.min_bandwidth_hz,
            f"reaches only to {report.bandwidth_hz:.0f} Hz",
            "record at 16000 Hz or more",
        ),
        (
            report.periodicity >= rules.min_periodicity,
            "holds noise, no voice",
            "record the voice from nearby",
        ),
    )
    return [Problem(where=where, what=what, hint=hint) for kept, what, hint in verdicts if not kept]


def frame_levels(samples: FloatArray, vad: VadSettings = DEFAULT_VAD) -> Levels:
    """RMS level of each frame in dBFS, float64 [frames]; a clip shorter than a frame is one frame."""
    frame, hop = _sizes(vad)
    if len(samples) < frame:
        return np.array([_dbfs(_power(samples))])
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    ends = np.arange(frame, len(total), hop)
    power = np.maximum(total[ends] - total[ends - frame], 0.0) / frame
    levels: Levels = 10.0 * np.log10(np.maximum(power, 10.0 ** (LOWEST_DBFS / 10.0)))
    return levels


def speech_frames(levels: Levels, vad: VadSettings = DEFAULT_VAD) -> BoolArray:
    """Which frames the VAD takes for speech, bool [frames]."""
    low, high = np.percentile(levels, [vad.low_percentile, vad.high_percentile])
    contrast = float(high - low)
    least = float(low) + min(vad.margin_db, contrast / 2) if contrast >= vad.contrast_db else vad.lowest_dbfs
    return np.asarray(levels >= max(vad.lowest_dbfs, least))


def active_rms(samples: FloatArray, vad: VadSettings = DEFAULT_VAD) -> float:
    """RMS amplitude over the frames that the VAD takes for speech; over the whole clip where it finds none."""
    levels = frame_levels(samples, vad)
    speech = speech_frames(levels, vad)
    return float(np.sqrt(_mean_power(levels[speech]) if speech.any() else _power(samples)))


def _snr_db(levels: Levels, speech: BoolArray) -> float | None:
    if speech.all() or not speech.any():
        return None
    noise = _mean_power(levels[~speech])
    voice = max(_mean_power(levels[speech]) - noise, noise * 1e-3)
    return float(10.0 * np.log10(voice / noise))


def _bandwidth_hz(samples: FloatArray) -> float:
    """Welch's average of Hann-windowed spectra, half overlapping, 15.6 Hz apart."""
    clip = np.pad(samples, (0, max(0, _SPECTRUM - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(clip, _SPECTRUM)[:: _SPECTRUM // 2]
    spectrum = np.mean(np.abs(np.fft.rfft(frames * np.hanning(_SPECTRUM).astype(np.float32))) ** 2, axis=0)
    if not spectrum.any():
        return 0.0
    heard = np.flatnonzero(spectrum >= spectrum.max() * 10.0 ** (-BANDWIDTH_DROP_DB / 10.0))
    return float(heard[-1]) * SAMPLE_RATE / _SPECTRUM


def _periodicity(samples: FloatArray, speech: BoolArray, vad: VadSettings) -> float:
    """Boersma's autocorrelation of a windowed frame over that of its window (1993), in frames of 50 ms."""
    size, low, high = 800, SAMPLE_RATE // 500, SAMPLE_RATE // 60
    starts = np.flatnonzero(speech)[::2] * _sizes(vad)[1]
    starts = starts[starts + size <= len(samples)]
    if len(starts) == 0:
        return 0.0
    window = np.hanning(size)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[starts]
    frames = (frames - frames.mean(axis=1, keepdims=True)) * window
    correlation = _autocorrelation(frames) / _autocorrelation(window[None])
    return float(np.median(correlation[:, low : high + 1].max(axis=1)))


def _autocorrelation(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = 2 * frames.shape[1]
    power = np.abs(np.fft.rfft(frames, size)) ** 2
    raw = np.fft.irfft(power, size)
    normalised: npt.NDArray[np.float64] = raw / np.maximum(raw[:, :1], 1e-20)
    return normalised


def _sizes(vad: VadSettings) -> tuple[int, int]:
    return round(vad.frame_s * SAMPLE_RATE), round(vad.hop_s * SAMPLE_RATE)


def _share(which: BoolArray) -> float:
    return float(which.mean()) if which.size else 0.0


def _mean_power(levels: Levels) -> float:
    return float(np.mean(10.0 ** (levels / 10.0)))


def _power(samples: FloatArray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def _dbfs(power: float) -> float:
    return max(LOWEST_DBFS, 10.0 * float(np.log10(max(power, 1e-30))))
