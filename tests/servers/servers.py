"""Real Kafka, MongoDB-protocol and S3 servers on loopback, for the contract suites.

    python tests/servers/servers.py start|stop|status|env

With a Docker daemon they come from compose.yaml; else Kafka comes from Maven, FerretDB and versitygw from Go, built
once into .cache/servers (or $SPIRA_SERVERS_CACHE). What can't be had is named, and the rest goes on. State, process
ids and logs lie under var/servers. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STATE = ROOT / "var" / "servers"
CACHE = Path(os.environ.get("SPIRA_SERVERS_CACHE") or ROOT / ".cache" / "servers")  # noqa: TID251  # a script of its own
STARTUP_S = 60.0
State = dict[str, Any]
"""What is remembered of a started server: address, and process or container."""
VERSITYGW_VERSION = "v1.8.0"


class CannotStart(Exception):
    """What is missing, in words for the person who runs this."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """How one server is had: `build` fills the cache, `command` gives what to run on a port in a folder."""

    name: str
    runs: str
    adapter: str
    variable: str
    address: str
    build: Callable[[], None]
    command: Callable[[int, Path], Sequence[str]]
    container: tuple[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "status", "env"])
    parser.add_argument("--no-docker", action="store_true", help="build from source even where Docker answers")
    arguments = parser.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    if arguments.action == "start":
        start(docker=not arguments.no_docker and docker_answers())
    else:
        {"stop": stop, "status": status, "env": env}[arguments.action]()
    return 0


def start(*, docker: bool) -> None:
    """One line per server: which adapter will run against what."""
    for server in SERVERS:
        try:
            state = running(server) or (start_container(server) if docker else start_process(server))
            print(f"{server.adapter}: against {server.runs} on {state['address']}", flush=True)
        except CannotStart as reason:
            print(f"{server.adapter}: not against a real server ({reason}); its tests are skipped", flush=True)


def stop() -> None:
    for server in SERVERS:
        state = running(server)
        if state is not None and "container" in state:
            compose("rm", "--stop", "--force", "--volumes", server.container[0])
        elif state is not None:
            end(state["pid"])
        if state is not None:
            print(f"{server.name}: stopped")
        state_file(server).unlink(missing_ok=True)
        shutil.rmtree(STATE / server.name, ignore_errors=True)


def status() -> None:
    for server in SERVERS:
        state = running(server)
        print(f"{server.name}: {server.runs} on {state['address']}" if state else f"{server.name}: not running")


def env() -> None:
    """For `eval`: what the contract suites read."""
    for server in SERVERS:
        state = running(server)
        if state is not None:
            print(f"export {server.variable}={server.address.format(state['address'])}")
            for name, value in state.get("secrets", {}).items():
                print(f"export {name}={value}")


# --- processes -------------------------------------------------------------------------------------------------


def start_process(server: Server) -> State:
    server.build()
    folder = STATE / server.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    keys = credentials() if server.name == "s3" else {}
    command = list(server.command(port, folder))
    names = {"ROOT_ACCESS_KEY": "AWS_ACCESS_KEY_ID", "ROOT_SECRET_KEY": "AWS_SECRET_ACCESS_KEY"}
    with log_file(server).open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **{theirs: keys[ours] for theirs, ours in names.items() if keys}},  # noqa: TID251  # as above
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state: State = {"pid": process.pid, "born": born(process.pid), "address": f"127.0.0.1:{port}", "secrets": keys}
    remember(server, state)
    wait_for(server, port, alive=lambda: process.poll() is None)
    return state


def running(server: Server) -> State | None:
    """The state of a server that still is the process or container that was started here."""
    try:
        state: State = json.loads(state_file(server).read_text())
    except (FileNotFoundError, ValueError):
        return None
    if "container" in state:
        return state if compose("ps", "--quiet", server.container[0]) else None
    return state if born(state["pid"]) == state["born"] else None


def end(pid: int) -> None:
    """Ask, wait, insist. The process was started in a group of its own."""
    for sign, patience_s in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience_s
        while born(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not born(pid):
            return


def born(pid: int) -> str:
    """When the process was started, in the kernel's ticks: tells a process from a later one with its number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def wait_for(server: Server, port: int, *, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline and alive():
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise CannotStart(f"it did not open its port; see {log_file(server).relative_to(ROOT)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def credentials() -> dict[str, str]:
    """Made for this run; nothing but loopback accepts them."""
    return {"AWS_ACCESS_KEY_ID": f"test{secrets.token_hex(6)}", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}


def state_file(server: Server) -> Path:
    return STATE / f"{server.name}.json"


def log_file(server: Server) -> Path:
    return STATE / f"{server.name}.log"


def remember(server: Server, state: Mapping[str, object]) -> None:
    state_file(server).touch(mode=0o600)
    state_file(server).write_text(json.dumps(state))


# --- containers ------------------------------------------------------------------------------------------------


def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    questions = (["docker", "info"], ["docker", "compose", "version"])
    try:
        return all(subprocess.run(q, capture_output=True, timeout=20, check=False).returncode == 0 for q in questions)
    except subprocess.TimeoutExpired:
        return False


def start_container(server: Server) -> State:
    service, port = server.container
    compose("up", "--detach", "--wait", service)
    keys = {"AWS_ACCESS_KEY_ID": "spira-local", "AWS_SECRET_ACCESS_KEY": "spira-local"} if server.name == "s3" else {}
    state: State = {"container": service, "address": f"127.0.0.1:{port}", "secrets": keys}
    remember(server, state)
    wait_for(server, port, alive=lambda: True)
    return state


def compose(*arguments: str) -> str:
    command = ["docker", "compose", "--file", str(ROOT / "compose.yaml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotStart(f"docker compose: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


# --- builds ----------------------------------------------------------------------------------------------------


def need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise CannotStart(f"no Docker daemon, and not found: {', '.join(missing)}")


def built(server: str, command: Sequence[str], *, folder: Path, **variables: str) -> None:
    print(f"building {server} once: {command[0]} {command[1]} … (some minutes)", flush=True)
    log = STATE / f"{server}-build.log"
    with log.open("wb") as sink:
        environment = {**os.environ, **variables}  # noqa: TID251  # a script of its own
        done = subprocess.run(command, cwd=folder, env=environment, stdout=sink, stderr=sink, check=False)
    if done.returncode:
        raise CannotStart(f"its build failed; see {log.relative_to(ROOT)}")


def cached(name: str, *sources: Path) -> Path:
    """Where a build lies; another source is another build."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return CACHE / f"{name}-{digest[:12]}"


def kafka() -> Path:
    return cached("kafka", HERE / "kafka" / "pom.xml")


def ferretdb() -> Path:
    return cached("ferretdb", *(HERE / "ferretdb" / name for name in ("main.go", "go.mod", "go.sum")))


def versitygw() -> Path:
    return CACHE / f"versitygw-{VERSITYGW_VERSION}"


def build_kafka() -> None:
    """Copied under another name first, so that an interrupted copy is not taken for a whole one."""
    if not kafka().is_dir():
        need("java", "mvn")
        partial = CACHE / "kafka.partial"
        shutil.rmtree(partial, ignore_errors=True)
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        built("kafka", ["mvn", "--batch-mode", "--quiet", goal, f"-DoutputDirectory={partial}"], folder=HERE / "kafka")
        partial.rename(kafka())
    need("java")


def build_ferretdb() -> None:
    if not ferretdb().is_file():
        need("go")
        built("mongo", ["go", "build", "-buildvcs=false", "-o", str(ferretdb()), "."], folder=HERE / "ferretdb")


def build_versitygw() -> None:
    if not versitygw().is_file():
        need("go")
        CACHE.mkdir(parents=True, exist_ok=True)
        package = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"
        built("s3", ["go", "install", package], folder=HERE, GOBIN=str(CACHE))
        (CACHE / "versitygw").rename(versitygw())


def kafka_command(port: int, folder: Path) -> list[str]:
    """Formats a KRaft store of one node that is broker and controller; short group times keep tests quick."""
    properties = folder / "server.properties"
    properties.write_text(
        (HERE / "kafka" / "server.properties")
        .read_text()
        .format(port=port, controller=free_port(), folder=folder / "log")
    )
    java = ["java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(kafka() / "*")]
    cluster = "c3BpcmEtdGVzdC1rYWZrYQ"
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(properties)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotStart(f"its store could not be formatted: {done.stderr.strip()[-300:]}")
    return [*java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "kafka.Kafka", str(properties)]


def ferretdb_command(port: int, folder: Path) -> list[str]:
    return [str(ferretdb()), f"127.0.0.1:{port}", str(folder)]


def versitygw_command(port: int, folder: Path) -> list[str]:
    (folder / "buckets").mkdir()
    return [str(versitygw()), "--port", f"127.0.0.1:{port}", "posix", str(folder / "buckets")]


SERVERS = (
    Server(
        name="kafka",
        runs="Kafka 4.1 (KRaft)",
        adapter="broker kafka",
        variable="SPIRA_TEST_KAFKA",
        address="{}",
        build=build_kafka,
        command=kafka_command,
        container=("kafka", 19092),
    ),
    Server(
        name="mongo",
        runs="MongoDB's protocol",
        adapter="documents mongodb",
        variable="SPIRA_TEST_MONGODB",
        address="mongodb://{}",
        build=build_ferretdb,
        command=ferretdb_command,
        container=("mongo", 27017),
    ),
    Server(
        name="s3",
        runs="S3",
        adapter="objects s3",
        variable="SPIRA_TEST_S3",
        address="http://{}",
        build=build_versitygw,
        command=versitygw_command,
        container=("minio", 9000),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
