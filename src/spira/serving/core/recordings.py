"""The recordings of a sample, by name."""

from __future__ import annotations

import re
from typing import Final

RECORDINGS: Final = ("acceptance", "sustained", "rhyme", "sentence", "ambient")
"""Spoken consent, held vowel, nursery rhyme, given sentence, noise of the room."""

ALIASES: Final = {"aceite": "acceptance", "sustentada": "sustained", "parlenda": "rhyme", "frase": "sentence"}
"""Names that the earlier clients send."""

NOT_SPEECH: Final = frozenset({"ambient"})
"""Recordings that the rules about a voice's quality don't concern."""


def name_of(part: str) -> str | None:
    """The recording that a multipart field stands for; None when it is none."""
    name = ALIASES.get(part, part)
    return name if name in RECORDINGS else None


def rgh_check_letter(digits: str) -> str:
    """The check letter of a registration number of Hospital das Clínicas from its eight digits d0…d7:
    chr(64 + 11 − s mod 11) with s = 8·d1 + 7·d2 + 6·d3 + 5·d4 + 4·d5 + 3·d6 + 1·d7."""
    weighed = sum(weight * int(digit) for weight, digit in zip((8, 7, 6, 5, 4, 3, 1), digits[1:], strict=True))
    return chr(64 + 11 - weighed % 11)


def rgh_warning(rgh: str) -> str | None:
    """Why `rgh` looks mistyped, or None. A hint only: other hospitals number differently."""
    if re.fullmatch(r"\d{8}[A-Z]", rgh) is None:
        return None
    expected = rgh_check_letter(rgh[:8])
    return None if rgh[8] == expected else f"the check letter should be {expected}; is the number mistyped?"
