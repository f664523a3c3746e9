"""The synthetic cohort: who is in it, what they say, and what must not tell the label."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spira.kernel.errors import InvalidInput
from spira.training.core.synthesis.cohort import CohortParameters, Recording, noise_clips, recordings_of
from spira.training.core.synthesis.glottis import SAMPLE_RATE, glottal_flow, lf_cycle
from spira.training.core.synthesis.people import FOLDS, Label, Person, draw_people
from spira.training.core.synthesis.scene import DEVICES, NOISES, ward_noise
from spira.training.core.synthesis.speech import draw_pauses, speak
from spira.training.core.synthesis.tract import VOWELS, formants, resonate
from spira.training.core.synthesis.voice import draw_voice

MANY = 2000


def chance(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(numbers)


def auc(scores: list[float], people: tuple[Person, ...]) -> float:
    """Share of (patient, control) pairs that `scores` puts in order, ties counting half."""
    patients = np.array([score for score, one in zip(scores, people, strict=True) if one.is_patient], dtype=float)
    controls = np.array([score for score, one in zip(scores, people, strict=True) if not one.is_patient], dtype=float)
    difference = patients[:, None] - controls[None, :]
    return float(np.mean(difference > 0) + 0.5 * np.mean(difference == 0))


def class_means(values: dict[Label, list[float]]) -> list[float]:
    return [float(np.mean(values["control"])), float(np.mean(values["patient"]))]


def test_the_same_seed_gives_the_same_people_and_samples() -> None:
    parameters = CohortParameters(participants=10, seed=7)

    first, again = (draw_people(10, seed=7) for _ in range(2))
    sounds = [list(recordings_of(people[3], parameters)) for people in (first, again)]

    assert first == again
    assert [one.samples.tobytes() for one in sounds[0]] == [one.samples.tobytes() for one in sounds[1]]


def test_another_seed_gives_other_people_and_samples() -> None:
    one, other = (draw_people(10, seed=seed) for seed in (7, 8))

    first, second = (next(recordings_of(p[3], CohortParameters(seed=s))) for p, s in ((one, 7), (other, 8)))

    assert {person.participant_id for person in one}.isdisjoint(person.participant_id for person in other)
    assert first.samples.tobytes() != second.samples.tobytes()


def test_a_task_sounds_the_same_whatever_other_tasks_are_asked_for() -> None:
    person = draw_people(10, seed=2)[0]
    both = CohortParameters(tasks=("sustained", "rhyme"), seed=2)

    vowels = [next(recordings_of(person, one)) for one in (both, CohortParameters(tasks=("sustained",), seed=2))]

    assert vowels[0].samples.tobytes() == vowels[1].samples.tobytes()


@given(count=st.integers(10, 150), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_half_are_patients_and_folds_are_even_in_both_classes(count: int, seed: int) -> None:
    people = draw_people(count, seed=seed)

    assert sum(one.is_patient for one in people) == count // 2
    for label in ("control", "patient"):
        sizes = [sum(one.fold == fold and one.label == label for one in people) for fold in range(FOLDS)]
        assert max(sizes) - min(sizes) <= 1


@given(count=st.integers(60, 150), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_pair_is_a_patient_and_a_control_of_one_sex_and_nearly_one_age(count: int, seed: int) -> None:
    pairs = defaultdict(list)
    for person in draw_people(count, seed=seed):
        if person.matched_pair is not None:
            pairs[person.matched_pair].append(person)

    assert pairs
    for two in pairs.values():
        assert sorted(one.label for one in two) == ["control", "patient"]
        assert two[0].sex == two[1].sex
        assert abs(two[0].age - two[1].age) <= 3


@pytest.mark.parametrize("seed", range(5))
def test_age_sex_site_and_mask_tell_nothing_of_the_label(seed: int) -> None:
    people = draw_people(400, seed=seed)

    assert auc([one.age for one in people], people) == pytest.approx(0.5, abs=0.05)
    assert auc([one.sex == "f" for one in people], people) == pytest.approx(0.5, abs=0.05)
    assert auc([one.site == "hospital-a" for one in people], people) == pytest.approx(0.5, abs=0.1)
    assert auc([one.mask == "none" for one in people], people) == pytest.approx(0.5, abs=0.1)


def test_ages_and_sexes_are_those_published_for_patients() -> None:
    people = draw_people(MANY, seed=1)

    ages = np.array([one.age for one in people])
    assert ages.mean() == pytest.approx(53.3, abs=1.0)
    assert ages.std() == pytest.approx(14.4, abs=1.0)
    assert np.mean([one.sex == "m" for one in people]) == pytest.approx(116 / 218, abs=0.03)


def test_the_classes_overlap_in_severity_so_nobody_can_be_perfect() -> None:
    people = draw_people(MANY, seed=1)

    assert 0.9 < auc([one.severity for one in people], people) < 0.985


def test_pauses_are_as_many_and_as_long_as_published() -> None:
    number: dict[Label, list[float]] = defaultdict(list)
    length: dict[Label, list[float]] = defaultdict(list)
    for person in draw_people(MANY, seed=3):
        pauses = draw_pauses(draw_voice(person, chance(3, person.index)), "sentence", chance(4, person.index))
        number[person.label].append(len(pauses))
        length[person.label].append(float(np.mean(list(pauses.values()))) if pauses else 0.0)

    assert class_means(number) == pytest.approx([0.85, 3.16], abs=0.2)
    assert class_means(length) == pytest.approx([0.13, 0.53], abs=0.04)


def test_a_pause_is_silent_for_as_long_as_was_drawn() -> None:
    breathless = next(one for one in draw_people(40, seed=3) if one.severity > 1.2)

    said = speak(draw_voice(breathless, chance(1)), "sentence", chance(2))

    quiet = 1 - np.mean(np.abs(said.samples) > 0.02)
    assert len(said.pauses_s) >= 2
    assert quiet * said.samples.size / SAMPLE_RATE > sum(said.pauses_s)


def test_patients_speak_higher_and_less_steadily_more_so_women() -> None:
    height, spread = defaultdict(list), defaultdict(list)
    for person in draw_people(MANY, seed=4):
        voice = draw_voice(person, chance(4, person.index))
        height[person.sex, person.label].append(np.log2(voice.f0) * 12)
        spread[person.sex, person.label].append(voice.liveliness)

    rise = {sex: np.mean(height[sex, "patient"]) - np.mean(height[sex, "control"]) for sex in ("f", "m")}
    unrest = {sex: np.mean(spread[sex, "patient"]) - np.mean(spread[sex, "control"]) for sex in ("f", "m")}
    assert 0.3 < rise["m"] < rise["f"] < 2.0
    assert 0.2 < unrest["m"] < unrest["f"]


def test_the_jitter_shimmer_and_breath_of_patients_are_higher_with_overlap() -> None:
    people = draw_people(MANY, seed=5)
    voices = [draw_voice(one, chance(5, one.index)) for one in people]

    for quality in ("jitter", "shimmer", "breath_db", "rd"):
        assert 0.6 < auc([getattr(one, quality) for one in voices], people) < 0.97


@pytest.fixture(scope="module")
def vowels() -> tuple[tuple[Person, ...], list[Recording]]:
    people = draw_people(40, seed=6)
    parameters = CohortParameters(participants=40, tasks=("sustained",), seed=6)
    return people, [next(recordings_of(one, parameters)) for one in people]


def test_level_zeros_and_device_of_vowels_tell_nothing_of_the_label(
    vowels: tuple[tuple[Person, ...], list[Recording]],
) -> None:
    people, recordings = vowels
    levels = [float(np.log(np.mean(np.square(one.samples.astype(float))))) for one in recordings]
    zeros = [float(np.mean(one.samples == 0)) for one in recordings]

    assert auc(levels, people) == pytest.approx(0.5, abs=0.2)
    assert auc(zeros, people) == pytest.approx(0.5, abs=0.2)
    assert {one.device for one in recordings} == {device.name for device in DEVICES}


def test_vowels_last_two_to_four_seconds_and_never_clip(vowels: tuple[tuple[Person, ...], list[Recording]]) -> None:
    _, recordings = vowels

    for one in recordings:
        assert 2 * SAMPLE_RATE <= one.samples.size <= 4 * SAMPLE_RATE
        assert 300 < int(np.max(np.abs(one.samples.astype(int)))) < 32_000


def test_sentences_last_seconds_that_a_person_needs() -> None:
    people = draw_people(10, seed=9)
    parameters = CohortParameters(tasks=("sentence",), seed=9)

    seconds = [next(recordings_of(one, parameters)).samples.size / SAMPLE_RATE for one in people]

    assert 3 < min(seconds) < max(seconds) < 14
    assert np.median(seconds) < 8


def test_identifiers_tell_nothing_of_the_label() -> None:
    people = draw_people(400, seed=1)

    order = {name: n for n, name in enumerate(sorted(one.participant_id for one in people))}

    assert auc([order[one.participant_id] for one in people], people) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("rd", [0.5, 1.0, 1.7, 2.4])
def test_a_glottal_cycle_closes_sharply_and_lets_no_air_pile_up(rd: float) -> None:
    cycle = lf_cycle(rd)

    assert cycle.min() == pytest.approx(-1.0, abs=0.02)
    assert abs(cycle.sum()) < 1e-6 * cycle.size
    assert abs(cycle[-1]) < 0.01


def test_a_voice_has_the_pitch_it_was_given() -> None:
    f0 = np.full(SAMPLE_RATE, 200.0)

    flow = glottal_flow(f0, rd=1.0, jitter=0.0, shimmer=0.0, breath_db=-60, rng=chance(1))

    spectrum = np.abs(np.fft.rfft(flow))
    assert flow.size == SAMPLE_RATE
    assert int(np.argmax(spectrum[100:300])) + 100 == 200


@pytest.mark.parametrize("vowel", VOWELS)
def test_a_vowel_resonates_at_its_first_formant(vowel: str) -> None:
    impulse = np.zeros(SAMPLE_RATE)
    impulse[0] = 1.0

    response = np.abs(np.fft.rfft(resonate(impulse, formants(vowel, scale=1.0))))

    expected = VOWELS[vowel][0]
    low, high = int(expected - 60), int(expected + 60)
    assert response[low:high].max() > 2 * response[int(expected / 3)]


@pytest.mark.parametrize("kind", NOISES)
def test_ward_noise_has_the_length_asked_for_and_unit_level(kind: str) -> None:
    noise = ward_noise(kind, 12_345, chance(1))

    assert noise.shape == (12_345,)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0)


def test_the_noise_bank_keeps_rooms_and_kinds_apart() -> None:
    rooms = defaultdict(set)
    for clip in noise_clips(CohortParameters(noise_clips=12)):
        rooms[clip.group].add(clip.kind)
        assert np.abs(clip.samples).max() > 0

    assert len(rooms) == 4
    assert all(len(kinds) == 1 for kinds in rooms.values())
    assert {kind for kinds in rooms.values() for kind in kinds} == {"ambient", "human"}


def test_wrong_parameters_are_all_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        CohortParameters(participants=3, seed=-1, noise_clips=-2)

    assert {problem.where for problem in caught.value.problems} == {"participants", "seed", "noise_clips"}
