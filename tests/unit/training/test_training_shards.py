"""Features come back from their files as they went in, and reading all of them keeps none of them in memory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spira.kernel.errors import InvalidInput, NotFound
from spira.training.use_cases.shards import Shards


def shard(path: Path, windows: dict[int, int], *, frames: int = 5, bins: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """A file with so many windows of each recording; gives what it holds."""
    torch.manual_seed(seed)
    recording = torch.repeat_interleave(torch.tensor(list(windows)), torch.tensor(list(windows.values())))
    tensors = {
        "values": torch.randn(len(recording), frames, bins),
        "mask": torch.rand(len(recording), frames) < 0.5,
        "recording": recording,
    }
    save_file(tensors, path)
    return tensors


def resident_bytes(path: Path) -> int:
    """How much of the file this process holds in memory by its map."""
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", Path("/proc/self/smaps").read_text())
    return sum(int(kilobytes) * 1024 for kilobytes in found)


def test_windows_come_back_bit_by_bit_from_the_file_that_holds_them(tmp_path: Path) -> None:
    first = shard(tmp_path / "a", {0: 2, 1: 1, 4: 3}, seed=1)
    second = shard(tmp_path / "b", {5: 1, 7: 2}, seed=2)
    noisy = shard(tmp_path / "c", {0: 2, 1: 1, 4: 3, 5: 1, 7: 2}, seed=3)

    with Shards({0: [tmp_path / "a", tmp_path / "b"], 1: [tmp_path / "c"]}) as shards:
        assert (shards.versions, shards.recordings) == ((0, 1), (0, 1, 4, 5, 7))
        assert (shards.frames, shards.bins) == (5, 3)
        for recording in shards.recordings:
            clean = first if recording < 5 else second
            for version, expected in ((0, clean), (1, noisy)):
                values, mask = shards.windows(recording, version)
                assert values.equal(expected["values"][expected["recording"] == recording])
                assert mask.equal(expected["mask"][expected["recording"] == recording])
                assert shards.count(recording, version) == len(values)


def test_what_was_copied_out_may_be_changed_and_outlives_the_files(tmp_path: Path) -> None:
    expected = shard(tmp_path / "a", {0: 1})
    with Shards({0: [tmp_path / "a"]}) as shards:
        values, _ = shards.windows(0, 0)
        values += 1.0
        again, _ = shards.windows(0, 0)
    (tmp_path / "a").unlink()

    assert again.equal(expected["values"])
    assert values.equal(expected["values"] + 1.0)


def test_reading_everything_keeps_no_page_of_the_files(tmp_path: Path) -> None:
    shard(tmp_path / "a", dict.fromkeys(range(64), 8), frames=400, bins=40)
    size = (tmp_path / "a").stat().st_size

    with Shards({0: [tmp_path / "a"]}) as shards:
        held = []
        for recording in shards.recordings:
            shards.windows(recording, 0)
            held.append(resident_bytes(tmp_path / "a"))

    assert size > 30_000_000
    assert max(held) < size / 100


def test_an_empty_shard_beside_others_is_no_harm(tmp_path: Path) -> None:
    shard(tmp_path / "a", {3: 1})
    save_file(
        {
            "values": torch.zeros(0, 5, 3),
            "mask": torch.zeros(0, 5, dtype=torch.bool),
            "recording": torch.zeros(0, dtype=torch.int64),
        },
        tmp_path / "b",
    )

    with Shards({0: [tmp_path / "a", tmp_path / "b"]}) as shards:
        assert shards.recordings == (3,)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    shard(tmp_path / "a", {0: 1})

    with Shards({0: [tmp_path / "a"]}) as shards:
        for recording, version in ((1, 0), (0, 1)):
            with pytest.raises(NotFound, match=f"recording {recording} in version {version}"):
                shards.windows(recording, version)
    with pytest.raises(NotFound, match="shard gone does not exist"):
        Shards({0: [tmp_path / "gone"]})
    with pytest.raises(InvalidInput, match="there are none"):
        Shards({})


@pytest.mark.parametrize("kept", [0, 4, 40, 400, -1])
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, kept: int) -> None:
    shard(tmp_path / "a.safetensors", {0: 30})
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:kept])

    with pytest.raises(InvalidInput, match=r"a\.safetensors.*compute the features again"):
        Shards({0: [tmp_path / "a.safetensors"]})


def test_a_file_of_other_tensors_is_named(tmp_path: Path) -> None:
    save_file({name: torch.zeros(2) for name in ("values", "mask", "recording")}, tmp_path / "other")

    with pytest.raises(InvalidInput, match="other tensors than features"):
        Shards({0: [tmp_path / "other"]})


def test_windows_of_different_shape_are_refused(tmp_path: Path) -> None:
    shard(tmp_path / "a", {0: 1}, frames=5)
    shard(tmp_path / "b", {1: 1}, frames=6)

    with pytest.raises(InvalidInput, match="different shape"):
        Shards({0: [tmp_path / "a", tmp_path / "b"]})


def test_a_recording_in_two_places_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "a", {0: 1})
    shard(tmp_path / "b", {0: 1})

    with pytest.raises(InvalidInput, match="recording 0 of version 0"):
        Shards({0: [tmp_path / "a", tmp_path / "b"]})
