"""Connections are read in Airflow's forms, hide their secrets, and never show them."""

from __future__ import annotations

import json
import traceback

import pytest

from evergreen.connections import Connection, from_environment
from evergreen.errors import BadConfiguration
from evergreen.redaction import redact


def connection(text: str) -> Connection:
    return from_environment("db", {"AIRFLOW_CONN_DB": text})


def test_a_uri_and_json_give_the_same_connection():
    uri = connection("postgres://bob:p%40ss%2Fword@db.example.com:5433/sales?sslmode=require")
    plain = {"conn_type": "postgres", "login": "bob", "password": "p@ss/word", "port": 5433}
    plain |= {"host": "db.example.com", "schema": "sales", "extra": {"sslmode": "require"}}
    assert uri == connection(json.dumps(plain))
    assert uri == connection(json.dumps(plain | {"extra": json.dumps(plain["extra"])}))


def test_extra_within_a_uri_may_be_json():
    uri = "aws://?__extra__=%7B%22region_name%22%3A%20%22eu-west-1%22%7D"
    assert connection(uri).extra == {"region_name": "eu-west-1"}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("sqlite:////data/flights.db", "sqlite:////data/flights.db"),
        ("sqlite:///flights.db", "sqlite:///flights.db"),
        ('{"conn_type": "sqlite", "host": "/data/flights.db"}', "sqlite:////data/flights.db"),
        (
            "postgres://bob@db:1/x?sslmode=require&cursor=d",
            "postgresql+psycopg://bob@db:1/x?sslmode=require",
        ),
        ("mysql://bob@db/x", "mysql+pymysql://bob@db/x"),
    ],
)
def test_a_database_url_follows_from_the_connection(text, url):
    assert str(connection(text).sqlalchemy_url()) == url


def test_an_unknown_kind_names_those_that_are_known():
    with pytest.raises(BadConfiguration, match=r"'db'.*ftp.*postgres.*sqlite"):
        connection("ftp://x").sqlalchemy_url()
    with pytest.raises(BadConfiguration, match=r"'db'.*sqlite.*aws"):
        connection("sqlite:///x").storage_options()


def test_storage_options_follow_from_the_connection():
    extra = {"endpoint_url": "http://127.0.0.1:9", "region_name": "eu-west-1"}
    aws = Connection("lake", "aws", login="AKIA", password="se/cret", extra=extra)
    assert aws.storage_options() == {
        "key": "AKIA",
        "secret": "se/cret",
        "endpoint_url": "http://127.0.0.1:9",
        "client_kwargs": {"region_name": "eu-west-1"},
    }
    assert Connection("lake", "aws").storage_options() == {}
    service = {"service_config": {"s3": {"endpoint_url": "http://s3"}}, "endpoint_url": "http://all"}
    assert Connection("lake", "aws", extra=service).storage_options()["endpoint_url"] == "http://s3"
    keys = {"type": "service_account"}
    for given in (keys, json.dumps(keys)):
        gcs = Connection("lake", "google_cloud_platform", extra={"keyfile_dict": given})
        assert gcs.storage_options() == {"token": keys}
    azure = Connection("lake", "wasb", login="account", password="azure-key")
    assert azure.storage_options() == {"account_name": "account", "account_key": "azure-key"}


@pytest.mark.parametrize(
    "given",
    [
        "/etc/secret-place/key.json",
        '{"private_key": "canary-1',
        '["canary-1"]',
        "7",
        7,
        ["canary-1"],
        "[" * 9999,
    ],
)
def test_a_key_of_google_that_is_none_is_refused_by_name_and_not_shown(given):
    gcs = Connection("lake", "google_cloud_platform", extra={"keyfile_dict": given})
    with pytest.raises(BadConfiguration, match=r"'lake'.*keyfile_dict.*key_path") as caught:
        gcs.storage_options()
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown
    assert "secret-place" not in shown


def test_a_key_of_google_may_lie_in_a_file():
    for nothing in ({}, {"keyfile_dict": ""}, {"keyfile_dict": None}):
        gcs = Connection("lake", "google_cloud_platform", extra=nothing | {"key_path": "/k.json"})
        assert gcs.storage_options() == {"token": "/k.json"}


def test_secrets_are_masked_and_other_words_are_not():
    extra = {"api_token": "tok-123456", "sslmode": "require", "nested": {"secrets": ["deep-secret-1"]}}
    made = Connection("c", "http", password="pass-98765", extra=extra)
    said = redact("pass-98765 tok-123456 deep-secret-1 require")
    assert said == "*** *** *** require"
    assert "pass-98765" not in repr(made)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"assume_role_kwargs": {"secret_pin": 73519846, "secret_is_set": True}}, ("73519846",)),
        (
            {"connection_string": "AccountName=acme;AccountKey=Zm9vYmFyYmF6+/==;EndpointSuffix=e"},
            ("Zm9vYmFyYmF6+/==", "AccountName=acme;AccountKey=Zm9vYmFyYmF6+/==;EndpointSuffix=e"),
        ),
        (
            {"connection_string": "BlobEndpoint=https://a;SharedAccessSignature=sv-123-abc"},
            ("sv-123-abc",),
        ),
        ({"keyfile_dict": json.dumps({"private_key": "-----BEGIN-1234"})}, ("-----BEGIN-1234",)),
        ({"keyfile_dict": '{"private_key":'}, ('{"private_key":',)),
    ],
)
def test_secrets_within_a_text_that_holds_several_values_are_masked_alone_too(extra, said):
    Connection("lake", "wasb", extra=extra)
    assert [redact(f"bad {one} here") for one in said] == ["bad *** here"] * len(said)
    assert redact("acme") == "acme"


def test_a_missing_variable_is_named():
    with pytest.raises(BadConfiguration, match="AIRFLOW_CONN_DB"):
        from_environment("db", {})


@pytest.mark.parametrize(
    "text",
    ["postgres://bob:hunter22/x@db:5432/x", '{"password": "hunter22"', "hunter22", '{"x": "hunter22"}'],
)
def test_what_cannot_be_read_is_not_shown(text):
    with pytest.raises(BadConfiguration) as caught:
        connection(text)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter22" not in shown
    assert "AIRFLOW_CONN_DB" in shown
