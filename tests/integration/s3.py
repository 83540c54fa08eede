"""An object store that speaks S3, in this process, thrown away afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from evergreen.connections import Connection


@dataclass(frozen=True, slots=True)
class Bucket:
    """An empty bucket of one test, and what opens it."""

    url: str
    options: dict[str, Any] = field(repr=False)
    client: Any = field(repr=False)
    name: str = ""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a server that all tests of the session share."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> Bucket:
    """An empty bucket."""
    import boto3

    name = f"evergreen-{uuid.uuid4().hex}"
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="tester",
        aws_secret_access_key="not-a-secret",
    )
    client.create_bucket(Bucket=name)
    connection = Connection(
        "lake",
        "aws",
        login="tester",
        password="not-a-secret",
        extra={"endpoint_url": s3_endpoint, "region_name": "us-east-1"},
    )
    return Bucket(f"s3://{name}", connection.storage_options(), client, name)
