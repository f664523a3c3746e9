"""Every adapter of a port runs under the port's contract suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "src" / "spira" / "infra"
PORTS = sorted(path.parent.name for path in INFRA.glob("*/port.py"))


@pytest.mark.parametrize("port", PORTS)
def test_every_adapter_of_a_port_is_in_its_contract_suite(port: str) -> None:
    adapters = {path.stem.removesuffix(f"_{port}") for path in (INFRA / port).glob(f"*_{port}.py")}
    conftest = (ROOT / "tests" / "contracts" / "conftest.py").read_text()
    fixture = re.search(rf"@pytest\.fixture\(params=\[(.*)\]\)\ndef {port}_url\(", conftest)

    assert fixture, f"tests/contracts/conftest.py has no fixture {port}_url"
    schemes = set(re.findall(r'"([a-z0-9]+)"', fixture[1]))
    assert {scheme.removesuffix("db") for scheme in schemes} == adapters
    assert (ROOT / "tests" / "contracts" / f"test_{port}.py").is_file()
