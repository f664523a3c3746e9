"""Real, tiny fits on made-up features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from spira.kernel.errors import InvalidInput
from spira.training.core.calibration import pooled
from spira.training.core.figures import auc
from spira.training.core.member import Member
from spira.training.core.weighing import participant_weights
from spira.training.use_cases.material import Material, batches_of
from spira.voice.network import build_network

MakeToy = Callable[..., Any]


def bits(members: tuple[Member, ...]) -> list[dict[str, bytes]]:
    return [member.files() for member in members]


def test_the_loss_falls_and_people_never_fitted_are_told_apart(make_toy: MakeToy) -> None:
    toy = make_toy("training.epochs=15", "network.members=4")

    members = toy.fit()

    everybody = pooled(members, toy.cohort)
    assert auc(everybody.person_logits, everybody.labels).value > 0.9
    for member in members:
        assert member.facts.curves["loss"][-1] < member.facts.curves["loss"][0]


def test_a_fit_back_propagates_into_every_weight(make_toy: MakeToy) -> None:
    """Upstream's loss was detached, or wrapped in a new tensor, so nothing was ever learned."""
    for network in (("network.architecture=robust",), ("network.architecture=spiraconv-v2", "network.dropout=0.1")):
        toy = make_toy(*network, "training.epochs=1", frames=60, bins=2)
        begun = make_toy(*network, "training.epochs=1", "training.learning_rate=1e-30", frames=60, bins=2)

        (fitted,), (still,) = toy.fit(), begun.fit()

        names = [name for name in fitted.weights if "running" not in name and "num_batches" not in name]
        assert names
        assert all(not fitted.weights[name].equal(still.weights[name]) for name in names)


def test_nothing_of_the_test_fold_is_ever_asked_for(make_toy: MakeToy) -> None:
    """Upstream chose its best checkpoint on the test set."""
    toy = make_toy("network.members=5")
    tested = set(toy.sides()[0].test)

    toy.fit()

    assert tested
    assert {recording for recording, _ in toy.windows.asked} == set(range(32)) - tested


def test_a_member_is_judged_by_people_it_is_not_fitted_on_and_only_on_clean_recordings(make_toy: MakeToy) -> None:
    toy = make_toy("training.time_masks=1", "training.time_mask_frames=2")
    (sides,) = toy.sides().values()

    (member,) = toy.fit()

    assert {one.recording for one in member.heard} == set(sides.validation)
    assert {version for recording, version in toy.windows.asked if recording in sides.validation} == {0}
    assert {version for recording, version in toy.windows.asked if recording in sides.train} == {0, 1}


def test_the_members_judge_everybody_outside_the_test_fold_once(make_toy: MakeToy) -> None:
    toy = make_toy("network.members=4", "training.epochs=1")

    members = toy.fit()

    judged = [one.recording for member in members for one in member.heard]
    assert sorted(judged) == sorted(set(range(32)) - set(toy.sides()[0].test))


def test_validation_is_without_dropout_gradients_and_moments(make_toy: MakeToy) -> None:
    """Upstream validated in training mode: it dropped units out and moved the norms' moments."""
    toy = make_toy("network.dropout=0.5", "training.epochs=1")
    (sides,) = toy.sides().values()

    (member,) = toy.fit()

    heard = {one.recording: one.logits for one in member.heard}
    network = build_network(toy.config.network, frames=10, bins=4)
    network.load_state_dict(dict(member.weights))
    network.eval()
    for recording in sides.validation:
        with torch.inference_mode():
            assert network(*toy.windows.windows(recording, 0)).tolist() == pytest.approx(heard[recording], abs=1e-5)


def test_the_learning_rate_follows_the_schedule_batch_by_batch(make_toy: MakeToy) -> None:
    """Upstream computed its schedule and never used it."""
    toy = make_toy("training.warmup_steps=4", "training.learning_rate=0.1", "training.batch_recordings=6")

    (member,) = toy.fit()

    per_epoch = len(batches_of(np.arange(member.facts.fitted), 6))
    expected = [0.1 * 2 * min(s * 4**-1.5, s**-0.5) for s in (per_epoch, 2 * per_epoch, 3 * per_epoch)]
    assert member.facts.curves["learning_rate"] == pytest.approx(expected)


def test_a_class_may_be_absent_from_a_batch(make_toy: MakeToy) -> None:
    """Upstream took the mean of both classes' losses in a batch: not a number when one is absent."""
    words = ("training.batch_recordings=2", "training.class_balance=loss")
    toy = make_toy(*words, labels=[0, 0, 0, 1] * 8)

    (member,) = toy.fit()

    assert np.isfinite(member.facts.curves["loss"]).all()


def test_recordings_of_exactly_one_window_and_an_odd_number_of_them_are_fine(make_toy: MakeToy) -> None:
    """Upstream's random crop and its mixing by pairs raised."""
    toy = make_toy(
        "training.mixup_alpha=0.4", "training.batch_recordings=3", windows_each=1, people=33, labels=[0, 1, 0] * 11
    )

    (member,) = toy.fit()

    assert len(member.facts.curves["loss"]) == 3


def test_a_last_batch_of_one_recording_joins_the_one_before() -> None:
    assert batches_of(np.arange(9), 4) == [slice(0, 4), slice(4, 9)]
    assert batches_of(np.arange(10), 4) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert batches_of(np.arange(1), 4) == [slice(0, 1)]


def test_the_same_seed_gives_the_same_bits_and_members_differ(make_toy: MakeToy) -> None:
    toy = make_toy("network.members=2")

    first, second = bits(toy.fit()), bits(toy.fit())

    assert first == second
    assert first[0]["member-00.safetensors"] != first[1]["member-01.safetensors"]


def test_a_member_does_not_depend_on_the_part_it_is_fitted_in(make_toy: MakeToy) -> None:
    toy = make_toy("network.members=3")
    sides = toy.sides()

    together = toy.fit()
    alone = toy.fit(sides={2: sides[2]})

    assert bits(alone) == bits(together)[2:]


def test_a_member_comes_back_from_its_files_to_the_bit(make_toy: MakeToy) -> None:
    (member,) = make_toy().fit()

    again = Member.of_files(member.files(), number=0)

    assert again.files() == member.files()
    assert (again.facts, again.heard) == (member.facts, member.heard)


def test_a_loss_that_is_no_number_ends_the_fit_and_says_where(make_toy: MakeToy) -> None:
    toy = make_toy(
        "training.learning_rate=1e30",
        "training.schedule=constant",
        "network.architecture=spiraconv-v2",
        frames=60,
        bins=2,
    )

    with pytest.raises(
        InvalidInput, match=r"training\.learning_rate: the loss became (nan|inf) in member 1, epoch 1, b"
    ):
        toy.fit()


def test_long_gradients_are_clipped(make_toy: MakeToy) -> None:
    """With plain Adam only the relative size counts, so a clip shows once it changes from batch to batch."""
    words = ("training.epochs=2",)

    (free,), (loose,), (tight,) = (
        make_toy(*words, *clip).fit() for clip in ((), ("training.clip_norm=1e9",), ("training.clip_norm=1e-3",))
    )

    assert bits((free,)) == bits((loose,))
    assert bits((free,)) != bits((tight,))


def test_the_sampler_draws_both_classes_alike(make_toy: MakeToy) -> None:
    labels = ([0] * 7 + [1]) * 20
    toy = make_toy("training.class_balance=sampler", labels=labels)
    (sides,) = toy.sides().values()

    material = Material.of(toy.cohort, toy.windows, sides, config=toy.config)
    order, _ = material.deal(np.random.default_rng(1))

    assert material.labels.mean() == pytest.approx(1 / 8, abs=0.01)
    assert material.labels[order].mean() == pytest.approx(0.5, abs=0.15)
    assert material.weights is None


def test_the_loss_gives_both_classes_the_same_mass(make_toy: MakeToy) -> None:
    toy = make_toy("training.class_balance=loss", labels=([0] * 7 + [1]) * 8)
    (sides,) = toy.sides().values()

    material = Material.of(toy.cohort, toy.windows, sides, config=toy.config)

    assert material.weights is not None
    assert material.weights.mean() == pytest.approx(1.0)
    assert material.weights[material.labels == 1].sum() == pytest.approx(material.weights[material.labels == 0].sum())
    assert material.chances is None


@pytest.mark.parametrize("policy", ["reweight", "match"])
def test_people_count_in_the_loss_what_the_balance_policy_says_and_those_of_no_weight_are_left_out(
    make_toy: MakeToy, policy: str
) -> None:
    made = make_toy(f"balance.policy={policy}", people=80)
    ages = [40.0 + n % 7 + (30.0 if n in {1, 5} else 0.0) for n in range(80)]
    aged = tuple(one.model_copy(update={"age": age}) for one, age in zip(made.cohort.recordings, ages, strict=True))
    toy = dataclasses.replace(made, cohort=made.cohort.model_copy(update={"recordings": aged}))
    (sides,) = toy.sides().values()
    weights = participant_weights(toy.cohort, sides.train, toy.config.balance)

    material = Material.of(toy.cohort, toy.windows, sides, config=toy.config)

    expected = {index: weights[toy.cohort.recordings[index].participant] for index in sides.train}
    assert material.fitted == tuple(index for index in sides.train if expected[index] > 0)
    assert material.weights is not None
    own = np.array([expected[index] for index in material.fitted])
    assert material.weights == pytest.approx(own / own.mean())
    taken = material.batch([0, 1], [0, 0])
    assert taken.weights is not None
    assert taken.weights.tolist() == pytest.approx(np.repeat(material.weights[:2], 2).tolist())


def test_without_clean_and_without_noisy_recordings_there_is_nothing_to_fit_on(make_toy: MakeToy) -> None:
    toy = make_toy("augmentation.clean=false", "augmentation.variants=1", versions=(0,))

    with pytest.raises(InvalidInput, match=r"augmentation\.clean: .* no noisy copies"):
        toy.fit()


def test_noisy_copies_alone_are_taken_when_clean_ones_are_not_wanted(make_toy: MakeToy) -> None:
    toy = make_toy("augmentation.clean=false", "augmentation.variants=2", versions=(0, 1, 2))
    (sides,) = toy.sides().values()

    toy.fit()

    assert {version for recording, version in toy.windows.asked if recording in sides.train} == {1, 2}


def test_pooled_statistics_are_computed_once_for_all_members(make_toy: MakeToy) -> None:
    toy = make_toy("network.members=4", "training.epochs=5")

    toy.fit()

    assert len(toy.windows.asked) == len(set(toy.windows.asked))
