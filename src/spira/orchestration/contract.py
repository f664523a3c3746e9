"""The step contract: how a step's work becomes true at one moment, and is found again by any run.

A step has an address, its content key: the digest of its name, its code, the image or libraries it runs with, the
part of the configuration it reads, its parameters and the digests of its inputs. It writes outputs below an attempt's
own prefix and then puts one `manifest.json` under its address, if absent. That manifest is the step's truth:

- present, and every output still has its digest: done, whoever did it;
- present, and an output is missing or changed: the manifest is taken away and the work is done again;
- absent: not done, whatever lies below the attempts.

A process that dies before the manifest leaves nothing that counts; of two that race, one manifest wins and
both go on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from spira.infra.objects.port import Objects
from spira.kernel.clock import to_text, utc_now
from spira.kernel.errors import Conflict, NotFound
from spira.kernel.ids import sha256_of_stream
from spira.orchestration.manifest import Artifact, Manifest, Outside, code_digest, digest_of, libraries, read_manifest
from spira.orchestration.steps import Step
from spira.orchestration.workbench import Body, Tell, Workbench, chunks_of


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
    image: str = ""
    """Digest of the container image that does it; without one, the installed libraries stand for it."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step's outcome."""

    manifest: Manifest
    manifest_key: str
    reused: bool
    repaired: tuple[str, ...] = ()
    """Outputs that were found missing or changed, for which the work was done again."""


def run_step(
    request: Request,
    body: Body,
    *,
    objects: Objects,
    tell: Tell = lambda _: None,
    resume: bool = False,
    force: bool = False,
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
    manifest = _manifest(address, bench, started_at=started_at, image=request.image)
    return _settle(manifest, address, objects=objects, repaired=damaged)


def find_done(request: Request, *, objects: Objects) -> Done | None:
    """The step's outcome if its work is done and whole; starts nothing."""
    address = _Address.of(request, objects=objects)
    found = _find(address, objects)
    if found is None or _damaged(found, objects):
        return None
    return Done(manifest=found, manifest_key=address.manifest_key, reused=True)


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
        identity = {
            "step": step.name,
            "code": code,
            "made_with": request.image or libraries(),
            "config": config,
            "parameters": parameters,
            "inputs": inputs,
        }
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
            return sha256_of_stream(chunks_of(stream)) == artifact.sha256
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
        libraries=libraries(),
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
