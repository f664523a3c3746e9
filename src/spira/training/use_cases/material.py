"""What one member is fitted on: batches of the people on its train side, and the windows of those that judge it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.balance import BalanceConfig
from spira.training.core.cohort import Cohort, Split
from spira.training.core.config import TrainingConfig
from spira.training.core.fit import IntArray
from spira.training.core.objective import class_factors
from spira.training.core.weighing import participant_weights
from spira.training.ports import Windows
from spira.voice.robust import statistics

FloatArray = npt.NDArray[np.float64]
_JUDGED_AT_ONCE = 16
"""Recordings."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows of some recordings."""

    values: Tensor
    """float32 [w, T, F], or [w, 7, F] of pooled statistics."""
    mask: Tensor
    """bool [w, T]."""
    targets: Tensor
    """float32 [w]."""
    weights: Tensor | None
    """float32 [w]; None: all the same."""

    def to(self, device: torch.device) -> Batch:
        weights = None if self.weights is None else self.weights.to(device)
        values, mask, targets = (one.to(device) for one in (self.values, self.mask, self.targets))
        return Batch(values=values, mask=mask, targets=targets, weights=weights)


@dataclass(frozen=True, kw_only=True)
class Material:
    """The data of one member's fit. Its recordings are called by their place in `fitted`."""

    windows: Windows
    versions: tuple[int, ...]
    """Those that the fit may take."""
    fitted: tuple[int, ...]
    """Indexes into the cohort, like `validation`."""
    validation: tuple[int, ...]
    labels: IntArray
    """Of the fitted recordings."""
    weights: FloatArray | None
    """Of the fitted recordings' losses, with mean 1; None: all the same."""
    chances: FloatArray | None
    """Of each fitted recording to be drawn next; None: everyone is taken once an epoch."""

    @classmethod
    def of(cls, cohort: Cohort, windows: Windows, sides: Split, *, config: TrainingConfig) -> Material:
        """Raises InvalidInput when no version or only one class is left to fit on."""
        people = _participant_weights(cohort, sides.train, config.balance)
        fitted = [index for index in sides.train if people is None or people[cohort.recordings[index].participant] > 0]
        labels = np.array([cohort.recordings[index].label for index in fitted], np.int64)
        own = np.array([1.0 if people is None else people[cohort.recordings[index].participant] for index in fitted])
        _refuse_one_class(labels)
        factors = class_factors(labels, own)
        by_loss, by_draw = (config.training.class_balance == kind for kind in ("loss", "sampler"))
        weights = own * factors if by_loss else own
        return cls(
            windows=windows,
            versions=_usable(windows.versions, clean=config.augmentation.clean),
            fitted=tuple(fitted),
            validation=sides.validation,
            labels=labels,
            weights=None if people is None and not by_loss else weights / weights.mean(),
            chances=factors / factors.sum() if by_draw else None,
        )

    def deal(self, random: np.random.Generator) -> tuple[IntArray, IntArray]:
        """An epoch: the recordings in random order, and which version of each."""
        count = len(self.fitted)
        order = random.permutation(count) if self.chances is None else random.choice(count, count, p=self.chances)
        return order.astype(np.int64), random.integers(len(self.versions), size=count)

    def batch(self, places: Sequence[int], versions: Sequence[int]) -> Batch:
        pairs = [
            self.windows.windows(self.fitted[place], self.versions[version])
            for place, version in zip(places, versions, strict=True)
        ]
        counts = torch.tensor([len(values) for values, _ in pairs])
        targets = torch.tensor(self.labels[list(places)], dtype=torch.float32)
        own = None if self.weights is None else torch.tensor(self.weights[list(places)], dtype=torch.float32)
        return Batch(
            values=torch.cat([values for values, _ in pairs]),
            mask=torch.cat([mask for _, mask in pairs]),
            targets=targets.repeat_interleave(counts),
            weights=None if own is None else own.repeat_interleave(counts),
        )

    def judged(self) -> Iterator[tuple[tuple[int, ...], list[int], Tensor, Tensor]]:
        """Parts of the validation people, clean: recordings, their counts of windows, values and mask."""
        for start in range(0, len(self.validation), _JUDGED_AT_ONCE):
            recordings = self.validation[start : start + _JUDGED_AT_ONCE]
            pairs = [self.windows.windows(index, 0) for index in recordings]
            values, mask = (torch.cat([pair[part] for pair in pairs]) for part in (0, 1))
            yield recordings, [len(pair[0]) for pair in pairs], values, mask


class PooledWindows:
    """Windows whose values are the statistics that `RobustNet` pools, computed once for a recording and version.

    They have no weights, and are so small that those of a whole data set can be held.
    """

    def __init__(self, windows: Windows) -> None:
        self.versions, self.frames, self.bins = windows.versions, windows.frames, windows.bins
        self._windows = windows
        self._kept: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def windows(self, recording: int, version: int) -> tuple[Tensor, Tensor]:
        if (recording, version) not in self._kept:
            values, mask = self._windows.windows(recording, version)
            pooled = statistics(values.clone(), mask.clone())  # memory of their own, aligned alike in every process
            self._kept[recording, version] = pooled, mask.any(1, keepdim=True)
        return self._kept[recording, version]


def batches_of(order: IntArray, size: int) -> list[slice]:
    """Places in `order` of batches of `size`; a last one of a single recording joins the one before, since norms
    need two."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(order)], strict=True)]


def _usable(versions: Sequence[int], *, clean: bool) -> tuple[int, ...]:
    found = tuple(version for version in versions if version > 0 or clean)
    if not found:
        what = "is false, and there are no noisy copies of the recordings to fit on"
        hint = "give noise recordings, or set augmentation.generated or augmentation.clean to true"
        raise InvalidInput.of([Problem(where="augmentation.clean", what=what, hint=hint)])
    return found


def _refuse_one_class(labels: IntArray) -> None:
    if set(labels.tolist()) != {0, 1}:
        what = "leaves people of one class only to fit on"
        raise InvalidInput.of([Problem(where="balance.policy", what=what, hint="take reweight, or more people")])


def _participant_weights(cohort: Cohort, indexes: Sequence[int], config: BalanceConfig) -> dict[str, float] | None:
    """None: everybody counts the same."""
    found = participant_weights(cohort, indexes, config)
    return None if set(found.values()) == {1.0} else found
