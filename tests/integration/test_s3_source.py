"""Files on object storage: the same rows as on a disk, and clear words where it fails."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from evergreen.adapters.files_source import FileRows
from evergreen.connections import Connection
from evergreen.errors import BadConfiguration, DataUnusable, SourceUnavailable
from evergreen.source_spec import FilesSource
from tests.contracts.data_source import MARCH, data, table_of
from tests.contracts.snapshot_store import mixed_rows
from tests.integration.s3_proxy import refusal, s3_proxy


def source(options, *paths, kind="parquet"):
    spec = FilesSource.model_validate({"type": "files", "paths": list(paths), "format": kind})
    return FileRows(spec, Path(), data(), options)


@pytest.fixture
def lake(s3_bucket, tmp_path):
    table = mixed_rows(3000)
    pq.write_table(table.slice(0, 2000), tmp_path / "1.parquet")
    pq.write_table(table.slice(2000), tmp_path / "2.parquet")
    pa_csv.write_csv(table.drop_columns("nothing"), tmp_path / "rows.csv")
    for path in tmp_path.iterdir():
        s3_bucket.client.upload_file(str(path), s3_bucket.name, f"year=2013/{path.name}")
    return s3_bucket, tmp_path


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_rows_of_object_storage_are_those_of_a_disk(lake, kind):
    bucket, folder = lake
    remote = source(bucket.options, f"{bucket.url}/year=*/*.{kind}", kind=kind)
    spec = FilesSource.model_validate({"type": "files", "paths": [f"*.{kind}"], "format": kind})
    local = FileRows(spec, folder, data(), {})
    read = table_of(list(remote.read(MARCH)))
    assert len(read) == 3000
    assert read.equals(table_of(list(local.read(MARCH))))


def test_a_glob_or_a_bucket_without_a_file_says_where_it_looked(s3_bucket):
    for url in (f"{s3_bucket.url}/*.parquet", "s3://no-such-bucket-anywhere/*.parquet"):
        with pytest.raises(DataUnusable, match="no file matches") as caught:
            list(source(s3_bucket.options, url).read(MARCH))
        assert url in str(caught.value)


def test_an_object_that_is_no_parquet_is_named(s3_bucket):
    s3_bucket.client.put_object(Bucket=s3_bucket.name, Key="x.parquet", Body=b"not parquet at all")
    with pytest.raises(DataUnusable, match=r"x\.parquet: the file cannot be read as parquet"):
        list(source(s3_bucket.options, f"{s3_bucket.url}/*.parquet").read(MARCH))


def test_storage_that_does_not_answer_may_be_tried_again(s3_bucket):
    options = {**s3_bucket.options, "endpoint_url": "http://127.0.0.1:1", "config_kwargs": {}}
    options["config_kwargs"] = {"retries": {"max_attempts": 0}, "connect_timeout": 1}
    with pytest.raises(SourceUnavailable) as caught:
        list(source(options, f"{s3_bucket.url}/*.parquet").read(MARCH))
    assert caught.value.retryable
    assert "not-a-secret" not in str(caught.value)


@pytest.mark.parametrize("when", ["GET of the list", "GET of the file"])
@pytest.mark.parametrize(
    ("status", "code", "words", "error"),
    [
        (400, "ExpiredToken", "the login for the store has expired", SourceUnavailable),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong", SourceUnavailable),
        (503, "SlowDown", "the store is throttling requests", SourceUnavailable),
        (500, "InternalError", "the storage did not give the file", SourceUnavailable),
        (403, "InvalidAccessKeyId", "the store does not know this login", BadConfiguration),
        (403, "AccessDenied", "the store denied access", BadConfiguration),
        (400, "AuthorizationHeaderMalformed", "the bucket lies in another region", BadConfiguration),
        (301, "PermanentRedirect", "the bucket lies in another region", BadConfiguration),
        (501, "NotImplemented", "the store does not know what is asked of it", BadConfiguration),
    ],
)
def test_a_refusal_means_to_a_source_what_it_means_to_the_store(
    s3_bucket, s3_endpoint, when, status, code, words, error
):
    s3_bucket.client.put_object(Bucket=s3_bucket.name, Key="x.csv", Body=b"id,at,late\n")

    def rule(asked, forward):
        listing = "list-type" in asked.path
        refused = asked.method == "GET" and listing == (when == "GET of the list")
        return refusal(status, code) if refused else forward()

    with s3_proxy(s3_endpoint) as proxy:
        proxy.rule = rule
        options = {**s3_bucket.options, "endpoint_url": proxy.endpoint}
        options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": 1}}
        with pytest.raises(error, match=words) as caught:
            list(source(options, f"{s3_bucket.url}/*.csv", kind="csv").read(MARCH))
    assert caught.value.retryable is (error is SourceUnavailable)
    assert s3_bucket.url in str(caught.value)


def test_a_source_without_a_login_fails_at_once(s3_bucket, s3_endpoint, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    extra = {"endpoint_url": s3_endpoint, "region_name": "us-east-1"}
    options = Connection("nobody", "aws", extra=extra).storage_options()
    with pytest.raises(BadConfiguration, match="there is no login for the store"):
        list(source(options, f"{s3_bucket.url}/*.csv", kind="csv").read(MARCH))


def test_a_scheme_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(BadConfiguration, match="install gcsfs"):
        list(source({}, "gs://bucket/*.parquet").read(MARCH))
