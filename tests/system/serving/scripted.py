"""The worker or the results process as it ships, with a scripted scorer, that may kill itself at a chosen point.

Run as `python scripted.py worker|results [OWNER.METHOD:before|after:COUNT]`, settings from the environment: at the
COUNT-th call of that method of that port the process gets SIGKILL, just before the call or just after it returned.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from spira.apps import results, worker
from spira.apps.processes import stop_on_signals
from spira.apps.serving_settings import ResultsSettings, WorkerSettings
from spira.infra.stores import open_broker, open_documents, open_objects
from spira.serving.ports import Refused, ScoreRequest, Screened


class TinyScorer:
    """Makes a score of a recording's last bytes: the same input gets the same answer."""

    def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Screened | Refused]:
        return [self._screen(request) for request in requests]

    def _screen(self, request: ScoreRequest) -> Screened:
        score = (sum(request.recordings["sustained"][-64:]) % 1000) / 1000
        return Screened(diagnosis="positive" if score >= 0.5 else "negative", scores={"final": score})


@dataclass
class Doomed:
    """Passes everything on, and dies at one call; what the methods give back is doomed as well."""

    owner: str
    target: Any
    point: str
    left: list[int]

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        return self._wrap(name, value) if callable(value) else value

    def __enter__(self) -> Self:
        self.target.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.target.__exit__(*exc)

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            self._maybe_die(f"{self.owner}.{name}:before")
            out = call(*args, **kwargs)
            if name != "poll" or out:
                self._maybe_die(f"{self.owner}.{name}:after")
            return Doomed("consumer", out, self.point, self.left) if name == "subscribe" else out

        return called

    def _maybe_die(self, here: str) -> None:
        if here == self.point:
            self.left[0] -= 1
            if self.left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(role: str, doom: str = "never:before:1") -> None:
    point, _, count = doom.rpartition(":")
    left = [int(count)]

    def doomed(owner: str, target: Any) -> Any:
        return Doomed(owner, target, point, left)

    stop = stop_on_signals()
    if role == "worker":
        settings = WorkerSettings()
        opened = {"open_broker": open_broker, "open_objects": open_objects}
        for name, function in opened.items():
            setattr(worker, name, lambda url, name=name, function=function: doomed(name[5:], function(url)))
        worker.run(settings, scorer=doomed("scorer", TinyScorer()), stop=stop)
    else:
        stores = ResultsSettings()
        documents, broker = open_documents(stores.documents_url), open_broker(stores.broker_url)
        results.run(stores, documents=doomed("documents", documents), broker=doomed("broker", broker), stop=stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
