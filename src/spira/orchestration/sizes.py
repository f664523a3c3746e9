"""What the pod of each step asks of the cluster: beside the steps' list, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

GPU = "nvidia.com/gpu"


@dataclass(frozen=True, kw_only=True)
class Size:
    """Requests are what the scheduler sets aside, limits what ends the container; no limit on CPU time."""

    cpu: str = "500m"
    memory: str = "1Gi"
    memory_limit: str = "4Gi"
    scratch: str = "4Gi"
    """Most that temporary files and logs may take; nothing else can be written."""
    deadline_s: int = 2 * 3600
    """The pod is ended after so long; a step with checkpoints goes on from the last one at the next try."""
    gpus: int = 0
    extra: dict[str, str] = field(default_factory=dict)
    """Further requests, which are limits at the same time, as Kubernetes wants it for extended resources."""

    @property
    def requests(self) -> dict[str, str]:
        return {"cpu": self.cpu, "memory": self.memory, "ephemeral-storage": "1Gi", **self._devices}

    @property
    def limits(self) -> dict[str, str]:
        return {"memory": self.memory_limit, "ephemeral-storage": self.scratch, **self._devices}

    @property
    def _devices(self) -> dict[str, str]:
        return ({GPU: str(self.gpus)} if self.gpus else {}) | self.extra

    def changed(self, changes: dict[str, Any]) -> Size:
        """Raises TypeError on a field that does not exist."""
        return replace(self, **changes)


SIZES: dict[str, Size] = {
    "prepare": Size(cpu="250m", memory="512Mi", memory_limit="2Gi", deadline_s=1800),
    "validate": Size(),
    "features": Size(memory="2Gi", memory_limit="6Gi", scratch="8Gi"),
    "train": Size(cpu="1", memory="3Gi", memory_limit="12Gi", scratch="16Gi", deadline_s=24 * 3600),
    "ensemble": Size(),
    "evaluate": Size(memory="2Gi", memory_limit="6Gi"),
    "cross-validate": Size(memory="2Gi", memory_limit="6Gi", deadline_s=4 * 3600),
    "publish": Size(),
    "rescore": Size(memory="2Gi", memory_limit="6Gi"),
}
"""By step. An installation changes them in the Airflow variable `spira_training`."""
