"""Where step `train` keeps its fits while they run."""

from __future__ import annotations

from dataclasses import dataclass

from spira.infra.logs import get_logger
from spira.infra.objects.port import Objects
from spira.kernel.errors import NotFound
from spira.kernel.ids import sha256_hex
from spira.training.ports import Tell

_DIGEST = 64
log = get_logger()


@dataclass(frozen=True, kw_only=True)
class ScratchCheckpoints:
    """The port `Checkpoints` below a step's scratch prefix, where another configuration's are never met.

    A checkpoint begins with the digest of the rest: one that was damaged is told and taken for none.
    """

    objects: Objects
    scratch: str
    tell: Tell

    def load(self, name: str) -> bytes | None:
        try:
            stored = self.objects.get(f"{self.scratch}/{name}")
        except NotFound:
            return None
        digest, data = stored[:_DIGEST], stored[_DIGEST:]
        if sha256_hex(data).encode() == digest:
            return data
        log.warning("checkpoint-damaged", name=name, effect="this member starts anew")
        self.tell(0, 1, f"the checkpoint of {name} is damaged: it starts anew")
        return None

    def save(self, name: str, data: bytes) -> None:
        self.objects.put(f"{self.scratch}/{name}", sha256_hex(data).encode() + data)
