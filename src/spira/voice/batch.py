"""Many recordings to features, on several threads: decoding, resampling and spectra all let go of Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from spira.voice.decode import DEFAULT_LIMITS, DecodeLimits, decode
from spira.voice.features import Features, FeatureSettings, prepare
from spira.voice.segment import WindowSettings


def prepare_many(
    clips: Iterable[bytes],
    windows: WindowSettings,
    features: FeatureSettings,
    *,
    workers: int,
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> Iterator[Features]:
    """`decode` and `prepare` of each recording, in order; bit-equal to doing so one by one.

    At most `2 * workers` recordings are read ahead, so `clips` may be a generator over many files. Raises InvalidInput
    of the first recording (by order) that is refused, called `recording N` from 0; those before it came out.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers can't work")
    with ThreadPoolExecutor(workers, thread_name_prefix="prepare") as pool:
        waiting: deque[Future[Features]] = deque()
        try:
            for number, clip in enumerate(clips):
                waiting.append(pool.submit(_prepare, clip, f"recording {number}", windows, features, limits))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _prepare(
    clip: bytes, name: str, windows: WindowSettings, features: FeatureSettings, limits: DecodeLimits
) -> Features:
    return prepare(decode(clip, name=name, limits=limits), windows, features)
