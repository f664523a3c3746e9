"""A fit that goes on from a checkpoint gives the bits of one that was never interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spira.apps.steps.checkpoints import ScratchCheckpoints
from spira.infra.objects.file_objects import FileObjects
from spira.training.core.member import Member

MakeToy = Callable[..., Any]


class Kept:
    """Checkpoints that begin with what an interrupted fit left."""

    def __init__(self, left: dict[str, bytes] | None = None) -> None:
        self.kept = dict(left or {})
        self.history: list[dict[str, bytes]] = []

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.kept[name] = data
        self.history.append(dict(self.kept))


def bits(members: tuple[Member, ...]) -> list[dict[str, bytes]]:
    return [member.files() for member in members]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="robust, in which views are dropped at random"),
        pytest.param(("training.mixup_alpha=0.4", "training.time_masks=1", "training.time_mask_frames=3"), id="mixed"),
        pytest.param(("training.class_balance=sampler", "training.patience=1", "training.schedule=cosine"), id="drawn"),
    ],
)
def test_a_fit_goes_on_after_any_batch_to_the_same_bits(make_toy: MakeToy, words: tuple[str, ...]) -> None:
    toy = make_toy(*words, "network.members=2", "training.batch_recordings=6", "network.dropout=0.3")
    unbroken = Kept()
    expected = bits(toy.fit(unbroken, checkpoint_every_s=0.0))

    assert len(unbroken.history) > 10
    for left in unbroken.history:
        assert bits(toy.fit(Kept(left), resume=True)) == expected


def test_what_was_fitted_already_is_not_fitted_again(make_toy: MakeToy) -> None:
    toy = make_toy("network.members=2")
    done = Kept()
    toy.fit(done)
    toy.windows.asked.clear()

    toy.fit(Kept(done.kept), resume=True)

    judged = {index for sides in toy.sides().values() for index in sides.validation}
    assert {recording for recording, _ in toy.windows.asked} == judged


def test_without_resume_a_checkpoint_is_not_read(make_toy: MakeToy) -> None:
    toy = make_toy()
    done = Kept()
    expected = bits(toy.fit(done))

    other = make_toy("training.epochs=1")

    assert bits(other.fit(Kept(done.kept))) != expected


def test_checkpoints_are_as_rare_as_asked_for(make_toy: MakeToy) -> None:
    often, seldom = Kept(), Kept()

    make_toy("network.members=2").fit(often, checkpoint_every_s=0.0)
    make_toy("network.members=2").fit(seldom, checkpoint_every_s=3600.0)

    assert len(often.history) > 2
    assert len(seldom.history) == 2


def test_a_damaged_checkpoint_is_told_and_taken_for_none(tmp_path: Path) -> None:
    told: list[str] = []
    objects, key = FileObjects(tmp_path), "steps/train/key/scratch/member-0"
    checkpoints = ScratchCheckpoints(
        objects=objects, scratch="steps/train/key/scratch", tell=lambda *words: told.append(words[-1])
    )
    checkpoints.save("member-0", b"the state")
    assert checkpoints.load("member-0") == b"the state"
    assert checkpoints.load("member-1") is None

    whole = objects.get(key)
    for damaged in (whole[:-1], whole[:-1] + b"x", b"", b"\x00" * 80):
        objects.put(key, damaged)
        assert checkpoints.load("member-0") is None

    assert set(told) == {"the checkpoint of member-0 is damaged: it starts anew"}
    assert len(told) == 4
