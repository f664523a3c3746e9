"""As much of the Kubernetes API as the pod operator speaks, with pods that live as a test's script says."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

NOW = "2026-01-01T00:00:00Z"
Body = dict[str, Any]
Effect = Callable[[Body], None]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a reader of a pod sees next; `gone` is a pod that was collected."""

    phase: str = "Running"
    exit_code: int | None = None
    reason: str = ""
    waiting: str = ""
    gone: bool = False
    effect: Effect | None = None
    """Happens just before it is seen."""


RUNNING, GONE = Moment(), Moment(gone=True)


def ended(exit_code: int = 0, *, reason: str = "", effect: Effect | None = None) -> Moment:
    phase = "Failed" if exit_code else "Succeeded"
    return Moment(
        phase=phase, exit_code=exit_code, reason=reason or ("Error" if exit_code else "Completed"), effect=effect
    )


Script = Callable[[Body], Sequence[Moment]]


@dataclass
class Kubernetes:
    """The cluster's state, and what was asked of it."""

    script: Script = lambda _: [RUNNING, ended()]
    pods: dict[str, Body] = field(default_factory=dict)
    created: list[Body] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    down: bool = False
    """Every question is answered with 500."""
    log: bytes | None = b"2026-01-01T00:00:00.000000000Z a line of the step\n"
    """None: the pod's log is not found."""
    _moments: dict[str, list[Moment]] = field(default_factory=dict)

    def create(self, pod: Body) -> Body:
        name = pod["metadata"]["name"]
        pod["metadata"]["creationTimestamp"] = NOW
        pod["status"] = {"phase": "Pending"}
        self.created.append(json.loads(json.dumps(pod)))
        self.pods[name] = pod
        self._moments[name] = list(self.script(pod))
        return pod

    def read(self, name: str) -> Body | None:
        """The pod, one moment later; its last moment stays."""
        pod, moments = self.pods.get(name), self._moments.get(name, [])
        if pod is None or not moments:
            return pod
        moment = moments.pop(0)
        if moment.effect is not None:
            moment.effect(pod)
        if moment.gone:
            del self.pods[name]
            return None
        pod["status"] = _status(moment)
        return pod

    def delete(self, name: str) -> Body | None:
        self.deleted.append(name)
        return self.pods.pop(name, None)

    def matching(self, selector: str) -> list[Body]:
        return [pod for pod in self.pods.values() if _matches(pod["metadata"].get("labels", {}), selector)]


def environment_of(pod: Body) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # a busy machine accepts late; a refused call would look like a cluster that is away


@contextmanager
def serving(kubernetes: Kubernetes, folder: Path) -> Iterator[Path]:
    """Serve it; gives a kubeconfig."""
    server = _Server(("127.0.0.1", 0), _handler(kubernetes))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "scripted",
        "contexts": [{"name": "scripted", "context": {"cluster": "scripted", "user": "nobody"}}],
        "clusters": [{"name": "scripted", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "nobody", "user": {}}],
    }
    file = folder / "kubeconfig.yaml"
    file.write_text(yaml.safe_dump(config))
    try:
        yield file
    finally:
        server.shutdown()
        server.server_close()


def _status(moment: Moment) -> Body:
    state: Body = {"running": {"startedAt": NOW}}
    if moment.exit_code is not None:
        ended_at = {"exitCode": moment.exit_code, "reason": moment.reason, "startedAt": NOW, "finishedAt": NOW}
        state = {"terminated": ended_at}
    elif moment.waiting:
        state = {"waiting": {"reason": moment.waiting, "message": "no such image"}}
    container = {
        "name": "base", "image": "i", "imageID": "i", "ready": True, "restartCount": 0, "state": state, "lastState": {},
    }  # fmt: skip
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": NOW}
    return {"phase": moment.phase, "conditions": [scheduled], "containerStatuses": [container], "startTime": NOW}


def _matches(labels: Mapping[str, str], selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        name, unequal, value = term.partition("!=")
        if unequal:
            if labels.get(name) == value:
                return False
        elif term.startswith("!"):
            if term[1:] in labels:
                return False
        elif labels.get(term.partition("=")[0]) != term.partition("=")[2]:
            return False
    return True


def _handler(kubernetes: Kubernetes) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one short method per verb
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, query = self._path()
            if kubernetes.down:
                self._send(500, b"{}", "application/json")
            elif path.endswith("/events"):
                self._answer({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []})
            elif path.endswith("/log"):
                self._answer_log()
            elif name := _name(path):
                self._answer_pod(kubernetes.read(name))
            elif path.endswith("/pods"):
                items = kubernetes.matching(query.get("labelSelector", [""])[0])
                self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
            else:
                self._answer_pod(None)

        def do_POST(self) -> None:
            self._answer_pod(kubernetes.create(self._body()))

        def do_PATCH(self) -> None:
            pod = kubernetes.pods.get(_name(self._path()[0]) or "")
            if pod is not None:
                pod["metadata"].setdefault("labels", {}).update(self._body()["metadata"]["labels"])
            self._answer_pod(pod)

        def do_DELETE(self) -> None:
            self._body()  # options; unread they would be taken for the next question
            self._answer_pod(kubernetes.delete(_name(self._path()[0]) or ""))

        def _path(self) -> tuple[str, dict[str, list[str]]]:
            parts = urlsplit(self.path)
            return parts.path, parse_qs(parts.query)

        def _body(self) -> Body:
            body: Body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            return body

        def _answer_log(self) -> None:
            if kubernetes.log is None:
                self._answer_pod(None)
            else:
                self._send(200, kubernetes.log, "text/plain")

        def _answer_pod(self, pod: Body | None) -> None:
            missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}
            self._answer(missing if pod is None else pod, status=404 if pod is None else 200)

        def _answer(self, value: Body, *, status: int = 200) -> None:
            self._send(status, json.dumps(value).encode(), "application/json")

        def _send(self, status: int, data: bytes, kind: str) -> None:
            with lock:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


def _name(path: str) -> str | None:
    found = re.search(r"/pods/([^/]+)(/log)?$", path)
    return found[1] if found else None
