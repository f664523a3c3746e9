"""A trained model as one object: the same for training's evaluation, the command line, the registry and the worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.ids import sha256_hex
from spira.kernel.messages import Diagnosis, Sha256
from spira.voice.decode import FloatArray, decode
from spira.voice.features import Features, FeatureSettings, bins, frames, one_thread, prepare
from spira.voice.network import NetworkSettings, build_network
from spira.voice.quality import QualityReport, QualityRules, measure, problems
from spira.voice.robust import RobustNet
from spira.voice.segment import WindowSettings

SETTINGS_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"


class ModelSettings(BaseModel):
    """Everything about a model but its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    required_recordings: tuple[str, ...] = Field(default=("sustained",), min_length=1)
    windows: WindowSettings = WindowSettings()
    features: FeatureSettings = FeatureSettings()
    network: NetworkSettings = NetworkSettings()
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """A score from here on is positive."""
    inconclusive: tuple[float, float] | None = None
    """Scores in [low, high) are inconclusive."""
    temperature: float = Field(default=1.0, gt=0.0)
    bias: float = 0.0
    """Calibration: probability = sigmoid((logit + bias) / temperature)."""
    code_version: str
    trained_on: dict[str, str] = {}
    """Digests of the data sets, by name."""
    quality: QualityRules = QualityRules()

    @model_validator(mode="after")
    def _band_is_a_band(self) -> Self:
        if self.inconclusive is not None and not 0.0 <= self.inconclusive[0] <= self.inconclusive[1] <= 1.0:
            raise ValueError(f"inconclusive {self.inconclusive} is no band within [0, 1]")
        return self

    def diagnose(self, score: float) -> Diagnosis:
        """What a final score means."""
        if self.inconclusive is not None and self.inconclusive[0] <= score < self.inconclusive[1]:
            return "inconclusive"
        return "positive" if score >= self.threshold else "negative"


class Screening(BaseModel):
    """A model's answer: scores by recording and `final`, their mean; quality by recording."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scores: dict[str, float]
    diagnosis: Diagnosis
    quality: dict[str, QualityReport]


class _ModelFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: ModelSettings
    weights_sha256: Sha256


class ScreeningModel:
    """Settings and the networks of an ensemble. Scores are bit-equal alone, in threads and after saving and loading."""

    def __init__(self, settings: ModelSettings, networks: Sequence[nn.Module]) -> None:
        if len(networks) != settings.network.members:
            raise ValueError(f"{len(networks)} networks for an ensemble of {settings.network.members}")
        self.settings = settings
        self.networks = tuple(networks)

    @classmethod
    def untrained(cls, settings: ModelSettings) -> ScreeningModel:
        """Fresh networks that fit `settings`; weights come from torch's random numbers."""
        size = frames(settings.features, settings.windows.window)
        width = bins(settings.features)
        members = range(settings.network.members)
        return cls(settings, [build_network(settings.network, frames=size, bins=width) for _ in members])

    def save(self, folder: Path) -> None:
        """Writes `weights.safetensors`, then `model.json` with its digest, into `folder` (made when missing)."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = save_tensors({name: tensor.detach().cpu().clone() for name, tensor in self.weights().items()})
        (folder / WEIGHTS_FILE).write_bytes(weights)
        kept = _ModelFile(settings=self.settings, weights_sha256=sha256_hex(weights))
        (folder / SETTINGS_FILE).write_text(kept.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ScreeningModel:
        """Inverse of `save`; raises InvalidInput when a file is missing or the weights are not exactly those."""
        kept, weights = _read(folder)
        model = cls.untrained(kept.settings)
        _fill(model.weights(), weights, where=str(folder / WEIGHTS_FILE))
        return model

    def score_samples(self, samples: FloatArray) -> float:
        """The score of one clip, float32 [samples] at 16 kHz: the mean of its windows' probabilities."""
        return self.score_features(self.features_of(samples))

    def features_of(self, samples: FloatArray) -> Features:
        """What the networks see of a clip."""
        return prepare(samples, self.settings.windows, self.settings.features)

    def score_features(self, features: Features) -> float:
        """The score of a clip that is prepared already with this model's settings."""
        probabilities = [self._probability(logit) for logit in self.window_logits(features)]
        return math.fsum(probabilities) / len(probabilities)

    def window_logits(self, features: Features) -> list[float]:
        """Each window's logit, uncalibrated, the mean over the members.

        One window at a time on one thread, from memory of its own: a sum's order, and with it the last bits, may
        otherwise depend on the batch, on the number of threads and on how memory is aligned.
        """
        for network in self.networks:
            network.eval()
        with one_thread(), torch.inference_mode():
            pairs = zip(torch.split(features.values, 1), torch.split(features.mask, 1), strict=True)
            return [self._logit(values.clone(), mask.clone()) for values, mask in pairs]

    def screen(self, recordings: Mapping[str, bytes]) -> Screening:
        """Decodes, judges and scores the required recordings; others are left alone.

        Raises InvalidInput with every recording that is missing, unreadable or too bad to be scored.
        """
        clips = self._clips(recordings)
        quality = {name: measure(clip) for name, clip in clips.items()}
        found = [p for name, report in quality.items() for p in problems(report, self.settings.quality, where=name)]
        if found:
            raise InvalidInput.of(found)
        features = {name: self.features_of(clip) for name, clip in clips.items()}
        scores = {name: self.score_features(one) for name, one in features.items()}
        final = math.fsum(scores.values()) / len(scores)
        return Screening(scores=scores | {"final": final}, diagnosis=self._diagnose(final, features), quality=quality)

    def answer(self, samples: FloatArray) -> tuple[float, Diagnosis]:
        """Score and diagnosis of one clip, as `screen` gives them, without a look at its quality."""
        features = self.features_of(samples)
        score = self.score_features(features)
        return score, self._diagnose(score, {"": features})

    def novelty(self, features: Features) -> float:
        """How far a clip is from those of the fit, the mean over windows and members; 0 where networks can't say."""
        robust = [network for network in self.networks if isinstance(network, RobustNet)]
        if not robust:
            return 0.0
        with one_thread(), torch.inference_mode():
            found = [float(network.novelty(features.values, features.mask).mean()) for network in robust]
        return math.fsum(found) / len(found)

    def _diagnose(self, final: float, features: Mapping[str, Features]) -> Diagnosis:
        most = self.settings.network.max_novelty
        if most is not None and any(self.novelty(one) > most for one in features.values()):
            return "inconclusive"
        return self.settings.diagnose(final)

    def _clips(self, recordings: Mapping[str, bytes]) -> dict[str, FloatArray]:
        clips, found = {}, []
        for name in self.settings.required_recordings:
            if name not in recordings:
                found.append(Problem(where=name, what="is missing", hint="this model needs it"))
                continue
            try:
                clips[name] = decode(recordings[name], name=name)
            except InvalidInput as error:
                found.extend(error.problems)
        if found:
            raise InvalidInput.of(found)
        return clips

    def _logit(self, values: Tensor, mask: Tensor) -> float:
        logits = [float(network(values, mask)) for network in self.networks]
        return math.fsum(logits) / len(logits)

    def _probability(self, logit: float) -> float:
        return float(0.5 * (1.0 + math.tanh(0.5 * (logit + self.settings.bias) / self.settings.temperature)))

    def weights(self) -> dict[str, Tensor]:
        """The members' own tensors, by `MEMBER.NAME`."""
        states = (network.state_dict() for network in self.networks)
        return {f"{member}.{name}": tensor for member, state in enumerate(states) for name, tensor in state.items()}


def _fill(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, where: str) -> None:
    found = [Problem(where=where, what=f"lacks {name}") for name in sorted(own.keys() - weights.keys())]
    found += [Problem(where=where, what=f"holds unknown {name}") for name in sorted(weights.keys() - own.keys())]
    found += [
        Problem(where=where, what=f"{name} is {_kind(weights[name])}, not {_kind(tensor)}")
        for name, tensor in own.items()
        if name in weights and _kind(weights[name]) != _kind(tensor)
    ]
    if found:
        raise InvalidInput.of(found)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _read(folder: Path) -> tuple[_ModelFile, dict[str, Tensor]]:
    try:
        kept = _ModelFile.model_validate_json((folder / SETTINGS_FILE).read_bytes())
        weights = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise InvalidInput.of([Problem(where=str(folder), what=f"is no model: {error}")]) from error
    except ValidationError as error:
        where = str(folder / SETTINGS_FILE)
        raise InvalidInput.of(
            Problem(where=where, what=f"{'.'.join(map(str, e['loc']))}: {e['msg']}") for e in error.errors()
        ) from error
    if sha256_hex(weights) != kept.weights_sha256:
        problem = Problem(where=str(folder / WEIGHTS_FILE), what="is not the file that model.json was written for")
        raise InvalidInput.of([problem])
    try:
        return kept, load_tensors(weights)
    except SafetensorError as error:
        problem = Problem(where=str(folder / WEIGHTS_FILE), what=f"is no safetensors file: {error}")
        raise InvalidInput.of([problem]) from error
