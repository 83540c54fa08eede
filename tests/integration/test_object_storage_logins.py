"""Logins of every kind open the store: keys, a role, a profile, the machine's own."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.adapters.file_store import SmallFiles
from evergreen.connections import Connection, from_environment
from evergreen.errors import BadConfiguration
from tests.contracts.certificates import certificate
from tests.integration.s3_proxy import Answer, s3_proxy

ROLE = "arn:aws:iam::123456789012:role/evergreen"
CREDENTIAL = r"Credential=([^/]+)/"
OWN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """A machine without any login of its own."""
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def proxy(s3_endpoint):
    with s3_proxy(s3_endpoint) as proxy:
        yield proxy


def kept(bucket, options) -> None:
    """Keep a file and read it again."""
    files = SmallFiles(f"{bucket.url}/lake", options)
    assert files.get(files.put("watch", "x.json", b"x")) == b"x"


def signers(proxy) -> list[str]:
    """Return the access keys by which requests to the store were signed, in their order."""
    found = [re.search(CREDENTIAL, one.headers.get("authorization", "")) for one in proxy.asked]
    return [match[1] for match in found if match]


def test_a_role_is_taken_on_and_renewed_before_it_expires(s3_bucket, proxy):
    lives = iter([timedelta(minutes=1), timedelta(hours=1)])  # the first one expires at once
    given = []

    def sts(asked, forward):
        if asked.method != "POST":
            return forward()
        given.append(asked.headers["authorization"])
        number = len(given)
        until = (datetime.now(UTC) + next(lives)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE{number}</AccessKeyId>
            <SecretAccessKey>role-secret-{number}</SecretAccessKey><SessionToken>role-token</SessionToken>
            <Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
        return Answer(200, body.encode(), {"Content-Type": "text/xml"})

    proxy.rule = sts
    extra = {
        "endpoint_url": proxy.endpoint,
        "region_name": "us-east-1",
        "role_arn": ROLE,
        "assume_role_kwargs": {"ExternalId": "team"},
        "service_config": {"sts": {"endpoint_url": proxy.endpoint}},
    }
    options = Connection("lake", "aws", login="AKIAOWN", password="own", extra=extra).storage_options()
    kept(s3_bucket, options)
    assert all("AKIAOWN" in authorization for authorization in given), "only to ask for the role"
    assert signers(proxy)[-1] == "ASIAROLE2"
    assert len(given) == 2


def test_a_role_that_is_denied_says_so(s3_bucket, proxy):
    def denied(asked, forward):
        said = "<Code>AccessDenied</Code><Message>not to you</Message>"
        return Answer(403, f"<ErrorResponse><Error>{said}</Error></ErrorResponse>".encode())

    proxy.rule = denied
    extra = {"role_arn": ROLE, "service_config": {"sts": {"endpoint_url": proxy.endpoint}}}
    options = Connection("lake", "aws", login="A", password="own", extra=extra).storage_options()
    with pytest.raises(BadConfiguration, match="denied access"):
        kept(s3_bucket, options)


def test_a_profile_of_this_machine_is_used(s3_bucket, proxy, tmp_path):
    (tmp_path / "credentials").write_text(
        "[ml]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = profile-secret\n"
    )
    extra = {"profile_name": "ml", "endpoint_url": proxy.endpoint}
    kept(s3_bucket, Connection("lake", "aws", extra=extra).storage_options())
    assert set(signers(proxy)) == {"AKIAPROFILE"}


def test_without_any_login_the_machines_own_role_counts(s3_bucket, proxy, monkeypatch):
    machine = {
        "Code": "Success",
        "AccessKeyId": "ASIAMACHINE",
        "SecretAccessKey": "machine-secret",
        "Token": "machine-token",
        "Expiration": (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

    def metadata(asked, forward):
        if asked.path == "/latest/api/token":
            return Answer(200, b"metadata-token", {"x-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if asked.path.rstrip("/").endswith("security-credentials"):
            return Answer(200, b"the-role-of-the-machine")
        if "security-credentials/" in asked.path:
            return Answer(200, json.dumps(machine).encode())
        return forward()

    proxy.rule = metadata
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", proxy.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    kept(s3_bucket, {})
    assert set(signers(proxy)) == {"ASIAMACHINE"}


def test_a_machine_without_any_login_says_what_to_give_it(s3_bucket, proxy):
    extra = {"endpoint_url": proxy.endpoint}
    with pytest.raises(BadConfiguration, match=r"no login for the store.*EVERGREEN_STORE_CONNECTION"):
        kept(s3_bucket, Connection("nobody", "aws", extra=extra).storage_options())


def test_a_connection_of_the_environment_opens_the_store(s3_bucket, proxy):
    extra = {"endpoint_url": proxy.endpoint, "region_name": "us-east-1"}
    text = json.dumps({"conn_type": "aws", "login": "AKIAENV", "password": "x", "extra": extra})
    kept(s3_bucket, from_environment("lake", {"AIRFLOW_CONN_LAKE": text}).storage_options())
    assert set(signers(proxy)) == {"AKIAENV"}


def test_a_certificate_is_checked_by_the_authority_that_is_named(s3_bucket, s3_endpoint, tmp_path):
    tls, authority = certificate(tmp_path, "127.0.0.1")

    def options(proxy, **extra):
        extra |= {
            "endpoint_url": proxy.endpoint,
            "config_kwargs": {"retries": {"total_max_attempts": 1}},
        }
        return Connection("lake", "aws", login="A", password="own", extra=extra).storage_options()

    with s3_proxy(s3_endpoint, tls) as proxy:
        kept(s3_bucket, options(proxy, verify=str(authority)))
        kept(s3_bucket, options(proxy, verify=False))
        with pytest.raises(BadConfiguration, match="certificate was not accepted"):
            kept(s3_bucket, options(proxy))
