"""The README's commands can't rot: each is asked for its help, or run dry."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(?:sh|console)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
LINES = [line.removeprefix("$ ") for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
MAKE = sorted({line.split("#")[0].strip() for line in LINES if line.startswith("make ")})
SPIRA = sorted({line.split("#")[0].strip() for line in LINES if line.startswith("spira ")})


def test_the_readme_shows_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(MAKE)
    assert SPIRA


@pytest.mark.parametrize("line", MAKE)
def test_a_make_line_of_the_readme_names_a_target(line: str) -> None:
    subprocess.run(["make", "--dry-run", *shlex.split(line)[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("line", SPIRA)
def test_a_spira_line_of_the_readme_uses_options_that_exist(line: str) -> None:
    words = shlex.split(line)[1:]
    command = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)]
    shown = _help(command) or _help(command[:1])
    assert shown is not None, line

    missing = [option for option in words if option.startswith("--") and option.split("=")[0] not in shown]

    assert not missing


def _help(command: list[str]) -> str | None:
    done = subprocess.run(
        [sys.executable, "-m", "spira.apps.cli", *command, "--help"],
        check=False,
        capture_output=True,
        text=True,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout if done.returncode == 0 else None
