"""Descriptors of the channel by known answers, and probes that tell a planted shortcut from an honest data set."""

from __future__ import annotations

import numpy as np
import pytest

from spira.kernel.errors import InvalidInput
from spira.training.core.balance import BalanceConfig
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.probes import shortcuts_of
from spira.training.use_cases.probe import Probe, probe_gates, probe_rows, refuse_shortcuts, run_probes
from spira.voice.decode import SAMPLE_RATE, FloatArray

NONE = BalanceConfig()


def voice(*, seconds: float = 1.0, amplitude: float = 0.1, hz: float = 200.0) -> FloatArray:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def with_pauses(noise: float) -> FloatArray:
    """Half a second of voice, then half a second of white noise of that RMS."""
    random = np.random.default_rng(1)
    return np.concatenate([voice(seconds=0.5), random.normal(0.0, noise, 8_000).astype(np.float32)])


def test_level_and_duration_are_what_they_are() -> None:
    found = shortcuts_of(voice(seconds=2.0, amplitude=0.1))

    assert found["duration"] == 2.0
    assert found["level"] == pytest.approx(20 * np.log10(0.1 / 2**0.5), abs=0.01)


def test_the_zero_ratio_counts_digital_silence() -> None:
    clip = np.concatenate([voice(), np.zeros(16_000, np.float32)])

    assert shortcuts_of(clip)["zero_ratio"] == pytest.approx(0.5, abs=0.02)


def test_the_bandwidth_is_where_the_spectrum_ends() -> None:
    low, high = (shortcuts_of(voice(hz=200.0) + voice(hz=hz, amplitude=0.05))["bandwidth"] for hz in (2_000.0, 6_000.0))

    assert low == pytest.approx([2.0, 2.0], abs=0.1)
    assert high == pytest.approx([6.0, 6.0], abs=0.1)


def test_silence_tells_the_rooms_noise_and_not_the_level() -> None:
    quiet, loud = (np.array(shortcuts_of(with_pauses(noise))["silence"]) for noise in (1e-4, 1e-3))
    gained = np.array(shortcuts_of(with_pauses(1e-3) * np.float32(0.25))["silence"])

    assert loud - quiet == pytest.approx(np.full(6, 20.0), abs=1.0)
    assert gained == pytest.approx(loud, abs=0.01)


def test_a_clip_without_pauses_has_no_silence_to_tell() -> None:
    assert shortcuts_of(voice())["silence"] == []


@pytest.mark.parametrize("samples", [0, 1, 300, 401])
def test_tiny_and_silent_clips_have_finite_descriptors(samples: int) -> None:
    values = np.concatenate([np.atleast_1d(v) for v in shortcuts_of(np.zeros(samples, np.float32)).values()])

    assert np.isfinite(values).all()


def cohort_of(
    labels: list[int], shortcuts: list[dict[str, float | list[float]]], *, facets: list[dict[str, str]] | None = None
) -> Cohort:
    return Cohort(
        recordings=tuple(
            Recording(
                row=2, location=f"/nowhere/{n}", sha256=f"{n:064x}", duration_s=1.0, participant=f"p{n:04d}",
                label=1 if label else 0, fold=None, matched_pair=None, age=None,
                facets=facets[n] if facets else {}, shortcuts=own,
            )
            for n, (label, own) in enumerate(zip(labels, shortcuts, strict=True))
        )
    )  # fmt: skip


def probed(cohort: Cohort, *, config: BalanceConfig = NONE, level_is_normalised: bool = True) -> dict[str, Probe]:
    found = run_probes(
        cohort, range(len(cohort.recordings)), config=config, level_is_normalised=level_is_normalised, seed=1
    )
    return {one.name: one for one in found}


LABELS = [n % 2 for n in range(160)]


def test_a_duration_that_tells_the_class_fails_and_names_itself() -> None:
    random = np.random.default_rng(2)
    cohort = cohort_of(LABELS, [{"duration": 2.0 + label + random.normal(0, 0.5)} for label in LABELS])

    (gate,) = probe_gates(probed(cohort).values(), NONE)

    assert (gate.name, gate.verdict) == ("shortcut: duration", "FAIL")
    assert "duration alone tells the classes of the fit's 160 people apart" in gate.reason


def test_descriptors_that_tell_nothing_pass() -> None:
    random = np.random.default_rng(2)
    cohort = cohort_of(LABELS, [{"duration": random.normal(), "silence": list(random.normal(size=6))} for _ in LABELS])

    assert [gate.verdict for gate in probe_gates(probed(cohort).values(), NONE)] == ["PASS", "PASS"]


def test_too_short_and_too_long_together_tell_as_well() -> None:
    """A line can't separate them; a probe that only knew lines would see nothing."""
    random = np.random.default_rng(2)
    sides = [random.choice([-2.0, 2.0]) * label + random.normal(0, 0.5) for label in LABELS]

    (gate,) = probe_gates(probed(cohort_of(LABELS, [{"duration": side} for side in sides])).values(), NONE)

    assert gate.verdict == "FAIL"


def test_level_is_told_but_not_judged_where_the_model_never_sees_it() -> None:
    cohort = cohort_of(LABELS, [{"level": -20.0 - 10 * label + n % 7 * 0.1} for n, label in enumerate(LABELS)])

    hidden, seen = (probed(cohort, level_is_normalised=known) for known in (True, False))

    assert probe_gates(hidden.values(), NONE) == []
    assert [gate.verdict for gate in probe_gates(seen.values(), NONE)] == ["FAIL"]
    (row,) = probe_rows(hidden.values())
    assert row["auc"] > 0.99
    assert "one level" in row["note"]


def test_a_device_of_one_class_only_fails() -> None:
    facets = [{"device": "ward phone" if label else "browser"} for label in LABELS]

    (gate,) = probe_gates(probed(cohort_of(LABELS, [{} for _ in LABELS], facets=facets)).values(), NONE)

    assert (gate.name, gate.verdict) == ("shortcut: device", "FAIL")


def test_few_people_are_told_but_not_judged() -> None:
    cohort = cohort_of(LABELS[:20], [{"duration": float(n)} for n in range(20)])

    (gate,) = probe_gates(probed(cohort).values(), NONE)

    assert (gate.verdict, "10 patients and 10 controls" in gate.reason) == ("NOT ENOUGH DATA", True)


def test_the_policy_refuse_stops_with_every_shortcut_that_tells() -> None:
    cohort = cohort_of(LABELS, [{"duration": float(label) + n * 1e-3} for n, label in enumerate(LABELS)])
    refuse = BalanceConfig(policy="refuse")

    with pytest.raises(InvalidInput, match=r"balance.policy refuse: duration alone tells"):
        refuse_shortcuts(probed(cohort, config=refuse).values(), refuse)
    refuse_shortcuts(probed(cohort).values(), NONE)


def test_reweighting_takes_away_what_a_shortcut_owes_to_age() -> None:
    """Longer breath of the young: duration tells the class only through age."""
    random = np.random.default_rng(5)
    labels = [n % 2 for n in range(600)]
    ages = [float(np.clip(random.normal(40 + 12 * label, 12), 18, 90)) for label in labels]
    cohort = cohort_of(labels, [{"duration": -age / 10 + random.normal(0, 0.3)} for age in ages])
    aged = tuple(one.model_copy(update={"age": age}) for one, age in zip(cohort.recordings, ages, strict=True))
    cohort = cohort.model_copy(update={"recordings": aged})
    reweight = BalanceConfig(policy="reweight")

    before, after = (
        {gate.name: gate.verdict for gate in probe_gates(probed(cohort, config=config).values(), config)}
        for config in (NONE, reweight)
    )

    assert before == {"shortcut: age": "FAIL", "shortcut: duration": "FAIL"}
    assert after == {"shortcut: age": "PASS", "shortcut: duration": "PASS"}
