"""Build the project's images, and push them when a registry is named; tells what it made as var/images.json.

    python images/build.py [NAME…]          all images of this folder, or the named ones

    IMAGE_TOOL   docker, podman or buildah (default: the first that is there), or a program of your own with
                 `build TAG CONTEXT OPTION…`, which takes docker's options, and `push TAG`, whose last line is the
                 pushed image's reference by digest
    REGISTRY     where to push, such as registry.example.org/team; without it nothing is pushed
    IMAGE_BASE   base image instead of the Dockerfiles' own

Needs the standard library only.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "images"
FOUND = ROOT / "var" / "images.json"
TOOLS = ("docker", "podman", "buildah")
PROJECT = "spira"


class CannotBuild(Exception):
    """What is missing or failed, in words for the person who runs this."""


class Tool(Protocol):
    """Builds from the repository root, and pushes."""

    def build(self, tag: str, options: Sequence[str]) -> None: ...

    def push(self, tag: str, registry: str) -> str:
        """The reference by digest, under which a pod names the image."""
        ...


@dataclass(frozen=True)
class Docker:
    program: str

    def build(self, tag: str, options: Sequence[str]) -> None:
        call(self.program, "build", "--tag", tag, *options, str(ROOT))

    def push(self, tag: str, registry: str) -> str:
        remote = f"{registry}/{tag}"
        call(self.program, "tag", tag, remote)
        call(self.program, "push", remote)
        digests = answer(self.program, "image", "inspect", "--format", "{{json .RepoDigests}}", remote)
        name = remote.rpartition(":")[0]
        found: list[str] = json.loads(digests)
        return next(one for one in found if one.partition("@")[0] == name)


@dataclass(frozen=True)
class Buildah:
    """podman and buildah, which share their options."""

    program: str

    def build(self, tag: str, options: Sequence[str]) -> None:
        call(self.program, "build", "--layers", "--tag", tag, *options, str(ROOT))

    def push(self, tag: str, registry: str) -> str:
        remote = f"{registry}/{tag}"
        with tempfile.NamedTemporaryFile("r") as digest:
            call(self.program, "push", "--digestfile", digest.name, tag, f"docker://{remote}")
            return f"{remote.rpartition(':')[0]}@{digest.read().strip()}"


@dataclass(frozen=True)
class Own:
    """A program of the caller's, which knows its own registry."""

    program: str

    def build(self, tag: str, options: Sequence[str]) -> None:
        call(self.program, "build", tag, str(ROOT), *options)

    def push(self, tag: str, registry: str) -> str:  # noqa: ARG002  # it knows
        return answer(self.program, "push", tag).splitlines()[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    try:
        names = chosen(parser.parse_args().names)
        made = make(names, tool=tool(setting("IMAGE_TOOL")), registry=setting("REGISTRY"))
    except CannotBuild as reason:
        print(f"images: {reason}", file=sys.stderr)
        return 1
    print(json.dumps(made, indent=1))
    return 0


def make(names: Sequence[str], *, tool: Tool, registry: str) -> dict[str, dict[str, str]]:
    """By name: tag, revision, and, where it was pushed, the reference by digest. Also written to var/images.json."""
    version, revision = source_version(), source_revision()
    made = known()
    for name in names:
        tag = f"{PROJECT}/{name}:{version}-{short(revision)}"
        began = time.monotonic()
        tool.build(tag, options(name, version=version, revision=revision))
        entry = {"tag": tag, "revision": revision}
        if registry:
            entry["reference"] = tool.push(tag, registry)
        made[name] = entry
        print(f"{tag}: {time.monotonic() - began:.0f} s {entry.get('reference', '')}", file=sys.stderr, flush=True)
        remember(made)
    return {name: made[name] for name in names}


def options(name: str, *, version: str, revision: str) -> list[str]:
    """Of the build. The labels are no build arguments: a new revision spoils no layer."""
    labels = {"org.opencontainers.image.version": version, "org.opencontainers.image.revision": revision}
    given = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    base = setting("IMAGE_BASE")
    given += ["--build-arg", f"BASE={base}"] if base else []
    return ["--file", str(IMAGES / name / "Dockerfile"), "--target", "production", *given]


def chosen(names: Sequence[str]) -> list[str]:
    """Raises CannotBuild on a name that is none."""
    there = sorted(file.parent.name for file in IMAGES.glob("*/Dockerfile"))
    unknown = [name for name in names if name not in there]
    if unknown:
        raise CannotBuild(f"no image is called {', '.join(unknown)}; there are {', '.join(there)}")
    return list(names) or there


def tool(wanted: str) -> Tool:
    """Raises CannotBuild when there is none."""
    found = shutil.which(wanted) if wanted else next(filter(works, filter(None, map(shutil.which, TOOLS))), None)
    if found is None:
        missing = wanted or ", ".join(TOOLS)
        raise CannotBuild(
            f"not found, or without its daemon: {missing}; name a tool that builds images with IMAGE_TOOL"
        )
    kinds: dict[str, type[Docker | Buildah]] = {"docker": Docker, "podman": Buildah, "buildah": Buildah}
    return kinds.get(Path(found).name, Own)(found)


def works(program: str) -> bool:
    """A client without its daemon builds nothing."""
    try:
        return subprocess.run([program, "info"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def source_version() -> str:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config["metadata"]["version"]


def source_revision() -> str:
    """The commit, with `-dirty` where files differ from it; `unknown` outside a checkout."""
    try:
        revision = answer("git", "-C", str(ROOT), "rev-parse", "HEAD")
        changed = answer("git", "-C", str(ROOT), "status", "--porcelain", "--", "src", "dags", "requirements", "images")
    except CannotBuild:
        return "unknown"
    return f"{revision}-dirty" if changed else revision


def short(revision: str) -> str:
    commit, dirty, _ = revision.partition("-dirty")
    return commit[:12] + dirty


def known() -> dict[str, dict[str, str]]:
    try:
        made: dict[str, dict[str, str]] = json.loads(FOUND.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return made


def remember(made: dict[str, dict[str, str]]) -> None:
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    FOUND.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def call(*command: str) -> None:
    """What the command says goes to stderr: stdout is for the result."""
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise CannotBuild(f"{' '.join(command[:3])} … ended with code {done.returncode}; see above")


def answer(*command: str) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise CannotBuild(f"{command[0]} can't be run: {error.strerror}") from error
    if done.returncode:
        raise CannotBuild(f"{' '.join(command[:3])} … ended with code {done.returncode}; see above")
    return done.stdout.strip()


def setting(name: str) -> str:
    return os.environ.get(name, "")  # noqa: TID251  # a script of its own


if __name__ == "__main__":
    sys.exit(main())
