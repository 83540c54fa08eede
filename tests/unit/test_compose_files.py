"""The secret files, the image, and the small programs that docker-compose.yaml runs."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
import subprocess
import sys
import tomllib
from base64 import urlsafe_b64decode
from pathlib import Path
from types import ModuleType

import pytest

from tests.contracts.web_server import response, web_server
from tests.integration.compose import ROOT, read

SECRETS = read()["secrets"].keys()


def module(name: str) -> ModuleType:
    """Return a program of deploy/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


make_secrets = module("make_secrets")
init = module("init")
command = module("command")


def made(folder: Path) -> dict[str, str]:
    make_secrets.make(folder, say=lambda line: None)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_every_secret_of_the_file_is_made_for_its_owner_only(tmp_path):
    folder = tmp_path / "secrets"
    assert made(folder).keys() == SECRETS
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_two_installations_share_a_secret(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    assert all(one[name] != other[name] for name in SECRETS)


def test_secrets_of_a_server_and_its_clients_agree(tmp_path):
    found = made(tmp_path)
    connections = json.loads(found["connections.json"])
    store = connections["evergreen_store"]
    for name in ("store_root", "store_credentials"):
        assert store["login"] in found[name]
        assert store["password"] in found[name]
    assert found["redis.conf"].removeprefix("requirepass ") in found["broker_url"]
    passwords = json.loads(found["airflow_passwords.json"])
    assert passwords.keys() == {"admin", "evergreen"}
    assert connections["this_airflow"]["password"] == passwords["evergreen"]
    assert len(urlsafe_b64decode(found["fernet_key"])) == 32


def test_made_again_a_secret_is_kept_and_a_missing_one_is_made(tmp_path):
    before = made(tmp_path)
    (tmp_path / "ledger_pgpass").unlink()
    after = made(tmp_path)
    changed = {name for name in SECRETS if before[name] != after[name]}
    assert changed == {"ledger_pgpass"}


def test_a_secret_that_a_full_disk_left_empty_is_made_as_one_that_is_missing(tmp_path):
    made(tmp_path)
    path = tmp_path / "ledger_pgpass"
    path.write_text("")
    path.chmod(0o644)
    assert made(tmp_path)["ledger_pgpass"].startswith("*:*:ledger:ledger:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "broker_url").write_text("")
    with pytest.raises(SystemExit, match=r"broker_url is missing or empty .* as redis\.conf"):
        made(tmp_path)


def test_half_of_a_shared_secret_is_not_made_anew(tmp_path):
    made(tmp_path)
    (tmp_path / "broker_url").unlink()
    with pytest.raises(SystemExit, match=r"broker_url is missing .* as redis\.conf"):
        made(tmp_path)


def test_the_user_that_containers_run_as_is_written_once(tmp_path):
    path = tmp_path / ".env"
    path.write_text("OTHER=1")
    make_secrets.name_user(path, 1234)
    make_secrets.name_user(path, 99)
    assert path.read_text() == "OTHER=1\nEVERGREEN_UID=1234\n"


def test_secrets_reach_neither_the_repository_nor_the_image():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"deploy/secrets/", ".env"} <= {*ignored}
    kept_out, *let_in = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert kept_out == "*"
    allowed = {line.removeprefix("!") for line in let_in if line.startswith("!")}
    lines = re.findall(r"^COPY (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    copied = {word for line in lines for word in line.split()[:-1] if not word.startswith("--")}
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_is_of_our_airflow_and_python_and_does_not_run_as_root():
    text = (ROOT / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = re.search(r"^apache-airflow==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    base = re.search(r"^ARG BASE=apache/airflow:slim-([\d.]+)-python([\d.]+)$", text, re.MULTILINE)
    assert base
    assert locked
    assert base[1] == locked[1]
    assert f"Programming Language :: Python :: {base[2]}" in project["classifiers"]
    extras = re.search(r"\.whl\)\[(.+)\]", text)
    assert extras
    assert {*extras[1].split(",")} <= project["optional-dependencies"].keys()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["airflow"]
    assert not re.search(r"(?im)^(ARG|ENV) .*(passw|secret|key|token)", text)


def test_an_empty_or_missing_secret_is_named_with_what_to_run(tmp_path):
    (tmp_path / "there").write_text("word\n")
    (tmp_path / "empty").touch()
    assert init.secret(tmp_path, "there") == "word"
    for name in ("empty", "gone"):
        with pytest.raises(SystemExit, match=f"{name} is missing or empty: run 'make compose-secrets'"):
            init.secret(tmp_path, name)


@pytest.mark.parametrize(
    ("status", "component", "code"),
    [("healthy", (), 0), ("healthy", ("scheduler",), 0), ("unhealthy", ("scheduler",), 1)],
)
def test_a_health_check_believes_what_the_server_says(status, component, code):
    with web_server() as server:
        server.answer(response("200 OK", json.dumps({"scheduler": {"status": status}}).encode()))
        url = f"http://127.0.0.1:{server.port}/health"
        done = subprocess.run(
            [sys.executable, ROOT / "deploy" / "healthy.py", url, *component], capture_output=True
        )
    assert done.returncode == code


def test_a_command_of_evergreen_finds_the_connection_of_the_store(tmp_path):
    made(tmp_path / "secrets")
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "EVERGREEN_HOME": str(tmp_path),
        "EVERGREEN_STORE": "s3://evergreen/store",
        "EVERGREEN_STORE_CONNECTION": "evergreen_store",
    }
    rollback = ["rollback", "churn", "--why", "worse"]

    def said(*command: str | Path, **more: str) -> str:
        done = subprocess.run(
            command, env=environment | more, cwd=tmp_path, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    assert "connection 'evergreen_store': no such connection" in said("evergreen", *rollback)
    told = said(
        *(sys.executable, ROOT / "deploy" / "command.py", *rollback),
        CONNECTIONS=str(tmp_path / "secrets" / "connections.json"),
    )
    assert "no such connection" not in told
    assert "churn" in told


def test_connections_of_the_file_are_those_that_a_command_looks_for(tmp_path):
    path = tmp_path / "connections.json"
    hook = {"conn_type": "http", "host": "example.com", "password": "word"}
    path.write_text(json.dumps({"warehouse": "postgres://bob@db/x", "hook": hook}))
    found = command.with_connections({"HOME": "/home", "CONNECTIONS": str(path)})
    assert found.pop("CONNECTIONS") == str(path)
    assert json.loads(found.pop("AIRFLOW_CONN_HOOK")) == hook
    assert found == {"HOME": "/home", "AIRFLOW_CONN_WAREHOUSE": "postgres://bob@db/x"}


def test_a_health_check_fails_where_nobody_answers():
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "healthy.py", "http://127.0.0.1:9/"], capture_output=True
    )
    assert done.returncode == 1
