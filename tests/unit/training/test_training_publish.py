"""What is registered, what is refused, and the card that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spira.kernel.errors import InvalidInput
from spira.training.adapters.card import card_page
from spira.training.adapters.plots import evidence_plots
from spira.training.adapters.report import render
from spira.training.core.card import CardFacts, write_card
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored
from spira.training.use_cases.evaluate import metrics
from spira.training.use_cases.publish import Evidence, flat_figures, publish, refuse_failed

CONFIG = EvaluationConfig(slices=("sex",))


def people(n: int = 60) -> list[Scored]:
    return [
        Scored(
            participant=f"p{i}",
            label=i % 2,
            score=(i * 37 % 100) / 200 + 0.4 * (i % 2),
            threshold=0.5,
            band=(0.45, 0.55),
            facets={"sex": "<f>" if i % 3 else "m"},
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return metrics(people(), model="", config=CONFIG)


def facts(found: Mapping[str, Any]) -> CardFacts:
    settings = {
        "required_recordings": ["sustained"],
        "threshold": 0.5,
        "inconclusive": [0.45, 0.55],
        "temperature": 1.2,
        "bias": 0.0,
        "network": {"architecture": "robust", "members": 5},
    }
    return CardFacts(
        model="demo",
        evaluation=found,
        cross_validation=None,
        settings=settings,
        config={"seed": 42},
        fit={"device": "cpu"},
        digests={"data, cohort": "ab" * 32},
        made={"code version": "0.1", "image": "none"},
    )


def test_the_refusal_names_every_gate_and_the_report() -> None:
    gates = [
        {"name": "noise-flip", "verdict": "FAIL", "reason": "patients only: sensitivity +0.6"},
        {"name": "above-chance", "verdict": "PASS", "reason": "AUC 0.9"},
        {"name": "champion", "verdict": "NOT ENOUGH DATA", "reason": "there is no champion"},
    ]

    with pytest.raises(InvalidInput, match=r"fails noise-flip, slices; report: steps/report.html") as caught:
        refuse_failed(
            [{"gates": gates}, {"gates": [{"name": "slices", "verdict": "FAIL", "reason": "sex m"}]}],
            tolerated=(),
            report="steps/report.html",
        )

    assert [problem.where for problem in caught.value.problems] == ["gate noise-flip", "gate slices"]
    assert caught.value.problems[0].what == "patients only: sensitivity +0.6"


def test_doubt_refuses_nothing() -> None:
    refuse_failed(
        [{"gates": [{"name": "champion", "verdict": "NOT ENOUGH DATA", "reason": ""}]}], tolerated=(), report="r"
    )


def test_a_gate_that_is_tolerated_refuses_nothing() -> None:
    gates = [{"name": name, "verdict": "FAIL", "reason": ""} for name in ("shift: band to 4 kHz", "shift: gain", "age")]

    refuse_failed([{"gates": gates}], tolerated=("shift: *", "age"), report="r")
    with pytest.raises(InvalidInput, match="fails age; report: r"):
        refuse_failed([{"gates": gates}], tolerated=("shift: *",), report="r")


def test_the_registry_gets_figures_card_evidence_and_verdict(tmp_path: Path, found: dict[str, Any]) -> None:
    class Kept:
        """A registry that remembers what it was given."""

        def publish(self, folder: Path, **given: Any) -> str:
            self.given = given
            return "7"

    registry = Kept()
    evidence = Evidence(
        evaluation=found,
        cross_validation=found,
        curves={},
        datasets={"cohort": "d"},
        attachments={"people.json": b"{}"},
        card="# card",
    )

    told = publish(tmp_path, name="m", alias="challenger", config={"a": {"b": 1}}, evidence=evidence, registry=registry)

    assert told == {"model": "m", "version": "7", "alias": "challenger", "verdict": found["verdict"]}
    assert registry.given["tags"] == {"spira.verdict": found["verdict"]}
    assert registry.given["metrics"]["pooled.auc_low"] == found["auc_low"]
    assert (registry.given["description"], registry.given["parameters"]) == ("# card", {"a.b": "1"})


def test_figures_that_do_not_exist_are_left_out(found: dict[str, Any]) -> None:
    flat = flat_figures(found | {"auc": None, "matched": {"n": 0, "auc": None}}, prefix="test")

    assert "test.auc" not in flat
    assert (flat["test.n"], flat["test.matched.n"]) == (60.0, 0.0)


def test_the_card_tells_figures_with_n_and_interval_every_gate_and_every_slice(found: dict[str, Any]) -> None:
    card = write_card(facts(found))

    assert f"AUC {found['auc']:.3f} ({found['auc_low']:.2f}–{found['auc_high']:.2f}) on 60 people" in card
    assert all(f"| {gate['name']} | {gate['verdict']} |" in card for gate in found["gates"])
    assert "| sex | &lt;f> | 40 |" in card
    assert "| inconclusive | 0.4500 to 0.5500 |" in card
    assert '"seed": 42' in card
    assert "## Intended use" in card
    assert all(f"- {gate['name']}: " in card for gate in found["gates"] if gate["verdict"] != "PASS")


def test_the_page_of_a_card_has_tables_and_no_foreign_markup(found: dict[str, Any]) -> None:
    page = card_page(write_card(facts(found)) + "\n<script>alert(1)</script>\n", title="<b>").decode()

    assert "<table>" in page
    assert "<h1>Model card: demo</h1>" in page
    assert "<script>" not in page
    assert "<b>" not in page


def test_a_report_tells_every_gate_and_escapes_what_it_was_given(found: dict[str, Any]) -> None:
    plots = evidence_plots(
        people(),
        found
        | {
            "battery": [
                {
                    "name": "x",
                    "value": 0.1,
                    "low": 0.0,
                    "high": 0.2,
                    "margin": 0.4,
                    "n": 60,
                    "before": 0.5,
                    "after": 0.6,
                }
            ]
        },
    )
    page = render(found, plots, title="A & B", notes=["<note>"]).decode()

    assert set(plots) == {"roc.png", "calibration.png", "scores.png", "confusion.png", "slices.png", "battery.png"}
    assert all(data.startswith(b"\x89PNG") for data in plots.values())
    assert page.count("<img ") == len(plots)
    assert all(gate["name"] in page for gate in found["gates"])
    assert "<title>A &amp; B</title>" in page
    assert "<td><f></td>" not in page
    assert "&lt;note&gt;" in page


def test_a_report_of_one_class_has_no_figures_and_no_plots() -> None:
    alone = [one for one in people() if one.label == 1]
    found = metrics(alone, model="", config=CONFIG)

    page = render(found, evidence_plots(alone, found), title="one class").decode()

    assert "<img " not in page
    assert found["verdict"] == "NOT ENOUGH DATA"
