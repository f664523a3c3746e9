"""The Dockerfiles keep the house's rules; what they build is tried by `make e2e-training`."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
NAMES = sorted(file.parent.name for file in IMAGES.glob("*/Dockerfile"))
COMPILERS = re.compile(r"\b(gcc|g\+\+|clang|make|build-essential|python3-dev|apt-get|apk)\b")
Instruction = tuple[str, str]


def instructions(name: str) -> list[Instruction]:
    """Word and rest of each instruction, continued lines joined, comments left out."""
    text = (IMAGES / name / "Dockerfile").read_text(encoding="utf-8")
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in kept.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], " ".join(line.split()[1:])) for line in lines]


def stages(name: str) -> dict[str, list[Instruction]]:
    """Instructions by stage; what stands before the first is left out."""
    found: dict[str, list[Instruction]] = {}
    for word, rest in instructions(name):
        if word == "FROM":
            found[rest.split(" AS ")[1]] = [(word, rest)]
        elif found:
            found[next(reversed(found))].append((word, rest))
    return found


@pytest.mark.parametrize("name", NAMES)
class TestEachImage:
    def test_its_last_stage_runs_as_a_user_by_number_without_rights(self, name: str) -> None:
        users = [rest for word, rest in stages(name)["production"] if word == "USER"]
        assert users == ["10001:10001"]

    def test_it_stands_on_a_base_that_a_build_may_name(self, name: str) -> None:
        first, *_ = instructions(name)
        bases = [rest.split(" AS ")[0] for word, rest in instructions(name) if word == "FROM"]
        assert first == ("ARG", "BASE=python:3.11-slim-bookworm")
        assert bases == ["${BASE}", "deps", "deps"]

    def test_its_packages_come_from_the_lock_by_hash_and_as_wheels(self, name: str) -> None:
        deps = [rest for word, rest in stages(name)["deps"] if word == "RUN"]
        [install] = [rest for rest in deps if "uv pip" in rest]
        assert ("COPY", f"requirements/{name}.txt /tmp/lock.txt") in stages(name)["deps"]
        assert "pip sync" in install
        assert "--require-hashes" in install
        assert "--only-binary :all:" in install

    def test_no_compiler_comes_in(self, name: str) -> None:
        assert [rest for word, rest in instructions(name) if word == "RUN" and COMPILERS.search(rest)] == []

    def test_every_tool_of_the_build_has_a_version(self, name: str) -> None:
        """`pip install` of a bare name would be another build tomorrow."""
        runs = " ".join(rest for word, rest in instructions(name) if word == "RUN")
        loose = [
            word
            for command in re.findall(r"pip install ([^&]*)", runs)
            for word in re.findall(r'(?<!\S)"?([a-z][\w.-]*)', command)
            if f"{word}==" not in command
        ]
        assert loose == []

    def test_the_code_is_a_small_last_layer_on_the_dependencies(self, name: str) -> None:
        production = stages(name)["production"]
        copied = [rest for word, rest in production if word == "COPY" and "--from" in rest]
        dependencies = [rest for _, rest in stages(name)["deps"]]
        assert copied == ["--from=code /added/ /"]
        assert not any("src/spira" in rest for rest in dependencies)

    def test_a_read_only_root_is_enough(self, name: str) -> None:
        given = " ".join(rest for word, rest in stages(name)["production"] if word == "ENV")
        assert "HOME=/tmp" in given
        assert "TMPDIR=/tmp" in given
        assert "PYTHONDONTWRITEBYTECODE=1" in given

    def test_it_says_what_it_is(self, name: str) -> None:
        labels = " ".join(rest for word, rest in stages(name)["production"] if word == "LABEL")
        assert f'org.opencontainers.image.title="spira/{name}"' in labels
        assert 'org.opencontainers.image.licenses="Apache-2.0"' in labels

    def test_it_is_described(self, name: str) -> None:
        assert (IMAGES / name / "README.md").is_file()


def test_one_step_is_one_argument_of_the_ml_image() -> None:
    assert ("ENTRYPOINT", '["spira", "step"]') in stages("ml")["production"]


def test_the_ml_image_is_stopped_by_the_signal_that_python_hears_as_process_1() -> None:
    assert ("STOPSIGNAL", "SIGINT") in stages("ml")["production"]


def test_the_airflow_image_has_the_dags_and_no_torch() -> None:
    assert ("COPY", "dags /opt/spira/dags") in stages("airflow")["production"]
    assert not re.search(r"^torch==", (ROOT / "requirements" / "airflow.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_context_holds_only_what_is_copied() -> None:
    """Everything is left out, then named again; recordings, keys and var/ can't slip in."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {
        source
        for name in NAMES
        for word, rest in instructions(name)
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"
    assert allowed == {"requirements" if source.startswith("requirements/") else source for source in copied}


class TestBuild:
    """images/build.py with a builder that writes down what it is asked."""

    def test_builds_and_pushes_with_a_program_of_ones_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = script(tmp_path, monkeypatch)
        asked = tmp_path / "asked"
        own = program(tmp_path / "tool", f'echo "$@" >> {asked}; [ $1 != push ] || echo registry/spira/ml@sha256:0')
        made = build.make(["ml"], tool=build.tool(str(own)), registry="registry")
        tag = made["ml"]["tag"]
        first, second = asked.read_text(encoding="utf-8").splitlines()
        assert first.startswith(f"build {tag} {ROOT} --file {IMAGES}/ml/Dockerfile --target production --label ")
        assert second == f"push {tag}"
        assert made["ml"]["reference"] == "registry/spira/ml@sha256:0"
        assert json.loads((tmp_path / "images.json").read_text(encoding="utf-8")) == made

    def test_pushes_nothing_without_a_registry(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        build = script(tmp_path, monkeypatch)
        own = program(tmp_path / "tool", "[ $1 = build ]")
        made = build.make(["ml"], tool=build.tool(str(own)), registry="")
        assert "reference" not in made["ml"]

    def test_podman_tells_the_digest_that_the_registry_has(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = script(tmp_path, monkeypatch)
        podman = program(tmp_path / "podman", 'if [ $1 = push ]; then printf sha256:1 > "$3"; fi')
        made = build.make(["ml"], tool=build.tool(str(podman)), registry="example.org:5000/team")
        assert made["ml"]["reference"] == "example.org:5000/team/spira/ml@sha256:1"

    def test_docker_tells_the_digest_of_the_registry_that_was_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = script(tmp_path, monkeypatch)
        digests = '["elsewhere/spira/ml@sha256:1", "example.org/spira/ml@sha256:2"]'
        docker = program(tmp_path / "docker", f"[ $1 != image ] || echo '{digests}'")
        made = build.make(["ml"], tool=build.tool(str(docker)), registry="example.org")
        assert made["ml"]["reference"] == "example.org/spira/ml@sha256:2"

    def test_a_client_without_its_daemon_is_passed_over(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        build = script(tmp_path, monkeypatch)
        program(tmp_path / "docker", "exit 1")
        program(tmp_path / "buildah", "exit 0")
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr(build, "TOOLS", ("docker", "buildah"))
        assert build.tool("") == build.Buildah(str(tmp_path / "buildah"))

    def test_a_build_that_fails_is_one_line_and_leaves_what_was_made_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = script(tmp_path, monkeypatch)
        broken = program(tmp_path / "tool", "exit 3")
        (tmp_path / "images.json").write_text('{"ml": {"tag": "before"}}', encoding="utf-8")
        with pytest.raises(build.CannotBuild, match="ended with code 3"):
            build.make(["ml"], tool=build.tool(str(broken)), registry="")
        assert json.loads((tmp_path / "images.json").read_text(encoding="utf-8")) == {"ml": {"tag": "before"}}

    def test_a_name_that_is_no_image_is_refused_with_those_that_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = script(tmp_path, monkeypatch)
        with pytest.raises(build.CannotBuild, match=r"no image is called nl; there are airflow, ml"):
            build.chosen(["nl"])

    def test_a_working_tree_that_differs_from_its_commit_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = script(tmp_path, monkeypatch)
        monkeypatch.setattr(build, "ROOT", tmp_path / "checkout")
        (tmp_path / "checkout" / "src").mkdir(parents=True)
        git("init", folder=build.ROOT)
        (build.ROOT / "src" / "a").write_text("1", encoding="utf-8")
        git("add", ".", folder=build.ROOT)
        git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--message", "a", folder=build.ROOT)
        clean = build.source_revision()
        (build.ROOT / "src" / "a").write_text("2", encoding="utf-8")
        assert re.fullmatch("[0-9a-f]{40}", clean)
        assert build.source_revision() == f"{clean}-dirty"
        assert build.short(f"{clean}-dirty") == f"{clean[:12]}-dirty"


def script(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """images/build.py, remembering in `folder`."""
    spec = importlib.util.spec_from_file_location("build", IMAGES / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "build", module)  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOUND", folder / "images.json")
    return module


def program(file: Path, body: str) -> Path:
    file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def git(*words: str, folder: Path) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
