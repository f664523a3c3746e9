"""Before a fit: what noise does to statistics, learned from the people who are fitted on, whoever is ill among them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spira.training.core.compensation import fitted_compensation
from spira.training.use_cases.material import Material
from spira.voice.robust import RobustNet, statistics


def compensate(network: nn.Module, material: Material, *, is_pooled: bool) -> None:
    """Fill the network's `Compensation`, if it has one and there are noisy copies to learn from."""
    noisy = [version for version in material.versions if version > 0]
    if not isinstance(network, RobustNet) or network.compensation is None or not noisy:
        return
    clean = _statistics(material, 0, is_pooled=is_pooled)
    copies = [_statistics(material, version, is_pooled=is_pooled) for version in noisy]
    directions = network.compensation.directions.shape[1]
    network.compensation.load_state_dict(fitted_compensation(clean, copies, directions=directions))


def _statistics(material: Material, version: int, *, is_pooled: bool) -> Tensor:
    """float32 [windows of the fitted recordings, n]."""
    pairs = [material.windows.windows(recording, version) for recording in material.fitted]
    pooled = [values if is_pooled else statistics(values, mask) for values, mask in pairs]
    return torch.cat(pooled).flatten(1)
