"""Password hashes and key files."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spira.identity.adapters.argon2_passwords import Argon2Passwords
from spira.identity.adapters.jwt_keys import load_or_create
from spira.kernel.errors import InvalidInput


def test_a_password_matches_its_own_hash_only() -> None:
    passwords = Argon2Passwords(time_cost=1, memory_kib=64)
    hashed = passwords.hash("correct horse")

    assert hashed.startswith("$argon2id$")
    assert passwords.matches("correct horse", hashed)
    assert not passwords.matches("wrong horse", hashed)
    assert not passwords.matches("correct horse", None)
    assert not passwords.matches("nobody's password", None)
    assert not passwords.matches("correct horse", "no hash at all")


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "keys"

    first, second = load_or_create(folder), load_or_create(folder)

    (file,) = folder.iterdir()
    assert first.kid == second.kid
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_many_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_or_create, [tmp_path] * 16))

    assert len({key.kid for key in keys}) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_second_key_signs_while_the_first_still_verifies(tmp_path: Path) -> None:
    old = load_or_create(tmp_path)
    other = tmp_path / "other"
    load_or_create(other)
    (other / "jwt-0001.pem").rename(tmp_path / "jwt-0002.pem")

    both = load_or_create(tmp_path)

    assert both.kid != old.kid
    assert set(both.public) == {old.kid, both.kid}


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "jwt-0001.pem").write_text("nothing")

    with pytest.raises(InvalidInput, match=r"jwt-0001\.pem"):
        load_or_create(tmp_path)
