"""What a step's manifest counts as its code is all that its modules import."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest

import spira
from spira.orchestration.steps import RESCORE, STEPS, Step

ROOT = Path(spira.__file__).parent
WIRING = "apps/steps/"  # imports whatever the bodies of its step need


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("spira", cache_dir=None)


def modules_of(step: Step) -> set[str]:
    files = {
        f
        for path in step.code
        if not path.startswith(WIRING)
        for f in ([ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("*.py"))
    }
    return {"spira." + ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files}


@pytest.mark.parametrize("step", [*STEPS, RESCORE], ids=lambda step: step.name)
def test_the_code_of_a_step_is_closed_under_imports(step: Step, graph: grimp.ImportGraph) -> None:
    listed = modules_of(step)

    missing = {
        imported
        for module in listed & graph.modules
        for imported in graph.find_modules_directly_imported_by(module) - listed
        if not (ROOT.parent / imported.replace(".", "/")).is_dir()
    }

    assert missing == set()
