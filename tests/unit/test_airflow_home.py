"""Starting and ending processes, tried on small ones."""

import configparser
import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from evergreen.demo import airflow_config, airflow_home
from evergreen.demo.airflow_home import TOKEN_VARIABLE, find_airflow, log_tail, stop_airflow
from evergreen.errors import BadConfiguration

# Starts a grandchild in a session of its own, says both ids, then sleeps.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start():
    """Start Python code in a process with a token; whatever is left is ended afterwards."""
    started = []

    def start(code, token):
        env = {**os.environ, TOKEN_VARIABLE: token}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        return process, process.stdout.readline().split()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def remember(home, token, **pids):
    home.mkdir(parents=True, exist_ok=True)
    state = {"url": "http://127.0.0.1:1", "token": token, "pids": pids}
    (home / "running.json").write_text(json.dumps(state))


def runs(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_stop_ends_a_child_that_left_its_session_and_lost_its_parent(tmp_path, start):
    parent, ids = start(FAMILY, "token-of-family")
    child = int(ids[1])
    remember(tmp_path, "token-of-family", scheduler=parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert runs(child)
    assert stop_airflow(tmp_path) == 1
    assert not runs(child)
    assert not (tmp_path / "running.json").exists()


def test_stop_insists_where_a_process_does_not_listen(tmp_path, start):
    process, _ = start(STUBBORN, "token-of-stubborn")
    remember(tmp_path, "token-of-stubborn", scheduler=process.pid)
    assert stop_airflow(tmp_path, grace_seconds=0.1) == 1
    assert not runs(process.pid)


def test_stop_spares_a_stranger_that_got_the_process_id(tmp_path, start):
    stranger, _ = start(FAMILY, "another-token")
    remember(tmp_path, "token-of-ours", scheduler=stranger.pid)
    assert find_airflow(tmp_path) is None
    assert stop_airflow(tmp_path) == 0
    assert stranger.poll() is None
    psutil.Process(stranger.pid).children()[0].kill()


def test_stop_where_nothing_ran_does_nothing(tmp_path):
    assert stop_airflow(tmp_path / "never") == 0


def test_a_damaged_state_file_counts_as_none(tmp_path):
    (tmp_path / "running.json").write_text("{")
    assert find_airflow(tmp_path) is None
    assert stop_airflow(tmp_path) == 0


def test_a_taken_port_gives_a_free_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = airflow_home._free_port(port)
    assert other != port
    assert other > 0


def test_a_second_start_keeps_secrets_and_password_and_takes_the_new_port(tmp_path):
    def settings():
        config = configparser.ConfigParser()
        config.read(tmp_path / "airflow.cfg")
        return config

    airflow_config.write_config(tmp_path, tmp_path / "50%dags", 8080)
    password = airflow_config.write_password(tmp_path)
    first = settings()
    airflow_config.write_config(tmp_path, tmp_path / "50%dags", 8081)
    second = settings()
    assert first["core"]["dags_folder"] == str(tmp_path / "50%dags")
    assert second["api"]["port"] == "8081"
    for section, key in (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret")):
        assert len(first[section][key]) >= 32
        assert first[section][key] == second[section][key]
    assert airflow_config.write_password(tmp_path) == password
    for name in ("airflow.cfg", "passwords.json"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_settings_of_the_callers_own_airflow_are_not_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("EVERGREEN_LEDGER", "postgresql://production")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://production")
    env = airflow_home._environment(tmp_path, "token", {"EVERGREEN_HOME": "here"})
    ours = {key for key in env if key.startswith(("AIRFLOW", "EVERGREEN", "MLFLOW"))}
    assert ours == {"AIRFLOW_HOME", "EVERGREEN_HOME", "MLFLOW_DISABLE_TELEMETRY", TOKEN_VARIABLE}


def test_a_component_that_ends_is_told_with_the_end_of_its_log(tmp_path, start):
    process, _ = start("print('up')", "token-of-ended")
    process.wait()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "scheduler.log").write_text("first\nno such table: job\n")
    airflow = airflow_home.RunningAirflow(
        tmp_path, "http://127.0.0.1:1", "", "t", {"scheduler": process.pid}
    )
    with pytest.raises(BadConfiguration, match="scheduler has ended") as raised:
        airflow.check()
    assert "no such table: job" in str(raised.value)


def test_the_password_and_the_token_are_not_printed(tmp_path):
    airflow = airflow_home.RunningAirflow(
        tmp_path, "http://127.0.0.1:1", "secret-word", "secret-token", {}
    )
    assert "secret" not in repr(airflow)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("\n".join(map(str, range(100))))
    assert log_tail(path, lines=2) == "98\n99"
    assert "No such file" in log_tail(tmp_path / "none.log")
