"""What is no voice like those of the fit gets no diagnosis."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch
from pydantic import ValidationError

from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.features import FeatureSettings
from spira.voice.network import NetworkSettings
from spira.voice.robust import RobustNet
from spira.voice.score import ModelSettings, ScreeningModel
from spira.voice.segment import WindowSettings

FEATURES = FeatureSettings(kind="phonation", n_fft=2048, win_length=640, n_mfcc=20, level="rms")
WINDOWS = WindowSettings(window_s=1.0, step_s=1.0)


def voice(pitch: float) -> FloatArray:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    breath = np.random.default_rng(int(pitch)).normal(0, 1e-3, len(time))
    return (sum(0.1 / k * np.sin(2 * np.pi * pitch * k * time) for k in range(1, 20)) + breath).astype(np.float32)


def hiss() -> FloatArray:
    return np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)


def wav(samples: FloatArray) -> bytes:
    held = io.BytesIO()
    soundfile.write(held, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return held.getvalue()


def fitted(*, max_novelty: float | None, directions: int = 0) -> ScreeningModel:
    """A model whose moments are those of voices between 100 and 250 Hz."""
    network = NetworkSettings(architecture="robust", members=2, max_novelty=max_novelty, noise_directions=directions)
    settings = ModelSettings(code_version="0", windows=WINDOWS, features=FEATURES, network=network, threshold=0.0)
    model = ScreeningModel.untrained(settings)
    from spira.voice.robust import statistics

    pooled = [model.features_of(voice(pitch)) for pitch in range(100, 250, 5)]
    rows = torch.cat([statistics(one.values, one.mask) for one in pooled]).flatten(1)
    for member in model.networks:
        assert isinstance(member, RobustNet)
        member.standardise.running_mean = rows.mean(0)
        member.standardise.running_var = rows.var(0)
        if member.compensation is not None:
            member.compensation.centre, member.compensation.spread = rows.mean(0), rows.std(0) + 0.03
    return model


@pytest.mark.parametrize("directions", [0, 2])
def test_voices_like_the_fits_are_near_and_noise_is_far(directions: int) -> None:
    model = fitted(max_novelty=4.0, directions=directions)

    assert model.novelty(model.features_of(voice(172.0))) < 4.0
    assert model.novelty(model.features_of(hiss())) > 10.0


def test_what_is_far_from_the_fit_is_inconclusive_and_keeps_its_score() -> None:
    bounded, free = fitted(max_novelty=4.0), fitted(max_novelty=None)

    assert bounded.answer(hiss())[1] == "inconclusive"
    assert free.answer(hiss())[1] == "positive"
    assert bounded.answer(voice(172.0))[1] == "positive"
    assert 0.0 <= bounded.answer(hiss())[0] <= 1.0


def test_a_screening_and_an_answer_agree() -> None:
    model = fitted(max_novelty=4.0)

    screening = model.screen({"sustained": wav(voice(172.0))})

    assert screening.diagnosis == "positive"
    assert screening.scores["final"] == model.answer(voice(172.0))[0]


def test_other_networks_can_not_say_what_is_new() -> None:
    with pytest.raises(ValidationError, match="max_novelty has no meaning"):
        NetworkSettings(architecture="spiraconv-v2", max_novelty=4.0)
