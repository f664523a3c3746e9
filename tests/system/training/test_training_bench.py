"""`spira bench train` compares like with like, and its memory bench sees what it is there to see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from spira.apps import bench_memory, bench_step
from spira.apps.bench import app


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for number, seconds in enumerate((4.5, 1.0, 6.2)):
        samples = 0.1 * np.random.default_rng(number).standard_normal(round(seconds * 48_000))
        soundfile.write(tmp_path / f"{number}.wav", samples, 48_000, subtype="PCM_16")
    return tmp_path


def test_loader_step_and_memory_are_compared_on_equal_outputs(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_memory, "PEOPLE", 20)
    monkeypatch.setattr(bench_memory, "WINDOWS", 2)
    monkeypatch.setattr(bench_memory, "TIMES", 2)
    monkeypatch.setattr(bench_step, "WINDOWS", 4)

    ran = CliRunner().invoke(app, ["train", "--data", str(clips), "--repetitions", "1", "--json"])

    assert ran.exit_code == 0, ran.output
    result = json.loads(ran.stdout)
    assert result["same_output"]
    loader, step, memory = result["loader"], result["step"], result["memory"]
    assert (loader["files"], loader["windows"], loader["realisations"]) == (3, 2 + 1 + 4, 8)
    rates, times, peaks = loader["windows_per_s"], step["ms_per_window"], memory["peak_mb"]
    assert loader["ratio"] == pytest.approx(rates["spira"] / rates["plain"], rel=0.2)
    assert step["ratio"] == pytest.approx(times["plain"] / times["spira"], rel=0.1)
    assert memory["ratio"] == pytest.approx(peaks["2x"] / peaks["1x"], rel=0.01)
    assert memory["data_mb"]["2x"] == pytest.approx(2 * memory["data_mb"]["1x"], rel=0.01)
    assert result["reached"]["memory"] is (memory["ratio"] < 1.3)


def test_the_peak_of_a_process_is_its_own_and_sees_what_it_held() -> None:
    held = bytearray(b"x") * 300_000_000
    script = "import numpy as np; from spira.apps.bench_memory import peak_bytes; {}; print(peak_bytes())"

    peaks = [
        int(subprocess.run([sys.executable, "-c", script.format(one)], check=True, capture_output=True).stdout)
        for one in ("pass", "kept = np.ones(200_000_000, np.int8); del kept")
    ]

    assert len(held) == 300_000_000
    assert 180e6 < peaks[1] - peaks[0] < 220e6
