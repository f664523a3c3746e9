"""What the repository promises about itself: locks, layout, documents, and that nothing private is in it."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    if name and (ROOT / name).is_file()
]
TEXTS = [path for path in TRACKED if path.suffix not in {".png", ".wav", ".ico"}]


def test_every_extra_has_a_lock_with_hashes() -> None:
    extras = _setup()["options.extras_require"]

    for extra in extras:
        lock = (ROOT / "requirements" / f"{extra}.txt").read_text()
        pins = re.findall(r"^[a-z0-9.\[\]_-]+==", lock, flags=re.MULTILINE)
        assert len(pins) <= lock.count("--hash=sha256:")
        assert pins, extra


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_a_registry_a_machine_or_a_secret(path: Path) -> None:
    if path not in TEXTS:
        return
    text = path.read_text(errors="ignore")

    assert not re.search(r"(--index-url|--extra-index-url|--find-links)\s+\S", text)
    assert not re.search(r"(?<![\w.])/(work|root|home/\w+)/", text) or path == Path(__file__)
    assert not re.search(r"-----BEGIN (RSA |EC )?PRIVATE KEY-----", text) or path == Path(__file__)


def test_no_file_is_large_or_a_recording() -> None:
    large = [path for path in TRACKED if path.stat().st_size > 1_000_000]
    recordings = [path for path in TRACKED if path.suffix in {".wav", ".flac", ".mp3", ".ogg", ".safetensors", ".pt"}]

    assert not large
    assert not recordings


def test_code_files_hold_one_thought_each() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in TRACKED
        if path.suffix == ".py" and "src" in path.parts and (lines := len(path.read_text().splitlines())) > 400
    }

    assert not too_long


def test_every_folder_of_the_package_says_what_it_is_for() -> None:
    silent = [
        str(init.relative_to(ROOT))
        for init in TRACKED
        if init.name == "__init__.py" and "src" in init.parts and '"""' not in init.read_text()
    ]

    assert not silent


def test_the_changelog_has_the_version_that_the_package_has() -> None:
    version = _setup()["metadata"]["version"]

    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f'__version__ = "{version}"' in (ROOT / "src/spira/__init__.py").read_text()


def _setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser
