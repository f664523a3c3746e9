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
_FLOOR_DB = -100.0


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VadSettings(_Data):
    """The energy VAD. A frame is speech when its level (dBFS) reaches `max(lowest_dbfs, min(a, b))`, where
    a = the `noise_percentile`-th percentile of all levels + `margin_db`, and
    b = the `top_percentile`-th percentile - `range_db` (a held vowel has no pause that would show the noise).
    """

    frame_s: float = 0.025
    hop_s: float = 0.010
    noise_percentile: float = 10.0
    margin_db: float = 9.0
    top_percentile: float = 95.0
    range_db: float = 20.0
    lowest_dbfs: float = -65.0


class QualityReport(_Data):
    """What was measured at 16 kHz. Levels are relative to full scale (1.0), of samples (peak) or of their RMS."""

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
    """Level of speech over the level of pauses; None where there is no pause to compare with."""
    bandwidth_hz: float
    """Highest frequency at which the long-term spectrum comes within 60 dB of its peak."""


class QualityRules(_Data):
    """Bounds that a recording must keep."""

    min_duration_s: float = Field(default=0.3, ge=0.0)
    max_duration_s: float = Field(default=120.0, gt=0.0)
    min_rms_dbfs: float = -60.0
    max_clipping_ratio: float = Field(default=0.2, ge=0.0, le=1.0)
    max_zero_ratio: float = Field(default=0.9, ge=0.0, le=1.0)


def measure(samples: FloatArray, vad: VadSettings = VadSettings()) -> QualityReport:
    """Measures a clip, float32 [samples] at 16 kHz."""
    levels = frame_levels(samples, vad)
    speech = speech_frames(levels, vad)
    return QualityReport(
        duration_s=len(samples) / SAMPLE_RATE,
        peak_dbfs=_dbfs(float(np.abs(samples).max(initial=0.0)) ** 2),
        rms_dbfs=_dbfs(_power(samples)),
        clipping_ratio=float(np.mean(np.abs(samples) >= 0.99)),
        zero_ratio=float(np.mean(np.abs(samples) < 2.0**-16)),
        speech_ratio=float(speech.mean()),
        snr_db=None,
        bandwidth_hz=SAMPLE_RATE / 2,
    )


def problems(report: QualityReport, rules: QualityRules, *, where: str) -> list[Problem]:
    """Every rule that `report` breaks."""
    found = []
    if report.duration_s < rules.min_duration_s:
        found.append(Problem(where=where, what=f"lasts {report.duration_s:.2f} s, at least {rules.min_duration_s} s"))
    if report.duration_s > rules.max_duration_s:
        found.append(Problem(where=where, what=f"lasts {report.duration_s:.2f} s, at most {rules.max_duration_s} s"))
    if report.rms_dbfs < rules.min_rms_dbfs:
        found.append(Problem(where=where, what=f"is silent ({report.rms_dbfs:.0f} dBFS)"))
    return found


def frame_levels(samples: FloatArray, vad: VadSettings) -> npt.NDArray[np.float64]:
    """RMS level of each frame in dBFS; a clip shorter than a frame is one frame."""
    frame, hop = round(vad.frame_s * SAMPLE_RATE), round(vad.hop_s * SAMPLE_RATE)
    if len(samples) < frame:
        return np.array([_dbfs(_power(samples))])
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    power = np.maximum(total[frame::hop] - total[:-frame:hop], 0.0) / frame
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (_FLOOR_DB / 10.0)))


def speech_frames(levels: npt.NDArray[np.float64], vad: VadSettings) -> BoolArray:
    """Which frames the VAD takes for speech, bool [frames]."""
    noise = float(np.percentile(levels, vad.noise_percentile)) + vad.margin_db
    top = float(np.percentile(levels, vad.top_percentile)) - vad.range_db
    return levels >= max(vad.lowest_dbfs, min(noise, top))


def _power(samples: FloatArray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def _dbfs(power: float) -> float:
    return max(_FLOOR_DB, 10.0 * float(np.log10(max(power, 1e-30))))


def active_rms(samples: FloatArray, vad: VadSettings) -> float:
    """RMS over the frames that the VAD takes for speech; over the whole clip where it finds none."""
    levels = frame_levels(samples, vad)
    speech = levels[speech_frames(levels, vad)]
    power = float(np.mean(10.0 ** (speech / 10.0))) if len(speech) else _power(samples)
    return float(np.sqrt(power))
