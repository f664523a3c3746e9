"""The fit of an ensemble: each member alone, then calibration and threshold on the validation people.

    assemble features -> for each member: epochs -> best epoch -> calibrate -> ScreeningModel

An epoch takes one version (clean or noisy) of every training recording at random, in random order. After each
epoch the whole state is saved, so that a fit which is killed and resumed equals an unbroken one bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spira.training.core.calibration import Calibration, calibrate
from spira.training.core.cohort import Cohort, Split
from spira.training.core.config import TrainingConfig
from spira.training.core.figures import auc
from spira.training.core.fit import FitState, augmented, noam_rate, window_loss
from spira.training.ports import Checkpoints, Tell
from spira.voice.features import bins
from spira.voice.network import build_network
from spira.voice.robust import RobustNet, statistics
from spira.voice.score import ModelSettings, ScreeningModel

Versions = Mapping[int, Mapping[str, Tensor]]
"""Features by version (0 is clean), as `features.assemble` gives them."""

IntArray = npt.NDArray[np.int64]
_VALIDATION_WINDOWS = 256


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained model and how it came about."""

    model: ScreeningModel
    curves: dict[str, list[float]]
    """By `memberN.NAME`: loss, validation_loss, validation_auc, learning_rate; one value per epoch."""
    best_epochs: tuple[int, ...]
    validation_auc: float


def train(
    cohort: Cohort,
    versions: Versions,
    split: Split,
    *,
    config: TrainingConfig,
    trained_on: Mapping[str, str],
    code_version: str,
    checkpoints: Checkpoints,
    tell: Tell,
    resume: bool = False,
) -> Fitted:
    """Fit all members on the people of `split.train`; those of `split.test` are not touched.

    With `resume` it goes on after the last epoch that was saved, if any.
    """
    torch.set_num_threads(config.training.threads)
    data = _Data.of(cohort, versions, split, config)
    members = [
        _fit_member(number, data, config=config, checkpoints=checkpoints, tell=tell, resume=resume)
        for number in range(config.network.members)
    ]
    for state in members:
        state.restore_best()
    logits = torch.stack([_validation_logits(state.network, data) for state in members]).mean(0)
    calibration = calibrate(
        logits.double().numpy(), data.validation_owner.numpy(), data.validation_labels.numpy(), config.calibration
    )
    settings = _settings(config, calibration, trained_on=trained_on, code_version=code_version)
    curves = {f"member{n}.{name}": values for n, state in enumerate(members) for name, values in state.curves.items()}
    return Fitted(
        model=ScreeningModel(settings, [state.network for state in members]),
        curves=curves,
        best_epochs=tuple(state.best_epoch for state in members),
        validation_auc=auc(_file_scores(logits, data), data.validation_labels.numpy()).value,
    )


@dataclass(frozen=True, kw_only=True)
class _Data:
    """Tensors of the people who are fitted on and of those who choose."""

    versions: tuple[Mapping[str, Tensor], ...]
    """Versions that the fit may take."""
    rows: tuple[tuple[Tensor, ...], ...]
    """For each version, the windows of each training recording."""
    labels: Tensor
    """Of the training recordings, float32."""
    validation_values: Tensor
    validation_mask: Tensor
    validation_owner: Tensor
    """Which validation recording a window belongs to, from 0."""
    validation_labels: Tensor
    pooled: bool
    """Whether the values are the statistics that `RobustNet` pools, computed once instead of at every batch."""

    @classmethod
    def of(cls, cohort: Cohort, versions: Versions, split: Split, config: TrainingConfig) -> _Data:
        pooled = config.network.architecture == "robust" and not config.training.changes_features
        if pooled:
            versions = {
                n: dict(one) | {"values": statistics(one["values"], one["mask"])} for n, one in versions.items()
            }
        used = [versions[n] for n in sorted(versions) if n > 0 or config.augmentation.clean]
        clean = versions[0]
        rows, owner = _windows(clean, split.validation)
        all_labels = torch.tensor([one.label for one in cohort.recordings], dtype=torch.float32)
        return cls(
            versions=tuple(used),
            rows=tuple(tuple(_rows_by_recording(one, split.train)) for one in used),
            labels=all_labels[list(split.train)],
            validation_values=clean["values"][rows],
            validation_mask=clean["mask"][rows],
            validation_owner=owner,
            validation_labels=all_labels[list(split.validation)],
            pooled=pooled,
        )

    def logits(self, network: nn.Module, values: Tensor, mask: Tensor) -> Tensor:
        if self.pooled:
            return cast("RobustNet", network).classify(values)
        found: Tensor = network(values, mask)
        return found


def _rows_by_recording(version: Mapping[str, Tensor], recordings: Sequence[int]) -> list[Tensor]:
    return [torch.nonzero(version["recording"] == index).flatten() for index in recordings]


def _windows(version: Mapping[str, Tensor], recordings: Sequence[int]) -> tuple[Tensor, Tensor]:
    rows = _rows_by_recording(version, recordings)
    owner = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(one) for one in rows]))
    return torch.cat(rows), owner


def _fit_member(
    number: int, data: _Data, *, config: TrainingConfig, checkpoints: Checkpoints, tell: Tell, resume: bool
) -> FitState:
    state = _fresh(number, data, config)
    saved = checkpoints.load(f"member-{number}") if resume else None
    if saved is not None:
        state.load(saved)
    total = config.network.members * config.training.epochs
    while not state.is_over(config.training):
        _epoch(state, data, config)
        checkpoints.save(f"member-{number}", state.save())
        note = f"member {number + 1}, loss {state.curves['loss'][-1]:.3f}, AUC {state.curves['validation_auc'][-1]:.3f}"
        tell(number * config.training.epochs + state.epoch, total, note)
    return state


def _fresh(number: int, data: _Data, config: TrainingConfig) -> FitState:
    torch.manual_seed(config.seed + 1000 * number)
    frames = data.validation_mask.shape[1]
    network = build_network(config.network, frames=frames, bins=bins(config.features))
    kind = torch.optim.AdamW if config.training.decoupled_decay else torch.optim.Adam
    optimiser = kind(network.parameters(), lr=config.training.learning_rate, weight_decay=config.training.weight_decay)
    return FitState(network=network, optimiser=optimiser, random=np.random.default_rng([config.seed, number]))


def _epoch(state: FitState, data: _Data, config: TrainingConfig) -> None:
    state.network.train()
    order = state.random.permutation(len(data.labels))
    chosen = state.random.integers(len(data.versions), size=len(data.labels))
    batches = _batches(order, config.training.batch_recordings)
    losses = [_step(state, data, batch, chosen[batch], config) for batch in batches]
    _judge(state, data, loss=float(np.mean(losses)))


def _batches(order: IntArray, size: int) -> list[IntArray]:
    """Batches of `size`; a last one of a single recording joins the one before, since norms need two."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return [order[start:end] for start, end in zip(starts, [*starts[1:], len(order)], strict=True)]


def _step(
    state: FitState,
    data: _Data,
    batch: IntArray,
    chosen: IntArray,
    config: TrainingConfig,
) -> float:
    values, mask, targets = _gather(data, batch, chosen)
    values, targets = augmented(values, mask, targets, config=config.training, random=state.random)
    for group in state.optimiser.param_groups:
        group["lr"] = noam_rate(state.step + 1, config.training)
    state.optimiser.zero_grad(set_to_none=True)
    loss = window_loss(data.logits(state.network, values, mask), targets, smoothing=config.training.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's method has no annotations
    state.optimiser.step()
    state.step += 1
    return float(loss.detach())


def _gather(data: _Data, batch: IntArray, chosen: IntArray) -> tuple[Tensor, Tensor, Tensor]:
    values, mask, targets = [], [], []
    for recording, version in zip(batch.tolist(), chosen.tolist(), strict=True):
        rows = data.rows[version][recording]
        values.append(data.versions[version]["values"][rows])
        mask.append(data.versions[version]["mask"][rows])
        targets.append(data.labels[recording].expand(len(rows)))
    return torch.cat(values), torch.cat(mask), torch.cat(targets)


def _judge(state: FitState, data: _Data, *, loss: float) -> None:
    logits = _validation_logits(state.network, data)
    targets = data.validation_labels[data.validation_owner]
    area = auc(_file_scores(logits, data), data.validation_labels.numpy()).value
    state.note_epoch(
        loss=loss,
        validation_loss=float(nn.functional.binary_cross_entropy_with_logits(logits, targets)),
        validation_auc=area,
    )


def _validation_logits(network: nn.Module, data: _Data) -> Tensor:
    network.eval()
    with torch.inference_mode():
        parts = zip(
            torch.split(data.validation_values, _VALIDATION_WINDOWS),
            torch.split(data.validation_mask, _VALIDATION_WINDOWS),
            strict=True,
        )
        return torch.cat([data.logits(network, values, mask) for values, mask in parts])


def _file_scores(logits: Tensor, data: _Data) -> npt.NDArray[np.float64]:
    """Mean window probability of each validation recording."""
    sums = torch.zeros(len(data.validation_labels), dtype=torch.float64)
    sums.index_add_(0, data.validation_owner, torch.sigmoid(logits.double()))
    return (sums / torch.bincount(data.validation_owner, minlength=len(sums))).numpy()


def _settings(
    config: TrainingConfig, calibration: Calibration, *, trained_on: Mapping[str, str], code_version: str
) -> ModelSettings:
    return ModelSettings(
        required_recordings=(config.dataset.task,),
        windows=config.windows,
        features=config.features,
        network=config.network,
        threshold=calibration.threshold,
        temperature=calibration.temperature,
        bias=calibration.bias,
        code_version=code_version,
        trained_on=dict(trained_on),
        quality=config.dataset.quality,
    )
