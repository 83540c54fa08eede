"""What a connection to AWS says of object storage is heeded, or refused by name."""

from __future__ import annotations

import json
import re

import pytest

from evergreen.connections import Connection, from_environment
from evergreen.errors import BadConfiguration
from evergreen.settings import Settings
from evergreen.storage import open_remote

KEYS = {"login": "AKIA", "password": "se/cret"}


def options(login=None, password=None, conn_type="aws", **extra):
    return Connection("lake", conn_type, login=login, password=password, extra=extra).storage_options()


def test_everything_that_is_said_is_handed_on(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    config = {"retries": {"mode": "adaptive"}, "s3": {"addressing_style": "path"}, "read_timeout": 5}
    assert options(
        **KEYS,
        aws_session_token="token-123",
        region_name="eu-west-1",
        endpoint_url="https://all",
        service_config={"s3": {"endpoint_url": "https://s3", "bucket_name": "b"}, "emr": {"x": 1}},
        verify=str(bundle),
        config_kwargs=config,
    ) == {
        "key": "AKIA",
        "secret": "se/cret",
        "token": "token-123",
        "endpoint_url": "https://s3",
        "client_kwargs": {"region_name": "eu-west-1", "verify": str(bundle)},
        "config_kwargs": config,
    }


def test_keys_may_stand_in_the_extra_and_empty_entries_say_nothing():
    keys = options(aws_access_key_id="A", aws_secret_access_key="S", region_name="", role_arn=None)
    assert keys == {"key": "A", "secret": "S"}
    assert options(profile_name="ml") == {"profile": "ml"}
    assert options() == {}
    assert options(conn_type="s3") == {}


def test_a_bucket_open_to_all_is_read_without_a_login():
    assert options(config_kwargs={"signature_version": "unsigned"}) == {"anon": True}
    assert options(config_kwargs={"signature_version": "s3v4"}) == {
        "config_kwargs": {"signature_version": "s3v4"}
    }


@pytest.mark.parametrize(("given", "read"), [(False, False), ("False", False), ("true", True)])
def test_certificates_are_not_checked_only_where_it_says_so(given, read):
    assert options(verify=given) == {"client_kwargs": {"verify": read}}


def test_a_role_is_taken_on_by_the_login():
    assert options(
        **KEYS,
        region_name="eu-west-1",
        role_arn="arn:aws:iam::1:role/ml",
        assume_role_kwargs={"ExternalId": "e"},
        endpoint_url="https://s3",
        service_config={"sts": {"endpoint_url": "https://sts"}},
    )["assume_role"] == {
        "role_arn": "arn:aws:iam::1:role/ml",
        "arguments": {"ExternalId": "e"},
        "region_name": "eu-west-1",
        "endpoint_url": "https://sts",
    }


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"regionname": "x"}, r"regionname.*did you mean 'region_name'"),
        ({"session_kwargs": {"a": 1}}, "session_kwargs"),
        ({"service_config": {"s3": {"extra_args": {}}}}, r"service_config\.s3.*extra_args"),
        ({"service_config": "text"}, "a JSON object"),
        ({"config_kwargs": "text"}, "a JSON object"),
        ({"verify": "/no/such/file"}, "verify"),
        ({"verify": 7}, "verify"),
        ({"endpoint_url": "store:7070"}, r"endpoint_url.*got store:7070; allowed: an http or https URL"),
        ({"endpoint_url": "127.0.0.1:9000"}, "endpoint_url"),
        ({"endpoint_url": "http://"}, "endpoint_url"),
        ({"endpoint_url": "http://my_store:9000"}, "endpoint_url"),
        ({"endpoint_url": "http://store:port"}, "endpoint_url"),
        ({"endpoint_url": "ftp://store"}, "endpoint_url"),
        ({"endpoint_url": "store:only-a-secret@host"}, "endpoint_url"),
        ({"endpoint_url": 5}, "endpoint_url.*got int"),
        ({"service_config": {"s3": {"endpoint_url": "store"}}}, r"service_config\.s3: endpoint_url"),
        ({"service_config": {"sts": {"endpoint_url": "store"}}}, r"service_config\.sts: endpoint_url"),
        ({"region_name": 5}, "region_name.*got int; allowed: text"),
        ({"service_config": {"sts": {"region_name": 5}}}, r"service_config\.sts: region_name"),
        ({"role_arn": "r", "assume_role_method": "assume_role_with_saml"}, "assume_role_with_saml"),
        (
            {"role_arn": "r", "assume_role_method": "assume_role_with_web_identity"},
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        ({"role_arn": "r", "assume_role_kwargs": {"SerialNumber": "m"}}, "one-time code"),
        ({"assume_role_kwargs": {"ExternalId": "e"}}, "without role_arn"),
        ({"login": "AKIA"}, "not whole"),
        ({"password": "only-a-secret"}, "not whole"),
        ({"aws_session_token": "only-a-token"}, "not whole"),
    ],
)
def test_what_cannot_be_heeded_is_refused_by_name(said, words):
    with pytest.raises(BadConfiguration, match=words) as caught:
        options(**said)
    assert "'lake'" in str(caught.value)
    assert "only-a-" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "https://store.example.com./x", "http://[::1]:9000", "http://store"]
)
def test_an_address_of_a_store_is_handed_on_as_it_is(url):
    assert options(endpoint_url=url) == {"endpoint_url": url}


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ({"role_arn": "too-short"}, "role_arn.*assume_role_kwargs"),
        ({"role_arn": 5}, "role_arn"),
        ({"assume_role_kwargs": {"Durationseconds": 900}}, "Durationseconds"),
        ({"assume_role_kwargs": {"DurationSeconds": "soon"}}, "DurationSeconds"),
    ],
)
def test_a_role_that_aws_would_not_understand_is_said_of_the_connection(role, words):
    said = {"role_arn": "arn:aws:iam::123456789012:role/ml", **role}
    with pytest.raises(BadConfiguration, match="the role of the connection") as caught:
        open_remote("s3://bucket/x", options(**KEYS, **said), "EVERGREEN_STORE")
    assert re.search(words, str(caught.value))


@pytest.mark.parametrize("part", ["host", "port", "schema"])
def test_a_place_that_aws_does_not_read_is_refused(part):
    made = Connection("lake", "aws", **{part: 9000 if part == "port" else "minio"})
    with pytest.raises(BadConfiguration, match=f"the {part}.*endpoint_url"):
        made.storage_options()


def test_options_that_botocore_does_not_know_are_named():
    with pytest.raises(BadConfiguration, match=r"config_kwargs.*read_timeuot"):
        open_remote("s3://bucket/x", options(config_kwargs={"read_timeuot": 5}), "EVERGREEN_STORE")


def test_time_tries_and_memory_are_bounded_where_nothing_is_said():
    system, path = open_remote("s3://bucket/x", options(**KEYS), "EVERGREEN_STORE")
    assert path == "bucket/x"
    assert system.config_kwargs["read_timeout"] == 30
    assert system.config_kwargs["retries"] == {"mode": "standard", "total_max_attempts": 3}
    assert system.retries == 2
    assert system.max_concurrency * system.default_block_size == 64 * 2**20
    assert system.dircache.use_listings_cache is False
    own = {"read_timeout": 5, "retries": {"total_max_attempts": 9}}
    system, _ = open_remote("s3://bucket/x", options(**KEYS, config_kwargs=own), "EVERGREEN_STORE")
    assert system.config_kwargs == {"connect_timeout": 10, **own}


def test_a_connection_of_the_environment_is_read_alike():
    extra = {"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:9"}
    text = json.dumps({"conn_type": "aws", "login": "A", "password": "S", "extra": extra})
    uri = "aws://A:S@/?region_name=eu-west-1&endpoint_url=http%3A%2F%2F127.0.0.1%3A9"
    found = [
        from_environment("lake", {"AIRFLOW_CONN_LAKE": each}).storage_options() for each in (text, uri)
    ]
    assert found[0] == found[1] == options("A", "S", **extra)


@pytest.mark.parametrize("uri", ["s3://", "s3:///"])
def test_a_store_without_a_bucket_is_no_folder_of_that_name(uri):
    with pytest.raises(BadConfiguration, match=r"EVERGREEN_STORE.*names no bucket"):
        Settings.from_environment({"EVERGREEN_STORE": uri})
