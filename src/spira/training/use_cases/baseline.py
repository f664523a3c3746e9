"""The plain alternative that a network has to beat: 60 statistics of 20 MFCCs and a logistic regression.

Mean, deviation and deviation of the frame-to-frame change of each coefficient of the level-normalised
recording; standardised, logistic regression with C = 0.1, fitted on all people outside the fold and then frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from spira.training.core.cohort import Cohort
from spira.training.core.figures import Scored
from spira.training.core.plain import PlainModel
from spira.training.ports import Recordings, Tell
from spira.training.use_cases.evaluate import samples_of
from spira.voice.decode import SAMPLE_RATE, FloatArray

_N_MFCC, _N_MELS, _N_FFT, _HOP = 20, 128, 512, 160
_TOP_DB = 80.0
_STRENGTH = 0.1
"""Inverse strength of the L2 penalty."""

Rows = npt.NDArray[np.float64]


def baseline_rows(cohort: Cohort, indexes: Sequence[int], *, recordings: Recordings, tell: Tell) -> Rows:
    """The statistics of these recordings, float64 [n, 60]."""
    rows = []
    for done, index in enumerate(indexes, start=1):
        rows.append(statistics(samples_of(cohort.recordings[index], recordings)))
        tell(done, len(indexes), "baseline")
    return np.stack(rows)


def fit_baseline(rows: Rows, cohort: Cohort, indexes: Sequence[int]) -> PlainModel:
    """Fitted on the recordings `indexes`, whose statistics are `rows`."""
    from sklearn.linear_model import LogisticRegression

    labels = np.array([cohort.recordings[index].label for index in indexes])
    means, deviations = rows.mean(0), rows.std(0)
    scales = np.where(deviations > 0.0, deviations, 1.0)
    fitted = LogisticRegression(C=_STRENGTH, max_iter=1000)  # type: ignore[no-untyped-call]  # no annotations
    fitted.fit((rows - means) / scales, labels)
    return PlainModel(
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        coefficients=tuple(fitted.coef_[0].tolist()),
        intercept=float(fitted.intercept_[0]),
        people=len({cohort.recordings[index].participant for index in indexes}),
    )


def baseline_scores(model: PlainModel, rows: Rows, cohort: Cohort, indexes: Sequence[int]) -> list[Scored]:
    """Scores of the recordings `indexes`, whose statistics are `rows`."""
    found = []
    for index, value in zip(indexes, model.scores(rows).tolist(), strict=True):
        one = cohort.recordings[index]
        found.append(
            Scored(
                participant=one.participant,
                label=one.label,
                score=value,
                threshold=model.threshold,
                matched_pair=one.matched_pair,
                facets=one.facets,
            )
        )
    return found


def statistics(samples: FloatArray) -> npt.NDArray[np.float64]:
    """Mean, deviation and deviation of the frame-to-frame change of 20 MFCCs: float64 [60]."""
    coefficients = mfcc(samples / max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-8))
    slopes = np.diff(coefficients, axis=1)
    return np.concatenate([coefficients.mean(1), coefficients.std(1), slopes.std(1)])


def mfcc(samples: FloatArray) -> npt.NDArray[np.float64]:
    """[20, frames]: frames of 512 samples every 160, centred, zeros beyond the edges; 128 mel bands of Slaney's scale
    and area, dB with at most 80 below the peak, orthonormal DCT-II: the defaults of the usual Python toolkits."""
    signal = torch.from_numpy(np.asarray(samples, dtype=np.float64))
    window = torch.hann_window(_N_FFT, dtype=torch.float64)
    spectrum = torch.stft(signal, _N_FFT, _HOP, window=window, center=True, pad_mode="constant", return_complex=True)
    mel = _mel_bands() @ spectrum.abs().square().numpy()
    decibels = 10.0 * np.log10(np.maximum(mel, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - _TOP_DB)
    return np.asarray(_cosines() @ decibels)


@lru_cache(maxsize=1)
def _mel_bands() -> npt.NDArray[np.float64]:
    """[128, 1025], after Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above; each of area 1."""
    edges = _hz(np.linspace(_mel(0.0), _mel(SAMPLE_RATE / 2.0), _N_MELS + 2))
    slopes = edges[:, None] - np.linspace(0.0, SAMPLE_RATE / 2.0, _N_FFT // 2 + 1)
    widths = np.diff(edges)[:, None]
    bands = np.maximum(0.0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    return np.asarray(bands * (2.0 / (edges[2:] - edges[:-2]))[:, None])


def _mel(hz: float) -> float:
    return hz * 3.0 / 200.0 if hz < 1000.0 else 15.0 + 27.0 * float(np.log(hz / 1000.0) / np.log(6.4))


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)))


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    places = np.arange(_N_MFCC)[:, None] * (np.arange(_N_MELS) + 0.5)
    matrix = np.cos(np.pi / _N_MELS * places) * np.sqrt(2.0 / _N_MELS)
    matrix[0] /= np.sqrt(2.0)
    return np.asarray(matrix)
