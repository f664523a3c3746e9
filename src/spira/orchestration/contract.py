"""The step contract: how a step's work becomes true at one moment, and is found again by any run.

A step has an address, its content key: the digest of its name, its code, the part of the configuration it reads,
its parameters and the digests of its inputs. It writes outputs below an attempt's own prefix and then puts one
`manifest.json` under its address, if absent. That manifest is the step's truth:

- present, and every output still has its digest: done, whoever did it;
- present, and an output is missing or changed: the manifest is taken away and the work is done again;
- absent: not done, whatever lies below the attempts.

A process that dies before the manifest leaves nothing that counts; of two that race, one manifest wins and
both go on with it.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

import spira
from spira.infra.objects.port import Objects, ObjectsAsFiles, StoredObject
from spira.kernel.clock import to_text, utc_now
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem
from spira.kernel.ids import new_id, sha256_hex, sha256_of_stream
from spira.orchestration.steps import Step

LIBRARIES = ("numpy", "scipy", "scikit-learn", "soundfile", "soxr", "torch", "safetensors", "mlflow")
_CHUNK = 1 << 20


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(_Value):
    """One output: where it lies and what it must hash to."""

    key: str
    sha256: str
    size: int


class Outside(_Value):
    """An input that is not a step's: where it lies and what it hashed to when the run began."""

    location: str
    digest: str


class Manifest(_Value):
    """Everything that is needed to trust, repeat or explain a step's outputs."""

    schema_version: Literal[1] = 1
    step: str
    content_key: str
    code: str
    config: dict[str, Any]
    parameters: dict[str, int]
    seed: int | None
    inputs: dict[str, str]
    """Digest of each input."""
    input_manifests: dict[str, str]
    outputs: dict[str, Artifact]
    libraries: dict[str, str]
    image: str = ""
    started_at: str
    finished_at: str

    @property
    def digest(self) -> str:
        """Digest of the outputs alone: equal outputs of different code let later steps be skipped."""
        return self.digest_over(None)

    def digest_over(self, taken: Sequence[str] | None) -> str:
        """Digest of those outputs that a later step takes; of all with None."""
        return digest_of(
            {name: one.sha256 for name, one in sorted(self.outputs.items()) if taken is None or name in taken}
        )


@dataclass(frozen=True, kw_only=True)
class Request:
    """A step with everything that decides its outputs."""

    step: Step
    config: Mapping[str, Any]
    """The whole training configuration as JSON values; the step's part is taken from it."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Object keys of the manifests of the steps it reads, by label."""
    outside: Mapping[str, Outside] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a step is: `done` of `total` units, with a short note."""

    done: int
    total: int
    note: str = ""


Tell = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step's outcome."""

    manifest: Manifest
    manifest_key: str
    reused: bool
    repaired: tuple[str, ...] = ()
    """Outputs that were found missing or changed, for which the work was done again."""


class Workbench:
    """What a step's body works with: its configuration, its inputs, a place for outputs and one for checkpoints."""

    def __init__(self, *, address: _Address, objects: Objects, tell: Tell, resume: bool) -> None:
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
                path, digest = self.objects.path(artifact.key), sha256_of_stream(_chunks(stream))
            else:
                path = self._fetched_folder() / artifact.key.replace("/", "_")
                with path.open("wb") as file:
                    digest = sha256_of_stream(_copied(_chunks(stream), file))
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


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(_CHUNK), b"")


def _copied(chunks: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk


Body = Callable[[Workbench], None]


def run_step(
    request: Request,
    body: Body,
    *,
    objects: Objects,
    tell: Tell = lambda _: None,
    resume: bool = False,
    force: bool = False,
    image: str = "",
) -> Done:
    """Do the step unless it is done; `force` does it again anyway."""
    address = _Address.of(request, objects=objects)
    found = None if force else _find(address, objects)
    damaged = () if found is None else _damaged(found, objects)
    if found is not None and not damaged:
        return Done(manifest=found, manifest_key=address.manifest_key, reused=True)
    if force or damaged:
        objects.delete(address.manifest_key)
    bench = Workbench(address=address, objects=objects, tell=tell, resume=resume)
    started_at = to_text(utc_now())
    with closing(bench):
        body(bench)
    manifest = _manifest(address, bench, started_at=started_at, image=image)
    return _settle(manifest, address, objects=objects, repaired=damaged)


def find_done(request: Request, *, objects: Objects) -> Done | None:
    """The step's outcome if its work is done and whole; starts nothing."""
    address = _Address.of(request, objects=objects)
    found = _find(address, objects)
    if found is None or _damaged(found, objects):
        return None
    return Done(manifest=found, manifest_key=address.manifest_key, reused=True)


def read_manifest(objects: Objects, key: str) -> Manifest:
    """Raises NotFound, and InvalidInput when the object is no manifest."""
    try:
        return Manifest.model_validate_json(objects.get(key))
    except ValidationError as error:
        raise InvalidInput.of([Problem(where=key, what="is not a step's manifest")]) from error


@dataclass(frozen=True, kw_only=True)
class _Address:
    step: Step
    code: str
    config: dict[str, Any]
    parameters: dict[str, int]
    manifests: dict[str, Manifest]
    manifest_keys: dict[str, str]
    outside: dict[str, Outside]
    inputs: dict[str, str]
    content_key: str

    @classmethod
    def of(cls, request: Request, *, objects: Objects) -> _Address:
        step = request.step
        manifests = {label: read_manifest(objects, key) for label, key in request.inputs.items()}
        outside = {name: request.outside[name] for name in step.outside if name in request.outside}
        inputs = {label: manifest.digest_over(step.taken(label)) for label, manifest in manifests.items()}
        inputs |= {name: one.digest for name, one in outside.items()}
        config = {name: request.config[name] for name in step.sections}
        code = code_digest(step.code)
        parameters = dict(request.parameters)
        identity = {"step": step.name, "code": code, "config": config, "parameters": parameters, "inputs": inputs}
        return cls(
            step=step,
            code=code,
            config=config,
            parameters=parameters,
            manifests=manifests,
            manifest_keys=dict(request.inputs),
            outside=outside,
            inputs=inputs,
            content_key=digest_of(identity),
        )

    @property
    def prefix(self) -> str:
        return f"steps/{self.step.name}/{self.content_key}"

    @property
    def manifest_key(self) -> str:
        return f"{self.prefix}/manifest.json"


def _find(address: _Address, objects: Objects) -> Manifest | None:
    try:
        return read_manifest(objects, address.manifest_key)
    except NotFound:
        return None


def _damaged(manifest: Manifest, objects: Objects) -> tuple[str, ...]:
    return tuple(name for name, artifact in manifest.outputs.items() if not _is_whole(artifact, objects))


def _is_whole(artifact: Artifact, objects: Objects) -> bool:
    try:
        with objects.open(artifact.key) as stream:
            return sha256_of_stream(_chunks(stream)) == artifact.sha256
    except NotFound:
        return False


def _manifest(address: _Address, bench: Workbench, *, started_at: str, image: str) -> Manifest:
    seed = address.config.get("seed")
    return Manifest(
        step=address.step.name,
        content_key=address.content_key,
        code=address.code,
        config=address.config,
        parameters=address.parameters,
        seed=seed if isinstance(seed, int) else None,
        inputs=address.inputs,
        input_manifests=address.manifest_keys,
        outputs=bench.outputs,
        libraries=_libraries(),
        image=image,
        started_at=started_at,
        finished_at=to_text(utc_now()),
    )


def _settle(manifest: Manifest, address: _Address, *, objects: Objects, repaired: tuple[str, ...]) -> Done:
    try:
        objects.put(address.manifest_key, manifest.model_dump_json(indent=1).encode(), if_absent=True)
    except Conflict:
        manifest = read_manifest(objects, address.manifest_key)
    _sweep(manifest, address, objects)
    return Done(manifest=manifest, manifest_key=address.manifest_key, reused=False, repaired=repaired)


def _sweep(manifest: Manifest, address: _Address, objects: Objects) -> None:
    """What earlier or beaten attempts and checkpoints left: nothing refers to it any more."""
    kept = {artifact.key for artifact in manifest.outputs.values()} | {address.manifest_key}
    for info in list(objects.list(f"{address.prefix}/")):
        if info.key not in kept:
            objects.delete(info.key)


def digest_of(value: Any) -> str:
    """SHA-256 over the canonical JSON of `value`: sorted keys, no spaces."""
    return sha256_hex(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def code_digest(paths: Sequence[str]) -> str:
    """Digest of the Python files at and below `paths`, which are relative to the package."""
    root = Path(spira.__file__).parent
    files = {
        file for path in paths for file in ([root / path] if path.endswith(".py") else (root / path).rglob("*.py"))
    }
    return digest_of({file.relative_to(root).as_posix(): sha256_hex(file.read_bytes()) for file in sorted(files)})


def _libraries() -> dict[str, str]:
    return {name: version for name in LIBRARIES if (version := _version(name))}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
