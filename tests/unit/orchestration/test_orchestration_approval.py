"""What a person reads before and after approving."""

from __future__ import annotations

from spira.orchestration.approval import body_of, confirmation, failed_gates, subject_of

PUBLISHED = {"told": {"model": "robust", "version": "7", "alias": "challenger"}}
GATES = [
    {"name": "noise flip", "verdict": "FAIL", "reason": "patients only: specificity falls by 0.21 (0.12 to 0.30)"},
    {"name": "champion", "verdict": "NOT ENOUGH DATA", "reason": "there is no champion"},
]
EVALUATED = {
    "told": {
        "auc": 0.912, "auc_low": 0.85, "auc_high": 0.96, "uar": 0.83, "n": 94, "verdict": "FAIL", "gates": GATES,
        "report": "steps/evaluate/k/report.html",
    }
}  # fmt: skip


def test_the_subject_names_model_version_and_verdict() -> None:
    assert subject_of(PUBLISHED, EVALUATED) == "Approve robust/7? Gates: FAIL"


def test_the_body_has_figures_with_n_and_interval_each_gate_with_its_reason_and_the_report() -> None:
    body = body_of(PUBLISHED, EVALUATED)

    assert "n = 94" in body
    assert "| 0.912 (0.850 to 0.960) | 0.830 |" in body
    assert "| noise flip | FAIL | patients only: specificity falls by 0.21 (0.12 to 0.30) |" in body
    assert "`steps/evaluate/k/report.html`" in body


def test_pooled_figures_stand_beside_those_of_the_held_out_fold() -> None:
    pooled = {"told": {"auc": 0.9, "auc_low": 0.87, "auc_high": 0.93, "n": 404}}

    assert "Pooled over all held-out folds, n = 404" in body_of(PUBLISHED, EVALUATED, pooled)
    assert "Pooled" not in body_of(PUBLISHED, EVALUATED, None)


def test_the_confirmation_names_the_version_and_who_approved_it() -> None:
    answer = {"responded_by_user": {"id": "1", "name": "ana"}, "responded_at": "2026-01-01T00:00:00Z"}

    told = confirmation(PUBLISHED, answer)

    assert told["version"] == "7"
    assert told["approved_by"] == "ana"


def test_an_approval_that_was_marked_by_hand_names_nobody() -> None:
    assert confirmation(PUBLISHED, None)["approved_by"] == "unknown"


def test_failed_gates_are_told_with_their_reason_and_where_the_report_lies() -> None:
    assert failed_gates(EVALUATED) == [
        "noise flip: patients only: specificity falls by 0.21 (0.12 to 0.30)",
        "report: object steps/evaluate/k/report.html",
    ]
    assert failed_gates({"told": {"gates": GATES[1:], "report": "r"}}) == []
