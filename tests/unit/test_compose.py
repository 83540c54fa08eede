"""What docker-compose.yaml must keep: no open port, no password, nothing a service need not have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evergreen import __version__
from evergreen.settings import VARIABLES
from tests.integration.compose import FILE, ROOT, interpolated, read, services

ENVIRON = {"EVERGREEN_UID": "1000"}
ONCE = {"volumes", "init"}
ASKED = {"evergreen"}
DOCUMENT = read()
SERVICES = services(ENVIRON)
LASTING = sorted(SERVICES.keys() - ONCE - ASKED)


def raw(name: str) -> dict[str, Any]:
    return DOCUMENT["services"][name]


def texts(value: Any) -> list[str]:
    """Return every text at any depth."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [str(value)]


def test_it_is_a_compose_file_by_the_specification():
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", FILE], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ports_are_published_on_this_machine_only_and_those_of_broker_databases_and_store_are_not():
    published = {name: raw(name)["ports"] for name in SERVICES if "ports" in raw(name)}
    assert published.keys() == {"api-server", "mail", "mlflow"}
    for port in texts(published):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert not any("network_mode" in raw(name) for name in LASTING)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_no_right_it_does_not_need(name):
    service = raw(name)
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "env_file", "pid", "ipc"} & service.keys()
    assert service.get("cap_add", []) == (["CHOWN"] if name == "volumes" else [])
    assert (interpolated(service["user"], ENVIRON) == "1000:0") is (name != "volumes")


@pytest.mark.parametrize("name", LASTING)
def test_every_service_that_lasts_is_looked_after_and_started_again(name):
    assert SERVICES[name].check
    assert raw(name)["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(ONCE))
def test_a_service_that_ends_is_waited_for(name):
    assert raw(name)["restart"] == "no"
    waits = [one.needs[name] for one in SERVICES.values() if name in one.needs]
    assert waits
    assert set(waits) == {"service_completed_successfully"}


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_service_for_people_is_started_when_they_ask_only_and_nothing_waits_for_it(name):
    assert raw(name)["profiles"] == [name]
    assert raw(name)["restart"] == "no"
    assert not [one.name for one in SERVICES.values() if name in one.needs]


def test_a_command_of_people_has_what_a_task_has_to_reach_ledger_registry_store_and_targets():
    def evergreen(name: str) -> dict[str, str]:
        return {k: v for k, v in SERVICES[name].environment.items() if k.startswith("EVERGREEN_")}

    assert evergreen("evergreen") == evergreen("worker")
    assert {*raw("worker")["networks"]} - {*raw("evergreen")["networks"]} == {"broker"}
    mounts = [mount for mount in raw("worker")["volumes"] if mount["source"] != "logs"]
    assert raw("evergreen")["volumes"] == mounts


def test_nothing_is_started_before_what_it_stands_on_is_healthy():
    for service in SERVICES.values():
        for other, condition in service.needs.items():
            wanted = "completed_successfully" if other in ONCE else "healthy"
            assert condition == f"service_{wanted}", f"{service.name} waits for {other}"
    needed = {"worker": {"api-server", "redis", "mlflow"}, "scheduler": {"api-server", "redis"}}
    for name, others in needed.items():
        assert SERVICES[name].needs.keys() == others


def test_images_are_pinned_to_a_version():
    for name in SERVICES:
        image = raw(name)["image"]
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", image), image
        if "build" in raw(name):
            assert image == f"evergreen:{__version__}"


def test_every_variable_of_evergreen_is_one_that_it_reads():
    ours = {key for one in SERVICES.values() for key in one.environment if key.startswith("EVERGREEN_")}
    assert len(ours) >= 10
    assert ours <= VARIABLES.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_stands_in_what_a_service_is_told(name):
    for text in texts(raw(name)):
        assert not re.search(r"://[^/@\s]*:[^/@\s]+@", text), "a URL with a password"
    for key, value in SERVICES[name].environment.items():
        if re.search(r"(?i)passw|secret_key|fernet|jwt|broker_url|credentials", key):
            assert "/run/secrets/" in value or value == "/opt/airflow/passwords.json", key


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_given_the_secrets_that_it_reads_and_no_others(name):
    service = SERVICES[name]
    read_by_it = set(re.findall(r"/run/secrets/([\w.]+)", " ".join(texts(raw(name)))))
    if name == "init":
        assert read_by_it < {*service.secrets}
        assert {*service.secrets} == DOCUMENT["secrets"].keys(), "it refuses to go on where one is empty"
    else:
        assert {*service.secrets} == read_by_it
    for secret in service.secrets:
        assert DOCUMENT["secrets"][secret] == {"file": f"./deploy/secrets/{secret}"}


def test_who_knows_the_ledger_is_not_who_knows_the_metadata_unless_callbacks_run_there():
    def holders(secret: str) -> set[str]:
        return {one.name for one in SERVICES.values() if secret in one.secrets}

    assert holders("ledger_pgpass") == {"worker", "dag-processor", "triggerer", "init", "evergreen"}
    assert holders("airflow_pgpass") == {
        *("api-server", "scheduler", "dag-processor", "triggerer"),
        "init",
    }
    assert holders("postgres_password") == {"postgres", "init"}
    assert holders("broker_url") == {"scheduler", "worker", "init"}
    for name in ("worker", "mlflow", "evergreen"):
        assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in SERVICES[name].environment


def test_only_scheduler_and_workers_reach_the_broker_and_nobody_reaches_it_from_outside():
    def members(network: str) -> set[str]:
        return {name for name in SERVICES if network in raw(name).get("networks", ())}

    assert members("broker") == {"redis", "scheduler", "worker"}
    assert members("store") == {"store", "init", "mlflow", "worker", "evergreen"}
    for network in ("broker", "database", "store"):
        assert DOCUMENT["networks"][network] == {"internal": True}
    assert not {"redis", "postgres", "store", "init"} & members("front")


def test_one_key_signs_what_the_api_server_and_the_scheduler_say_and_one_encrypts():
    for option, names in {
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": ("api-server", "scheduler"),
        "AIRFLOW__API__SECRET_KEY_CMD": ("api-server", "worker"),
        "AIRFLOW__CORE__FERNET_KEY_CMD": ("api-server", "scheduler", "dag-processor", "triggerer"),
    }.items():
        assert len({SERVICES[name].environment[option] for name in names}) == 1


def test_a_message_waits_longer_for_its_answer_than_any_training_lasts():
    option = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"
    for name in ("scheduler", "worker"):
        assert int(SERVICES[name].environment[option]) >= 7 * 24 * 3600


def test_model_files_cannot_be_written_and_no_folder_is_made_where_one_is_missing():
    for name in SERVICES:
        for mount in raw(name).get("volumes", ()):
            assert mount["type"] in {"bind", "volume"}
            if mount["type"] == "bind":
                assert mount["read_only"] is True
                assert mount["bind"] == {"create_host_path": False}
                assert (ROOT / mount["source"]).exists()
            else:
                assert mount["source"] in DOCUMENT["volumes"]


def test_it_refuses_to_start_before_secrets_are_made_and_says_what_to_run():
    with pytest.raises(KeyError, match=r"EVERGREEN_UID.*make compose-secrets"):
        services({})


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("${A:-b}", "b"),
        ("${EVERGREEN_UID:-b}", "1000"),
        ("$$HOME", "$HOME"),
        ("a${A}b", "ab"),
        ("${EVERGREEN_UID:?words}", "1000"),
    ],
)
def test_variables_are_read_as_compose_reads_them(text, read_as):
    assert interpolated(text, ENVIRON) == read_as
