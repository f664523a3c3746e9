"""The command line answers at once, and says errors in one line with the right exit code."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from spira.apps import cli
from spira.kernel.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Problem,
    SpiraError,
    Unauthenticated,
    Unavailable,
)

HEAVY = ("torch", "torchaudio", "mlflow", "pandas", "scipy", "sklearn", "numpy", "flask", "boto3", "kafka", "pymongo")


def test_importing_spira_loads_nothing_but_itself() -> None:
    before_and_after = _python("import sys; a = set(sys.modules); import spira; print(len(set(sys.modules) - a))")

    assert before_and_after == "1"


def test_help_loads_no_heavy_library() -> None:
    loaded = _python(
        "import sys\n"
        "from spira.apps.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )

    assert loaded.endswith("[]")


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_of_the_help_exists_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])

    assert ended.value.code == 0
    assert f"spira {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("bad"), 2),
        (NotFound("gone"), 3),
        (Conflict("taken"), 4),
        (Forbidden("no"), 5),
        (Unauthenticated("who"), 5),
        (Unavailable("later"), 6),
    ],
)
def test_every_branch_of_the_error_tree_has_its_exit_code(error: Exception, code: int) -> None:
    assert isinstance(error, SpiraError)
    assert cli.exit_code(error) == code


def test_all_problems_are_told_and_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [
        Problem(where=f"row {row}, label", what="unknown label 'x'", hint="control or patient") for row in (2, 3)
    ]
    monkeypatch.setitem(cli.COMMANDS, "broken", cli.Command("broken_commands:app", "Fails."))
    monkeypatch.setattr(importlib, "import_module", lambda _: type("M", (), {"app": staticmethod(_refuse(problems))}))

    with pytest.raises(SystemExit) as ended:
        cli.main(["broken"])

    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "spira: 2 problems" in told
    assert "row 3, label: unknown label 'x' (control or patient)" in told


def _refuse(problems: list[Problem]) -> Callable[..., None]:
    def app(*_: object, **__: object) -> None:
        raise InvalidInput.of(problems)

    return app


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
