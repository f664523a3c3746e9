"""An S3 server and an MLflow server that pods reach on this machine, for as long as a script runs."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Background, answers, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "servers"))
import servers  # noqa: E402  # a script's neighbour

RECORDINGS = "recordings"
OBJECTS = "spira"


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Both servers and how to reach them."""

    address: str
    s3_port: int
    mlflow_port: int
    keys: Mapping[str, str]
    processes: tuple[Background, ...]

    @property
    def s3(self) -> str:
        return f"http://{self.address}:{self.s3_port}"

    @property
    def objects_url(self) -> str:
        return f"s3://{OBJECTS}/training?endpoint={self.s3}"

    @property
    def tracking_uri(self) -> str:
        return f"http://{self.address}:{self.mlflow_port}"

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.s3,
            region_name="us-east-1",
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
        )

    def upload(self, folder: Path, prefix: str) -> str:
        """All files of `folder`; gives the address of the folder in the bucket of recordings."""
        client = self.client()
        client.create_bucket(Bucket=RECORDINGS)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            client.upload_file(str(file), RECORDINGS, f"{prefix}/{file.relative_to(folder).as_posix()}")
        return f"s3://{RECORDINGS}/{prefix}"

    def end(self) -> None:
        for process in self.processes:
            process.end()


def start_stores(folder: Path, *, address: str) -> Stores:
    """Both bind `address`, which pods must be able to reach; what they keep lies in `folder`."""
    servers.STATE.mkdir(parents=True, exist_ok=True)
    servers.build_versitygw()
    keys = {"AWS_ACCESS_KEY_ID": f"e2e{secrets.token_hex(6)}", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}
    s3_port, mlflow_port = free_port(address), free_port(address)
    started = (_s3(folder, address, s3_port, keys), _mlflow(folder, address, mlflow_port))
    try:
        for process, port in zip(started, (s3_port, mlflow_port), strict=True):
            _wait(process, address, port)
    except BaseException:
        for process in started:
            process.end()
        raise
    return Stores(address=address, s3_port=s3_port, mlflow_port=mlflow_port, keys=keys, processes=started)


def _s3(folder: Path, address: str, port: int, keys: Mapping[str, str]) -> Background:
    buckets = folder / "s3"
    buckets.mkdir()
    given = {"ROOT_ACCESS_KEY": keys["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": keys["AWS_SECRET_ACCESS_KEY"]}
    command = [str(servers.versitygw()), "--port", f"{address}:{port}", "posix", str(buckets)]
    return Background(command, log=folder / "s3.log", environment=_with(given), folder=folder)


def _mlflow(folder: Path, address: str, port: int) -> Background:
    """Artifacts go through the server, so that pods need no second store for them."""
    store = folder / "mlflow"
    store.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", address, "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{store}/mlflow.db", "--artifacts-destination", f"{store}/artifacts"]
    return Background([*command, *places], log=folder / "mlflow.log", environment=_with({}), folder=store)


def _wait(process: Background, address: str, port: int) -> None:
    def ready() -> bool | None:
        process.check()
        return answers(address, port) or None

    wait_until(f"{process.log.stem} on {address}:{port}", ready, limit_s=300)


def _with(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **variables}  # noqa: TID251  # a script of its own
