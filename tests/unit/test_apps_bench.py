"""`spira bench features` compares like with like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from spira.apps.bench import app
from spira.kernel.errors import InvalidInput

Encode = Callable[..., bytes]
Voice = Callable[..., npt.NDArray[np.float32]]


def test_the_three_ways_give_the_same_features_and_ratios_come_from_one_run(
    encode: Encode, voice: Voice, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").write_bytes(encode(voice(5.5), encoding="PCM_16"))
    (tmp_path / "b.flac").write_bytes(encode(voice(0.6), rate=48_000, file="FLAC"))

    ran = CliRunner().invoke(app, ["features", "--data", str(tmp_path), "--repetitions", "1", "--json"])

    assert ran.exit_code == 0, ran.output
    result = json.loads(ran.stdout)
    assert result["same_output"]
    assert result["files"] == 2
    assert set(result["ratios"]) == {"librosa", "torchaudio"}
    for name, ratio in result["ratios"].items():
        assert ratio == pytest.approx(result["seconds"][name] / result["seconds"]["spira"], rel=0.2)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["features", "--data", str(tmp_path)])

    assert isinstance(ran.exception, InvalidInput)
