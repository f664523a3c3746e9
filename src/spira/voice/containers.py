"""Whether a sound file is as long as it says. Decoders play what they find and keep silent about what is missing,
so a truncated upload would pass as a short recording; the headers tell.

FLAC is not walked here: its frames carry checksums, and the digest in its header covers all samples (see decode).
"""

from __future__ import annotations

import struct
from typing import Literal

Container = Literal["wav", "flac", "ogg", "mp3"]

# MPEG audio layer III (ISO/IEC 11172-3 table 2.4.2.3 and ISO/IEC 13818-3): kbit/s and Hz by index.
_KILOBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_1 = (44_100, 48_000, 32_000)
_TAGS_AT_THE_END = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def container(data: bytes) -> Container | None:
    """Which container the content is; None when it is none that we read."""
    if data[:4] in {b"RIFF", b"RIFX"} and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    return "mp3" if data[:3] == b"ID3" or _mp3_frame(data, 0) else None


def complaint(data: bytes, kind: Container) -> str:
    """How the headers and the bytes contradict each other; empty when they agree."""
    check = {"wav": _riff_complaint, "ogg": _ogg_complaint, "mp3": _mp3_complaint}.get(kind)
    return check(data) if check else ""


def _riff_complaint(data: bytes) -> str:
    order = ">" if data[:4] == b"RIFX" else "<"
    told = struct.unpack_from(order + "I", data, 4)[0] + 8
    if abs(told - len(data)) > 1:  # some writers forget to count the byte that pads an odd chunk
        return f"its header says {told} bytes, the file has {len(data)}"
    position, align, sound = 12, 1, None
    while position + 8 <= len(data):
        name, size = struct.unpack_from(order + "4sI", data, position)
        if position + 8 + size > len(data):
            return f"its chunk {name!r} should have {size} bytes, the file has {len(data) - position - 8} for it"
        if name == b"fmt " and size >= 16:
            align = max(1, struct.unpack_from(order + "H", data, position + 20)[0])
        sound = size if name == b"data" else sound
        position += 8 + size + size % 2
    if sound is None:
        return "it has no chunk of samples"
    return f"its last sample is cut ({sound} bytes in steps of {align})" if sound % align else ""


def _ogg_complaint(data: bytes) -> str:
    position, flags, granule, first = 0, 0, 0, None
    pages = 0
    while position < len(data):
        if data[position : position + 4] != b"OggS" or position + 27 > len(data):
            return f"byte {position} should start a page"
        flags, at, serial, number = struct.unpack_from("<xBqII", data, position + 4)
        segments = data[position + 27 : position + 27 + data[position + 26]]
        position += 27 + data[position + 26] + sum(segments)
        first = serial if first is None else first
        if serial != first:
            return "it holds more than one stream"
        if number != pages or position > len(data):
            return f"page {pages} is missing or cut"
        if at != -1 and at < granule:  # -1: no packet ends on this page
            return f"its time runs backwards on page {pages}"
        granule, pages = max(granule, at), pages + 1
    return "" if flags & 4 else "it stops without its end mark"


def _mp3_complaint(data: bytes) -> str:
    position = start = _after_id3(data)
    found = 0
    while position < len(data) and not data.startswith(_TAGS_AT_THE_END, position):
        size = _mp3_frame(data, position)
        if not size:
            return f"byte {position} should start a frame"
        position, found = position + size, found + 1
    if position > len(data):
        return f"its last frame lacks {position - len(data)} bytes"
    told = _mp3_told(data[start : start + 200])
    # the frame with the count holds no sound; encoders disagree whether it counts itself
    return "" if told in {None, found, found - 1} else f"its header says {told} frames, the file has {found - 1}"


def _after_id3(data: bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _mp3_frame(data: bytes, position: int) -> int:
    """Length in bytes of the layer III frame at `position`; 0 when there is none."""
    if position + 4 > len(data):
        return 0
    header = int.from_bytes(data[position : position + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    rate, kilobits = header >> 10 & 3, header >> 12 & 15
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or rate == 3 or kilobits in {0, 15}:
        return 0
    padding = header >> 9 & 1
    if version == 3:
        return 144_000 * _KILOBITS_1[kilobits - 1] // _RATES_1[rate] + padding
    hertz = _RATES_1[rate] // (2 if version == 2 else 4)
    return 72_000 * _KILOBITS_2[kilobits - 1] // hertz + padding


def _mp3_told(frame: bytes) -> int | None:
    """The number of frames that a Xing or Info header tells."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or at + 12 > len(frame) or not frame[at + 7] & 1:
        return None
    return int.from_bytes(frame[at + 8 : at + 12], "big")
