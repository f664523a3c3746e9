"""Noise is divided by its source before anything is trained, so that the evaluation hears unseen noise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spira.training.core.cohort import NoiseClip
from spira.training.core.noise import noise_sides


def clips(groups: list[str]) -> list[NoiseClip]:
    return [
        NoiseClip(location=f"/nowhere/{n}.wav", sha256=f"{n:064x}", kind="ambient", group=group)
        for n, group in enumerate(groups)
    ]


@given(st.lists(st.sampled_from(["", "ward", "street", "fan", "door", "rain"]), max_size=30))
def test_every_clip_is_on_one_side_and_no_group_on_both(groups: list[str]) -> None:
    given_clips = clips(groups)

    training, evaluation = noise_sides(given_clips)

    assert sorted([*training, *evaluation], key=lambda one: one.sha256) == given_clips
    assert not ({one.group for one in training} & {one.group for one in evaluation}) - {""}


@given(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=12, unique=True))
def test_two_groups_or_more_leave_noise_for_either_side(groups: list[str]) -> None:
    training, evaluation = noise_sides(clips(groups))

    assert training
    assert evaluation


def test_one_group_is_all_for_training() -> None:
    training, evaluation = noise_sides(clips(["ward", "ward"]))

    assert (len(training), evaluation) == (2, ())


def test_about_a_third_of_many_groups_is_kept_for_the_evaluation() -> None:
    _, evaluation = noise_sides(clips([f"source {n}" for n in range(300)]))

    assert 70 <= len(evaluation) <= 130


def test_a_group_keeps_its_side_when_others_come() -> None:
    few, many = ([f"source {n}" for n in range(size)] for size in (20, 60))

    before = {one.group for one in noise_sides(clips(few))[1]}
    after = {one.group for one in noise_sides(clips(many))[1]}

    assert before == after & set(few)
