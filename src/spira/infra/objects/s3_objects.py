"""Objects in a bucket of any S3 server that knows conditional puts (AWS, MinIO, versitygw)."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from spira.infra.objects.port import ObjectInfo, StoredObject, check_key
from spira.infra.objects.sources import reading
from spira.infra.per_process import PerProcess
from spira.kernel.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    Parts = list[CompletedPartTypeDef]

PART_BYTES = 8 << 20
"""Up to here an object travels in one request; S3 takes parts of 5 MiB and more."""

_MISSING = {"NoSuchKey", "NoSuchBucket", "NotFound", "404"}
_TAKEN = {"PreconditionFailed", "412", "ExistingObjectIsDirectory", "ObjectParentIsFile", "XMinioParentIsObject"}
_BUCKET_IS_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


class S3Objects:
    """Keys lie below `prefix` in `bucket`, which is made when it is absent. Credentials: boto3's ordinary sources."""

    def __init__(self, *, bucket: str, prefix: str = "", endpoint: str | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._s3 = PerProcess(self._connect, close=lambda s3: s3.close())

    def put(self, key: str, data: bytes | BinaryIO | Path, *, if_absent: bool = False) -> StoredObject:
        check_key(key)
        condition: Any = {"IfNoneMatch": "*"} if if_absent else {}
        with reading(data) as source:
            first = _read_exactly(source, PART_BYTES)
            if len(first) < PART_BYTES:
                return self._put_whole(key, first, condition)
            return self._put_parts(key, first, source, condition)

    def get(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        with _errors_of(key):
            answer = self._s3.get().get_object(**self._place(key))
        return cast(BinaryIO, io.BufferedReader(_Body(answer["Body"], key)))

    def stat(self, key: str) -> ObjectInfo:
        with _errors_of(key):
            answer = self._s3.get().head_object(**self._place(key))
        return ObjectInfo(key=key, size=answer["ContentLength"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with _errors_of(prefix):
            pages = self._s3.get().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for found in page.get("Contents", []):
                    if not found["Key"].endswith("/"):  # folders that other tools have made
                        yield ObjectInfo(key=found["Key"].removeprefix(self._prefix), size=found["Size"])

    def delete(self, key: str) -> None:
        with suppress(NotFound), _errors_of(key):
            self._s3.get().delete_object(**self._place(key))

    def _put_whole(self, key: str, data: bytes, condition: Any) -> StoredObject:
        digest = hashlib.sha256(data)
        with _errors_of(key):
            self._s3.get().put_object(**self._place(key), Body=data, ChecksumSHA256=_base64(digest), **condition)
        return StoredObject(key=key, size=len(data), sha256=digest.hexdigest())

    def _put_parts(self, key: str, first: bytes, rest: BinaryIO, condition: Any) -> StoredObject:
        """Invisible until it is completed; a writer that dies leaves parts for the bucket's own clean-up rule."""
        with _errors_of(key):
            s3 = self._s3.get()
            upload = self._begin_upload(s3, key)
            try:
                parts, size, sha256 = self._send_parts(s3, upload, first, rest)
                s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
            except BaseException:
                with suppress(BotoCoreError, ClientError):
                    s3.abort_multipart_upload(**upload)
                raise
        return StoredObject(key=key, size=size, sha256=sha256)

    def _begin_upload(self, s3: S3Client, key: str) -> Any:
        started = s3.create_multipart_upload(**self._place(key), ChecksumAlgorithm="SHA256")
        return self._place(key) | {"UploadId": started["UploadId"]}

    def _send_parts(self, s3: S3Client, upload: Any, first: bytes, rest: BinaryIO) -> tuple[Parts, int, str]:
        parts: Parts = []
        size, whole, chunk = 0, hashlib.sha256(), first
        while chunk:
            whole.update(chunk)
            size += len(chunk)
            checksum = _base64(hashlib.sha256(chunk))
            number = len(parts) + 1
            sent = s3.upload_part(**upload, PartNumber=number, Body=chunk, ChecksumSHA256=checksum)
            parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum})
            chunk = _read_exactly(rest, PART_BYTES)
        return parts, size, whole.hexdigest()

    def _place(self, key: str) -> Any:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _connect(self) -> S3Client:
        session = boto3.Session()
        config = Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 3},
            s3={"addressing_style": "path"} if self._endpoint else {},
        )
        region = session.region_name or "us-east-1"
        s3 = session.client("s3", endpoint_url=self._endpoint, region_name=region, config=config)
        self._make_bucket(s3)
        return s3

    def _make_bucket(self, s3: S3Client) -> None:
        try:
            s3.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in _MISSING:
                raise
            try:
                s3.create_bucket(Bucket=self._bucket)
            except ClientError as race:
                if _code(race) not in _BUCKET_IS_THERE:
                    raise


class _Body(io.RawIOBase):
    """The answer's bytes as they arrive."""

    def __init__(self, body: Any, key: str) -> None:
        self._body = body
        self._key = key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _errors_of(self._key):
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _read_exactly(source: BinaryIO, size: int) -> bytes:
    """`size` bytes, fewer only at the end: a raw stream may give less than it is asked for."""
    chunks, missing = [], size
    while missing and (chunk := source.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def _base64(digest: hashlib._Hash) -> str:
    return base64.b64encode(digest.digest()).decode()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _errors_of(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if _code(error) in _MISSING:
            raise NotFound(f"object {key!r} does not exist") from error
        if _code(error) in _TAKEN:
            raise Conflict(f"object {key!r} exists already, or is a parent or child of one") from error
        raise Unavailable(f"object store failed on {key!r}: {_code(error)}; nothing was changed") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise Unavailable(f"object store did not answer for {key!r}: {error}") from error
