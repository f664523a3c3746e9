from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spira.kernel.errors import Conflict
from spira.training.core.calibration import pooled
from spira.training.use_cases.ensemble import Ensemble, join
from spira.voice.features import Features
from spira.voice.score import ScreeningModel

MakeToy = Callable[..., Any]
SHAPE = ("features.n_mfcc=4", "network.members=4")


def joined(toy: Any, members: Any) -> Ensemble:
    return join(members, toy.cohort, config=toy.config, trained_on={"cohort": "0" * 64}, code_version="test")


@pytest.fixture
def toy(make_toy: MakeToy) -> Any:
    return make_toy(*SHAPE, "calibration.max_error=0.05", gap=0.5)


def test_everybody_outside_the_test_fold_decides_calibration_and_threshold_and_nobody_of_it(toy: Any) -> None:
    made = joined(toy, toy.fit())

    outside = {one.participant for n, one in enumerate(toy.cohort.recordings) if n not in toy.sides()[0].test}
    assert {one["participant"] for one in made.validation} == outside
    assert made.facts["validation_people"] == len(outside)


def test_a_person_whom_several_members_judged_has_the_mean_of_their_logits(make_toy: MakeToy) -> None:
    toy = make_toy("network.members=8", "training.epochs=1")

    members = toy.fit()

    everybody = pooled(members, toy.cohort)
    first = everybody.participants.index(toy.cohort.recordings[members[0].heard[0].recording].participant)
    own = [np.mean(m.heard[0].logits) for m in (members[0], members[4])]
    assert everybody.person_logits[first] == pytest.approx(np.mean(own))


def test_the_model_holds_the_members_in_their_order_whatever_part_came_first(toy: Any, tmp_path: Path) -> None:
    members = toy.fit()

    made, turned = joined(toy, members), joined(toy, members[::-1])

    made.model.save(tmp_path / "a")
    turned.model.save(tmp_path / "b")
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    weights = made.model.weights()
    for number, member in enumerate(members):
        assert all(weights[f"{number}.{name}"].equal(tensor) for name, tensor in member.weights.items())


def test_the_saved_model_scores_as_the_ensemble_does(toy: Any, tmp_path: Path) -> None:
    made = joined(toy, toy.fit())
    made.model.save(tmp_path)
    values, mask = toy.windows.windows(3, 0)
    heard = Features(values=values, mask=mask)

    assert ScreeningModel.load(tmp_path).score_features(heard) == made.model.score_features(heard)


def test_the_band_and_its_risk_travel_with_the_model(toy: Any) -> None:
    made = joined(toy, toy.fit())

    band, told = made.model.settings.inconclusive, made.facts["inconclusive"]
    assert told["max_error"] == 0.05
    assert band is None or band == (told["low"], told["high"])
    assert made.model.settings.threshold == made.facts["threshold"]
    for name in ("control", "patient"):
        assert told[name]["error_low"] <= told[name]["error"] <= told[name]["error_high"]


def test_an_ensemble_that_lacks_a_member_is_refused(toy: Any) -> None:
    members = toy.fit()

    with pytest.raises(Conflict, match=r"4 members can't be made of members \[0, 1, 3\]"):
        joined(toy, [members[0], members[1], members[3]])
    with pytest.raises(Conflict, match=r"of members \[0, 1, 2, 2, 3\]"):
        joined(toy, [*members, members[2]])


def test_the_pooled_scores_are_calibrated(make_toy: MakeToy) -> None:
    toy = make_toy(*SHAPE, "training.epochs=10", people=160, gap=0.2)

    made = joined(toy, toy.fit())

    assert made.facts["validation_ece"] < 0.12
    assert torch.tensor([one["score"] for one in made.validation]).mean() == pytest.approx(0.5, abs=0.05)
