"""The battery's verdicts on models whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from spira.kernel.errors import Conflict
from spira.kernel.ids import sha256_hex
from spira.training.core.battery import BatteryConfig
from spira.training.core.battery_gates import battery_gates
from spira.training.core.cohort import Cohort, NoiseClip, Recording
from spira.training.core.noise import generated_bank
from spira.training.core.perturb import CLEAN, NOISE
from spira.training.core.shifts import BatteryScores, NoiseOnly, battery_rows, noise_auc, noise_shifts, people_of
from spira.training.core.verdicts import Gate
from spira.training.use_cases.battery import run_battery, run_noise_only
from spira.voice.decode import FloatArray
from spira.voice.network import NetworkSettings
from spira.voice.score import ModelSettings, ScreeningModel
from spira.voice.segment import WindowSettings

CONFIG = BatteryConfig()


def person(number: int, label: int, clean: float, noise: float | None = None, **other: float) -> BatteryScores:
    scores = {CLEAN: (clean,)} | {name: (value,) for name, value in other.items()}
    if noise is not None:
        scores[NOISE] = (noise,)
    return BatteryScores(participant=f"p{label}-{number}", label=label, threshold=0.5, band=None, scores=scores)


def cohort_of_scores(*, n: int = 60, noisy_control: float, noisy_patient: float) -> list[BatteryScores]:
    """Controls around 0.2, patients around 0.8 without noise."""
    random = np.random.default_rng(1)
    spread = random.normal(0.0, 0.05, (n, 2))
    controls = [person(i, 0, 0.2 + spread[i, 0], noisy_control + spread[i, 0]) for i in range(n)]
    return controls + [person(i, 1, 0.8 + spread[i, 1], noisy_patient + spread[i, 1]) for i in range(n)]


def gate(people: list[BatteryScores], name: str, noise_only: list[NoiseOnly] | None = None) -> Gate:
    (found,) = [one for one in battery_gates(people, noise_only or [], CONFIG, seed=1) if one.name == name]
    return found


def test_a_model_that_takes_noise_for_illness_fails_by_the_noise_flip() -> None:
    found = gate(cohort_of_scores(noisy_control=0.9, noisy_patient=0.9), "noise-flip")

    assert found.verdict == "FAIL"
    assert "noise flip" in found.reason
    assert "controls only: specificity 1.000 to 0.000, -1.000" in found.reason


def test_a_model_that_takes_noise_for_health_fails_on_the_patients() -> None:
    found = gate(cohort_of_scores(noisy_control=0.1, noisy_patient=0.1), "noise-flip")

    assert found.verdict == "FAIL"
    assert "patients only: sensitivity 1.000 to 0.000" in found.reason


def test_a_model_that_noise_hardly_moves_passes() -> None:
    found = gate(cohort_of_scores(noisy_control=0.25, noisy_patient=0.78), "noise-flip")

    assert found.verdict == "PASS"


def test_few_people_are_not_enough_data() -> None:
    found = gate(cohort_of_scores(n=8, noisy_control=0.9, noisy_patient=0.9), "noise-flip")

    assert (found.verdict, "8 patients and 8 controls" in found.reason) == ("NOT ENOUGH DATA", True)


def test_a_shift_whose_interval_crosses_the_margin_is_not_enough_data() -> None:
    people = cohort_of_scores(n=30, noisy_control=0.2, noisy_patient=0.8)
    people = [person(i, 0, 0.2, 0.9 if i < 10 else 0.2) for i in range(30)] + people[30:]

    found = gate(people, "noise-flip")

    assert found.verdict == "NOT ENOUGH DATA"
    assert "-0.333" in found.reason


def test_without_unheard_noise_nothing_is_claimed() -> None:
    people = [person(i, label, 0.2 + 0.6 * label) for i in range(30) for label in (0, 1)]

    assert gate(people, "noise-flip").verdict == "NOT ENOUGH DATA"
    assert "--noise" in gate(people, "noise-flip").reason
    assert gate(people, "noise-only").verdict == "NOT ENOUGH DATA"


def test_noise_on_one_class_leaves_the_other_classs_figure_alone() -> None:
    shifts = {
        (one.condition, one.figure): one
        for one in noise_shifts(cohort_of_scores(noisy_control=0.9, noisy_patient=0.9), seed=1)
    }

    assert shifts["controls only", "sensitivity"].change.value == 0.0
    assert shifts["patients only", "specificity"].change.value == 0.0
    assert shifts["both", "specificity"].change.value == -1.0
    assert shifts["controls only", "AUC"].after < 0.1
    assert shifts["patients only", "AUC"].after == 1.0


def test_the_auc_with_noise_on_all_is_the_mean_over_the_draws() -> None:
    right, wrong = (0.9, 0.1), (0.1, 0.9)
    people = [
        BatteryScores(
            participant=f"p{i}",
            label=i % 2,
            threshold=0.5,
            band=None,
            scores={NOISE: right if i % 2 else wrong, CLEAN: (0,)},
        )
        for i in range(40)
    ]

    assert noise_auc(people, seed=1).value == pytest.approx(0.5)


@pytest.mark.parametrize(("moved", "verdict"), [(0.0, "PASS"), (0.05, "PASS"), (0.3, "FAIL")])
def test_a_counterfactual_is_judged_by_how_far_it_moves_scores(moved: float, verdict: str) -> None:
    people = [
        person(i, label, 0.2 + 0.5 * label, gain=0.2 + 0.5 * label + moved) for i in range(60) for label in (0, 1)
    ]

    assert gate(people, "shift: gain").verdict == verdict


def test_turned_diagnoses_fail_a_counterfactual_even_when_scores_move_little() -> None:
    people = [person(i, i % 2, 0.49, gain=0.51) for i in range(60)]

    found = gate(people, "shift: gain")

    assert found.verdict == "FAIL"
    assert "100.0%" in found.reason


def test_a_move_into_the_inconclusive_band_is_no_turned_diagnosis() -> None:
    one = BatteryScores(participant="p", label=0, threshold=0.5, band=(0.4, 0.6), scores={CLEAN: (0.3,)})

    assert [one.diagnosis(score) for score in (0.39, 0.5, 0.6)] == [-1, 0, 1]


@pytest.mark.parametrize(("positive", "verdict"), [(0, "PASS"), (7, "NOT ENOUGH DATA"), (30, "FAIL")])
def test_noise_alone_may_be_positive_only_below_the_cap(positive: int, verdict: str) -> None:
    heard = [
        NoiseOnly(sha256=f"{n}", refused=False, score=0.5, diagnosis="positive" if n < positive else "negative")
        for n in range(30)
    ]

    assert gate([], "noise-only", heard).verdict == verdict


def test_recordings_of_a_person_are_joined_draw_by_draw() -> None:
    takes = [
        BatteryScores(participant="p", label=1, threshold=0.5, band=None, scores={CLEAN: (a,), NOISE: (a, 0.5)})
        for a in (0.2, 0.6)
    ]

    (joined,) = people_of(takes)

    assert joined.scores[CLEAN] == pytest.approx((0.4,))
    assert joined.scores[NOISE] == pytest.approx((0.4, 0.5))


def test_the_table_holds_every_condition_with_intervals() -> None:
    people = [person(i, label, 0.2, 0.3, gain=0.2) for i in range(10) for label in (0, 1)]

    rows = battery_rows(people, seed=1)

    assert {row["name"].partition(":")[0] for row in rows} == {
        "noise, controls only",
        "noise, patients only",
        "noise, both",
        "gain",
    }
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


class Files:
    """Recordings in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, dict[str, bytes]()

    def add(self, name: str, samples: FloatArray) -> str:
        file = self.folder / f"{name}.wav"
        soundfile.write(file, samples, 16_000, subtype="FLOAT")
        self.data[name] = file.read_bytes()
        return sha256_hex(self.data[name])

    def read(self, location: str) -> bytes:
        return self.data[location]


def tell(done: int, total: int, note: str = "") -> None: ...


@pytest.fixture
def loud_is_ill(monkeypatch: pytest.MonkeyPatch) -> ScreeningModel:
    """A model whose score is the clip's RMS: what each change does to it is known."""
    settings = ModelSettings(code_version="0", windows=WindowSettings(window_s=2.0), network=NetworkSettings())
    model = ScreeningModel.untrained(settings)
    monkeypatch.setattr(model, "score_samples", lambda clip: min(1.0, float(np.sqrt(np.mean(np.square(clip))))))
    return model


def cohort_in(files: Files) -> Cohort:
    voice = (0.05 * np.sign(np.sin(np.arange(16_000) / 20))).astype(np.float32)
    bank = generated_bank(seed=3, clips=4, samples=16_000)
    recordings = tuple(
        Recording(
            row=2, location=f"v{n}", sha256=files.add(f"v{n}", voice), duration_s=1.0, participant=f"p{n}",
            label=1 if n else 0, fold=None, matched_pair=None, age=None, facets={},
        )
        for n in range(2)
    )  # fmt: skip
    noise = tuple(
        NoiseClip(location=f"n{n}", sha256=files.add(f"n{n}", clip), kind="", group=f"g{n}")
        for n, clip in enumerate(bank)
    )
    return Cohort(recordings=recordings, noise=noise)


def test_a_model_is_tried_under_every_condition(tmp_path: Path, loud_is_ill: ScreeningModel) -> None:
    files = Files(tmp_path)
    cohort = cohort_in(files)

    first, second = run_battery(
        loud_is_ill, cohort, [0, 1], recordings=files, config=BatteryConfig(noise_draws=2), seed=1, tell=tell
    )

    assert first.scores[CLEAN][0] == pytest.approx(0.05, rel=1e-3)
    assert first.scores["gain +12 dB"][0] == pytest.approx(0.05 * 10 ** (12 / 20), rel=1e-3)
    assert first.scores["zeros to the next window"][0] == pytest.approx(0.05 * 0.5**0.5, rel=1e-3)
    assert first.scores[NOISE] == pytest.approx((0.05 * 1.1**0.5,) * 2, rel=0.05)
    assert first.scores == second.scores  # the same audio, another label: the same noise


def test_the_battery_never_hears_the_training_side_of_the_noise(tmp_path: Path, loud_is_ill: ScreeningModel) -> None:
    files = Files(tmp_path)
    cohort = cohort_in(files)
    heard: list[str] = []
    read = files.read

    def listened(location: str) -> bytes:
        heard.append(location)
        return read(location)

    files.read = listened  # type: ignore[method-assign]  # these recordings alone are listened to

    run_battery(loud_is_ill, cohort, [0], recordings=files, config=CONFIG, seed=1, tell=tell)

    from spira.training.core.noise import noise_sides

    training, held = noise_sides(cohort.noise)
    assert {one.location for one in held} <= set(heard)
    assert not {one.location for one in training} & set(heard)


def test_a_recording_that_changed_since_it_was_checked_stops_the_battery(
    tmp_path: Path, loud_is_ill: ScreeningModel
) -> None:
    files = Files(tmp_path)
    cohort = cohort_in(files)
    files.add("v0", np.full(8_000, 0.1, np.float32))

    with pytest.raises(Conflict, match="v0 changed"):
        run_battery(loud_is_ill, cohort, [0], recordings=files, config=CONFIG, seed=1, tell=tell)


def test_noise_alone_is_judged_by_its_quality_before_it_is_scored(tmp_path: Path, loud_is_ill: ScreeningModel) -> None:
    files = Files(tmp_path)
    cohort = cohort_in(files)

    heard = run_noise_only(loud_is_ill, cohort, recordings=files)

    assert heard
    assert all(one.diagnosis == "refused" and one.score is None for one in heard if one.refused)
    assert any(one.refused for one in heard)  # white noise holds no voice
