"""What a step's body works with, whoever runs it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from spira.infra.objects.port import Objects, ObjectsAsFiles, StoredObject
from spira.kernel.errors import Conflict, NotFound
from spira.kernel.ids import new_id, sha256_hex, sha256_of_stream
from spira.orchestration.manifest import Artifact, Manifest, Outside
from spira.orchestration.steps import Step

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a step is: `done` of `total` units, with a short note."""

    done: int
    total: int
    note: str = ""


Tell = Callable[[Progress], None]


class Place(Protocol):
    """Where a step's work lies, and what it reads."""

    @property
    def step(self) -> Step: ...

    @property
    def config(self) -> dict[str, Any]: ...

    @property
    def parameters(self) -> dict[str, int]: ...

    @property
    def manifests(self) -> dict[str, Manifest]: ...

    @property
    def outside(self) -> dict[str, Outside]: ...

    @property
    def content_key(self) -> str: ...

    @property
    def prefix(self) -> str: ...


class Workbench:
    """What a step's body works with: its configuration, its inputs, a place for outputs and one for checkpoints."""

    def __init__(self, *, address: Place, objects: Objects, tell: Tell, resume: bool) -> None:
        self.config = address.config
        self.parameters = address.parameters
        self.inputs = address.manifests
        self.outside = address.outside
        self.content_key = address.content_key
        self.objects = objects
        self.tell = tell
        self.resume = resume
        self.scratch = f"{address.prefix}/scratch"
        self.attempt = f"{address.prefix}/attempts/{new_id()}"
        self.outputs: dict[str, Artifact] = {}
        self._step = address.step
        self._fetched: tempfile.TemporaryDirectory[str] | None = None

    def read(self, step: str, output: str) -> bytes:
        """An input's bytes; raises NotFound, and Conflict when they are not the ones that the manifest names."""
        artifact = self._artifact(step, output)
        data = self.objects.get(artifact.key)
        if sha256_hex(data) != artifact.sha256:
            raise _changed(step, output)
        return data

    def fetch(self, step: str, output: str) -> Path:
        """An input as a file of this machine, for what is better mapped than held; raises what `read` raises.

        It is streamed into a folder of this process, which goes with the step, and checked on the way. Where the store
        keeps objects as files, its own file is checked and given: to be read only.
        """
        artifact = self._artifact(step, output)
        with self.objects.open(artifact.key) as stream:
            if isinstance(self.objects, ObjectsAsFiles):
                path, digest = self.objects.path(artifact.key), sha256_of_stream(chunks_of(stream))
            else:
                path = self._fetched_folder() / artifact.key.replace("/", "_")
                with path.open("wb") as file:
                    digest = sha256_of_stream(_copied(chunks_of(stream), file))
        if digest != artifact.sha256:
            raise _changed(step, output)
        return path

    def write(self, name: str, data: bytes | Path) -> StoredObject:
        """Store an output; it counts once the manifest is there."""
        stored = self.objects.put(f"{self.attempt}/{name}", data)
        self.outputs[name] = Artifact(key=stored.key, sha256=stored.sha256, size=stored.size)
        return stored

    def write_json(self, name: str, value: Any) -> StoredObject:
        return self.write(name, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode())

    def close(self) -> None:
        """Lets the fetched files go."""
        if self._fetched is not None:
            self._fetched.cleanup()

    def _artifact(self, step: str, output: str) -> Artifact:
        taken = self._step.taken(step)
        if taken is not None and output not in taken:
            raise ValueError(f"step {self._step.name!r} does not say that it takes {output!r} of {step!r}")
        artifact = self.inputs[step].outputs.get(output)
        if artifact is None:
            raise NotFound(f"step {step!r} has no output {output!r}")
        return artifact

    def _fetched_folder(self) -> Path:
        if self._fetched is None:
            self._fetched = tempfile.TemporaryDirectory(prefix="spira-step-")
        return Path(self._fetched.name)


def _changed(step: str, output: str) -> Conflict:
    return Conflict(f"output {output!r} of step {step!r} changed after it was written; run the step again")


def chunks_of(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(_CHUNK), b"")


def _copied(chunks: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk


Body = Callable[[Workbench], None]
