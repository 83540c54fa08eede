"""Each way in which an object store refuses is told in words: what, where, whether to try again."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterator

import pytest

from evergreen.adapters.file_store import SmallFiles
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.connections import Connection
from evergreen.errors import (
    ArtefactDamaged,
    BadConfiguration,
    EvergreenError,
    SourceUnavailable,
    StoreUnavailable,
)
from evergreen.quarantine import Folder
from tests.contracts.data_source import MARCH, data, rows
from tests.contracts.prediction_log import batches as logged_batches
from tests.contracts.prediction_log import hours, logged
from tests.contracts.snapshot_store import batches
from tests.integration.s3 import Bucket
from tests.integration.s3_proxy import Answer, S3Proxy, refusal, s3_proxy, unused_port

SECRET = "canary-of-the-secret-key"
TOKEN = "canary-of-the-session-token"
QUICK = {
    "connect_timeout": 1,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 1},
}
LATER, NEVER = True, False


class Store:
    """Everything that is kept on object storage, behind a proxy."""

    def __init__(self, bucket: Bucket, proxy: S3Proxy) -> None:
        self.bucket, self.proxy = bucket, proxy
        self.url = f"{bucket.url}/lake"
        self.open(options_to(proxy.endpoint))
        self.kept = self.publish()
        self.file = self.put_file()
        self.put_log()

    def open(self, options: dict) -> None:
        self.options = options
        self.snapshots = ParquetStore(self.url, options)
        self.files = SmallFiles(self.url, options)
        self.log = ParquetLog(f"{self.url}/predictions", options)

    def opened(self, options: dict) -> Store:
        """Return the same store, opened in another way."""
        other = copy.copy(self)
        other.open(options)
        return other

    def publish(self, count: int = 300):
        return self.snapshots.write("m", MARCH, batches(rows(count)), data())

    def read(self):
        return self.snapshots.read(self.kept, MARCH, "at")

    def put_file(self, content: bytes = b"small"):
        return self.files.put("watch/m", "profile.json", content)

    def get_file(self):
        return self.files.get(self.file)

    def put_log(self):
        return self.log.replace("m", hours(0, 48), logged_batches(logged(hours(0, 48))), "at")

    def read_log(self):
        return list(self.log.rows("m", "at").read(hours(0, 48)))

    def list_log(self):
        return self.log.rows("m", "at").newest(hours(0, 48).end)

    def quarantine(self):
        return Folder(self.url, self.options, "quarantine/m").write("rows.parquet", b"rows")


def options_to(endpoint: str, **config) -> dict:
    extra = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "aws_session_token": TOKEN,
        "config_kwargs": {**QUICK, **config},
    }
    return Connection("lake", "aws", login="tester", password=SECRET, extra=extra).storage_options()


WRITES = {
    "snapshot": lambda store: store.publish(301),
    "small file": lambda store: store.put_file(b"another"),
    "log": Store.put_log,
    "quarantine": Store.quarantine,
}
READS = {
    "snapshot read": Store.read,
    "small file read": Store.get_file,
    "log read": Store.read_log,
    "log listed": Store.list_log,
}
ALL = {**WRITES, **READS}


@pytest.fixture(scope="module")
def store(s3_endpoint: str) -> Iterator[Store]:
    import uuid

    import boto3

    name = f"hostile-{uuid.uuid4().hex}"
    login = {"aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_endpoint, **login)
    client.create_bucket(Bucket=name)
    with s3_proxy(s3_endpoint) as proxy:
        yield Store(Bucket(f"s3://{name}", {}, client, name), proxy)


@pytest.fixture
def proxy(store: Store) -> Iterator[S3Proxy]:
    store.proxy.asked.clear()
    honest = store.proxy.rule
    yield store.proxy
    store.proxy.rule = honest


def told(work, store: Store) -> EvergreenError:
    """Return the error of some work; its text and its traceback hold no secret."""
    with pytest.raises(EvergreenError) as caught:
        work(store)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert TOKEN not in shown
    assert caught.value.where
    assert caught.value.fix
    assert isinstance(caught.value, (BadConfiguration, StoreUnavailable, SourceUnavailable))
    return caught.value


@pytest.mark.parametrize("what", ALL)
@pytest.mark.parametrize(
    ("status", "code", "words", "later"),
    [
        (404, "NoSuchBucket", "there is no such bucket", NEVER),
        (403, "AccessDenied", "the store denied access", NEVER),
        (400, "ExpiredToken", "the login for the store has expired", LATER),
        (301, "PermanentRedirect", "the bucket lies in another region", NEVER),
        (400, "AuthorizationHeaderMalformed", "the bucket lies in another region", NEVER),
        (503, "SlowDown", "the store is throttling requests", LATER),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong", LATER),
        (403, "InvalidAccessKeyId", "the store does not know this login", NEVER),
        (403, "SignatureDoesNotMatch", "the store does not know this login", NEVER),
        (500, "InternalError", "", LATER),
    ],
)
def test_a_refusal_says_what_it_means_and_whether_to_try_again(
    store, proxy, what, status, code, words, later
):
    where = {"x-amz-bucket-region": "eu-west-1"} if status == 301 else {}
    proxy.rule = lambda asked, forward: refusal(status, code, **where)
    error = told(ALL[what], store)
    assert words in str(error)
    assert error.retryable is later
    assert store.bucket.name in str(error)
    assert len(proxy.asked) <= 8, "tries are bounded"


@pytest.mark.parametrize("what", ["small file", "small file read"])
def test_a_redirect_that_names_no_region_is_not_followed_for_ever(store, proxy, what):
    """Which of botocore's and aiohttp's layers meets the end of Python's stack depends on its depth."""

    def from_below(frames, work):
        return work() if frames == 0 else from_below(frames - 1, work)

    proxy.rule = lambda asked, forward: refusal(301, "PermanentRedirect")
    for frames in (0, 1, 2, 3, 5, 8):
        error = from_below(frames, lambda: told(ALL[what], store))
        assert "another region" in str(error)
        assert not error.retryable


def test_a_region_that_nobody_names_is_asked_for(store, monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    extra = {
        "endpoint_url": store.proxy.endpoint,
        "role_arn": "arn:aws:iam::123456789012:role/evergreen",
        "service_config": {"sts": {"endpoint_url": store.proxy.endpoint}},
    }
    options = Connection("lake", "aws", login="tester", password=SECRET, extra=extra).storage_options()
    error = told(WRITES["small file"], store.opened(options))
    assert isinstance(error, BadConfiguration)
    assert "region_name" in str(error)


def test_a_way_to_sign_that_is_not_known_is_not_tried_again(store, proxy):
    error = told(
        WRITES["small file"], store.opened(options_to(proxy.endpoint, signature_version="nonsense"))
    )
    assert isinstance(error, BadConfiguration)
    assert "signature_version" in str(error)


@pytest.mark.parametrize("what", ALL)
def test_a_store_that_never_answers_is_given_up_in_time(store, proxy, what):
    proxy.rule = lambda asked, forward: None
    error = told(ALL[what], store.opened(options_to(proxy.endpoint, read_timeout=0.2)))
    assert error.retryable
    assert "did not answer in time" in str(error)
    assert len(proxy.asked) <= 2


@pytest.mark.parametrize("what", ALL)
def test_what_does_not_speak_s3_is_said_so(store, proxy, what):
    proxy.rule = lambda asked, forward: Answer(502, b"<html>Bad gateway", {"Content-Type": "text/html"})
    assert told(ALL[what], store).retryable


@pytest.mark.parametrize("what", ["snapshot read", "small file read", "log read"])
def test_an_answer_that_breaks_off_is_asked_for_anew_and_then_given_up(store, proxy, what):
    def cut(times):
        def rule(asked, forward):
            said = forward()
            bodies = [one for one in proxy.asked if one.method == "GET"]
            if asked.method == "GET" and len(bodies) <= times and len(said.body) > 4:
                return Answer(said.status, said.body, said.headers, cut=len(said.body) // 2)
            return said

        return rule

    proxy.rule = cut(times=1)
    assert ALL[what](store) is not None
    proxy.asked.clear()
    proxy.rule = cut(times=1000)
    error = told(ALL[what], store)
    assert error.retryable
    assert "broke off" in str(error)


@pytest.mark.parametrize("what", ["snapshot read", "small file read", "log read"])
def test_half_an_object_is_never_taken_for_the_whole(store, proxy, what):
    def half(asked, forward):
        said = forward()
        if asked.method != "GET":
            return said
        headers = {k: v for k, v in said.headers.items() if k not in ("content-range", "etag")}
        return Answer(said.status, said.body[: len(said.body) // 2], headers)

    proxy.rule = half
    with pytest.raises((ArtefactDamaged, StoreUnavailable, SourceUnavailable)):
        ALL[what](store)


def test_throttling_that_passes_is_waited_out_by_botocore(store, proxy):
    patient = options_to(proxy.endpoint, retries={"mode": "standard", "total_max_attempts": 4})
    proxy.rule = lambda asked, forward: refusal(503, "SlowDown") if asked.number <= 2 else forward()
    stored = SmallFiles(store.url, patient).put("watch/m", "throttled.json", b"patience")
    assert SmallFiles(store.url, patient).get(stored) == b"patience"


def test_an_answer_that_was_lost_after_the_write_is_no_conflict(store, proxy):
    def lost(asked, forward):
        said = forward()
        return refusal(500, "InternalError") if asked.method == "PUT" and puts() == 1 else said

    def puts():
        return sum(one.method == "PUT" for one in proxy.asked)

    patient = options_to(proxy.endpoint, retries={"mode": "standard", "total_max_attempts": 3})
    proxy.rule = lost
    stored = SmallFiles(store.url, patient).put("watch/m", "lost.json", b"written once")
    assert puts() == 2, "the second was refused: the first one stands"
    assert SmallFiles(store.url, patient).get(stored) == b"written once"


def test_a_write_in_conflict_is_made_again(store, proxy):
    def conflict(asked, forward):
        puts = sum(one.method == "PUT" for one in proxy.asked)
        if asked.method == "PUT" and puts <= 2:
            return refusal(409, "ConditionalRequestConflict")
        return forward()

    proxy.rule = conflict
    assert store.get_file() == b"small"
    stored = store.put_file(b"after a conflict")
    assert store.files.get(stored) == b"after a conflict"


def test_a_refused_condition_without_its_name_is_understood_too(store, proxy):
    """Some stores that speak S3 do not say which condition did not hold."""
    proxy.rule = lambda asked, forward: (
        refusal(412, "PreconditionFailed") if asked.method == "PUT" else forward()
    )
    assert store.put_file() == store.file
    with pytest.raises(ArtefactDamaged, match="missing"):
        store.put_file(b"nobody wrote this")


def test_a_store_without_conditional_writes_is_named(store, proxy):
    proxy.rule = lambda asked, forward: (
        refusal(501, "NotImplemented") if "if-none-match" in asked.headers else forward()
    )
    error = told(lambda store: store.put_file(b"unconditional"), store)
    assert isinstance(error, BadConfiguration)
    assert "conditional writes" in str(error)


@pytest.mark.parametrize("what", ["small file", "log read"])
def test_a_store_that_is_down_says_so(store, what):
    error = told(ALL[what], store.opened(options_to(f"http://127.0.0.1:{unused_port()}")))
    assert error.retryable
    assert "cannot be reached" in str(error)


def test_a_profile_that_is_not_there_is_named(store):
    extra = {"profile_name": "no-such-profile", "region_name": "us-east-1"}
    options = Connection("lake", "aws", extra=extra).storage_options()
    with pytest.raises(BadConfiguration, match="no-such-profile"):
        SmallFiles(store.url, options).put("watch/m", "x.json", b"x")


@pytest.mark.parametrize(
    "url",
    [
        "s3://b/a b",
        "s3://b/../c",
        "s3://b//c",
        "s3://b/c?versionId=1",
        "s3://b/é",
        "s3://b/a\nb",
    ],
)
def test_a_prefix_with_odd_characters_is_refused_by_name(url):
    with pytest.raises(BadConfiguration, match=r"not safe|bucket|name"):
        SmallFiles(url, {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:1"}).put(
            "watch", "x", b"x"
        )
