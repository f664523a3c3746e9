"""What a step leaves for ever: its outputs with their digests, and everything that made them."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

import spira
from spira.infra.objects.port import Objects
from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.ids import sha256_hex

LIBRARIES = ("numpy", "scipy", "scikit-learn", "soundfile", "soxr", "torch", "safetensors", "mlflow")


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


def read_manifest(objects: Objects, key: str) -> Manifest:
    """Raises NotFound, and InvalidInput when the object is no manifest."""
    try:
        return Manifest.model_validate_json(objects.get(key))
    except ValidationError as error:
        raise InvalidInput.of([Problem(where=key, what="is not a step's manifest")]) from error


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


def libraries() -> dict[str, str]:
    """Versions of the libraries that decide numbers."""
    return {name: version for name in LIBRARIES if (version := _version(name))}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
