"""The configuration of a training: one frozen tree from strict JSON, in which every mistake has a path and a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spira.kernel.errors import InvalidInput, NotFound, Problem
from spira.training.core import v1_grid
from spira.training.core.balance import BalanceConfig
from spira.training.core.battery import BatteryConfig
from spira.training.core.dataset import DatasetConfig
from spira.training.core.evaluation import EvaluationConfig, PublicationConfig
from spira.training.core.noise import AugmentationConfig
from spira.training.core.strict_json import Document, parse
from spira.voice.features import FeatureSettings
from spira.voice.network import NetworkSettings
from spira.voice.segment import WindowSettings

_PADDED = "has no meaning for windows.kind 'pad', whose recordings have one window"
PRESETS = Path(__file__).parent.parent / "presets"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitConfig(_Section):
    """Who is held out. People, never recordings, are divided."""

    kind: Literal["folds", "holdout", "leave-one-site-out"] = "folds"
    """`folds`: those of the manifest, else `folds` of equal size; `holdout`: one test side of `test_share`;
    `leave-one-site-out`: a fold per site."""
    folds: int = Field(default=5, ge=2, le=100)
    """Number of folds that are made where the manifest has none; each is held out once by cross-validation."""
    test_share: float = Field(default=0.2, gt=0.0, lt=0.9)
    """Share of each class that `holdout` holds out."""
    validation_share: float = Field(default=0.2, gt=0.0, le=0.5)
    """Share of the remaining people of each class that choose a member's epoch. The members of an ensemble take
    different people, so that calibration and threshold see them all, each scored by a member that did not fit them."""


class OptimisationConfig(_Section):
    """How weights are fitted: Adam on the mean binary cross-entropy of windows."""

    epochs: int = Field(default=100, ge=1)
    batch_recordings: int = Field(default=16, ge=1)
    """Recordings per batch; all windows of a recording stay together."""
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=0.01, ge=0.0)
    decoupled_decay: bool = False
    """AdamW's decay instead of the L2 term of the published recipe."""
    schedule: Literal["noam", "cosine", "constant"] = "noam"
    warmup_steps: int = Field(default=1000, ge=1)
    """`noam` and `cosine` rise for so many batches, to `learning_rate`, and then fall."""
    patience: int | None = Field(default=20, ge=1)
    """Epochs without a better validation AUC after which a member stops; null: never."""
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=0.5)
    mixup_alpha: float = Field(default=0.0, ge=0.0)
    """Beta(alpha, alpha) mixing of windows across labels; 0: off."""
    time_masks: int = Field(default=0, ge=0, le=16)
    time_mask_frames: int = Field(default=0, ge=0)
    """SpecAugment: stripes of up to so many frames are replaced by the window's mean."""
    bin_masks: int = Field(default=0, ge=0, le=16)
    bin_mask_bins: int = Field(default=0, ge=0)
    class_balance: Literal["none", "sampler", "loss"] = "none"
    """`sampler` draws recordings so that both classes are as frequent; `loss` weights their losses instead."""
    clip_norm: float | None = Field(default=None, gt=0.0)
    """Longest gradient, by its norm; null: any."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: the GPU where there is one. Equal bits are promised on the CPU only."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16`: mixed precision, on a GPU only."""
    threads: int = Field(default=1, ge=1, le=64)
    """CPU threads of torch. Sums depend on it in the last bits, so it is part of the configuration."""

    @property
    def changes_features(self) -> bool:
        """Whether a batch is changed on the fly, by SpecAugment or mixup."""
        return bool(self.time_masks or self.bin_masks or self.mixup_alpha)

    @model_validator(mode="after")
    def _masks_have_a_width(self) -> Self:
        for count, width in (("time_masks", "time_mask_frames"), ("bin_masks", "bin_mask_bins")):
            if (getattr(self, count) > 0) != (getattr(self, width) > 0):
                raise ValueError(f"{count} and {width} are both 0 or both above 0")
        return self


class CalibrationConfig(_Section):
    """What the validation people decide after the fit."""

    kind: Literal["none", "temperature", "platt"] = "platt"
    """`platt` fits temperature and bias, `temperature` the temperature alone."""
    threshold: Literal["fixed", "max-uar", "prevalence"] = "max-uar"
    """`prevalence`: the share of patients, from which on a calibrated score speaks for the class of patients whatever
    their share; of the highest expected UAR, and far less a matter of chance than `max-uar`, the highest one seen."""
    fixed_threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    max_error: float | None = Field(default=None, gt=0.0, lt=0.5)
    """Stated risk: scores around the threshold are inconclusive, so far that at most this share of the others is
    wrong among the validation people of either class; null: no score is inconclusive."""
    max_inconclusive: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Largest share of people whom the band may leave without an answer; the risk then stays above `max_error`."""


class TrainingConfig(_Section):
    """Everything that decides what a training gives, for one data set."""

    seed: int = Field(default=42, ge=0, lt=2**31)
    dataset: DatasetConfig = DatasetConfig()
    windows: WindowSettings = WindowSettings()
    features: FeatureSettings = FeatureSettings()
    augmentation: AugmentationConfig = AugmentationConfig()
    network: NetworkSettings = NetworkSettings()
    split: SplitConfig = SplitConfig()
    training: OptimisationConfig = OptimisationConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    balance: BalanceConfig = BalanceConfig()
    battery: BatteryConfig = BatteryConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    publication: PublicationConfig = PublicationConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.augmentation.variants == 0 and not self.augmentation.clean:
            raise ValueError("augmentation.clean false with augmentation.variants 0 leaves nothing to train on")
        if self.training.batch_recordings == 1 and self.network.architecture in {"robust", "spiraconv-v1"}:
            raise ValueError(f"network.architecture {self.network.architecture!r} needs training.batch_recordings >= 2")
        if self.features.kind == "waveform" and self.training.bin_masks:
            raise ValueError("training.bin_masks has no meaning for features.kind 'waveform'")
        return self


def preset_names() -> tuple[str, ...]:
    return tuple(sorted({*(file.stem for file in PRESETS.glob("*.json")), *v1_grid.preset_names()}))


def read_preset(name: str, *, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Raises NotFound, with the names that exist, and what `read_config` raises."""
    if name not in preset_names():
        raise NotFound(f"preset {name!r} does not exist; there are {', '.join(preset_names())}")
    experiment = v1_grid.experiment_of(name)
    if experiment is not None:
        base = PRESETS / f"{v1_grid.BASE}.json"
        return read_config(base, overrides=(*experiment.overrides(), *overrides), name=f"preset {name}")
    return read_config(PRESETS / f"{name}.json", overrides=overrides)


def read_config(file: Path, *, overrides: Sequence[str] = (), name: str = "") -> TrainingConfig:
    """The configuration in a JSON file, with `--set` overrides of the form `a.b=value`; mistakes are told as those of
    `name`, or of the file.

    Raises InvalidInput that tells every mistake with its path, and the line or the override it comes from.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.of([Problem(where=str(file), what=f"can't be read: {error}")]) from error
    name = name or file.name
    return config_of(parse(text, name=name), name=name, overrides=overrides)


def config_of(document: Document, *, name: str, overrides: Sequence[str] = ()) -> TrainingConfig:
    if not isinstance(document.value, dict):
        raise InvalidInput.of([Problem(where=f"{name}, line 1", what="is no JSON object")])
    value = json.loads(json.dumps(document.value))
    overridden = [_override(value, text) for text in overrides]
    if _pads_with_overlap(value, overridden):
        where = _where(("windows", "step_s"), document, name=name, overridden=overridden)
        raise InvalidInput.of([Problem(where=where, what=_PADDED, hint="leave it out, or take kind 'overlap'")])
    try:
        config = TrainingConfig.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise InvalidInput.of(
            Problem(
                where=_where(details["loc"], document, name=name, overridden=overridden),
                what=_what(details["type"], details["msg"]),
                hint=_hint(details["type"], details["loc"]),
            )
            for details in error.errors()
        ) from error
    if config.windows.kind == "pad" and ("windows", "step_s") in overridden:
        what, hint = (
            "contradicts windows.kind 'pad', which makes one window",
            "leave it out, or set windows.kind=overlap",
        )
        raise InvalidInput.of([Problem(where="--set windows.step_s", what=what, hint=hint)])
    return config


def _pads_with_overlap(value: Mapping[str, Any], overridden: Sequence[tuple[str, ...]]) -> bool:
    """Whether a step is asked for together with padding; one that a file has for the kind that was overridden is no
    wish of anybody's."""
    windows = value.get("windows")
    if not isinstance(windows, dict) or windows.get("kind") != "pad" or "step_s" not in windows:
        return False
    return ("windows", "step_s") in overridden or ("windows", "kind") not in overridden


def _override(value: dict[str, Any], text: str) -> tuple[str, ...]:
    path, equals, given = text.partition("=")
    keys = tuple(path.split("."))
    if not equals or not all(keys):
        raise InvalidInput.of([Problem(where=f"--set {text}", what="is not of the form a.b=value")])
    for key in keys[:-1]:
        value = value.setdefault(key, {})
        if not isinstance(value, dict):
            raise InvalidInput.of([Problem(where=f"--set {text}", what=f"{key!r} has no parts")])
    try:
        value[keys[-1]] = parse(given, name=f"--set {path}").value
    except InvalidInput:
        value[keys[-1]] = given
    return keys


def _where(path: tuple[str | int, ...], document: Document, *, name: str, overridden: Sequence[tuple[str, ...]]) -> str:
    dotted = ".".join(map(str, path))
    if any(path[: len(keys)] == keys for keys in overridden):
        return f"--set {dotted}"
    return f"{name}, line {document.line_of(path)}" + (f", {dotted}" if dotted else "")


def _what(kind: str, message: str) -> str:
    return "is not a known key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def _hint(kind: str, path: tuple[str | int, ...]) -> str:
    if kind != "extra_forbidden":
        return ""
    model: Any = TrainingConfig
    for key in path[:-1]:
        field = model.model_fields.get(str(key)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = None if field is None else field.annotation
    known = sorted(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
    return f"known: {', '.join(known)}" if known else ""
