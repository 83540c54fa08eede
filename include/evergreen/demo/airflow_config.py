"""How the demo's Airflow is configured: airflow.cfg and one login, readable by this user only."""

from __future__ import annotations

import configparser
import json
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path

USER = "admin"


def _passwords(home: Path) -> Path:
    return home / "passwords.json"


def read_password(home: Path) -> str | None:
    """Return the login's password, or None where there is none yet."""
    try:
        password = json.loads(_passwords(home).read_text(encoding="utf-8"))[USER]
    except (OSError, ValueError, KeyError):
        return None
    return str(password)


def write_password(home: Path) -> str:
    """Return the login's password, made the first time and kept from then on."""
    password = read_password(home) or secrets.token_urlsafe(12)
    write_private(_passwords(home), json.dumps({USER: password}))
    return password


def write_config(home: Path, dags_folder: Path, port: int) -> None:
    """Write airflow.cfg, so that plain `airflow` commands with this AIRFLOW_HOME work as well."""
    path = home / "airflow.cfg"
    config = configparser.ConfigParser()
    with suppress(configparser.Error):
        config.read(path, encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    settings: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": dags_folder,
            "plugins_folder": home / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 2,
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": _passwords(home),
            "fernet_key": _kept(
                config, "core", "fernet_key", urlsafe_b64encode(secrets.token_bytes(32)).decode()
            ),
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "logging": {"base_log_folder": home / "logs" / "tasks"},
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "base_url": url,
            "workers": 1,
            "secret_key": _kept(config, "api", "secret_key", secrets.token_hex(32)),
        },
        "api_auth": {
            "jwt_secret": _kept(config, "api_auth", "jwt_secret", secrets.token_hex(32)),
        },
        "scheduler": {"scheduler_idle_sleep_time": 0.2},
        "dag_processor": {
            "min_file_process_interval": 5,
            "refresh_interval": 5,
            "parsing_processes": 1,
        },
        "usage_data_collection": {"enabled": False},
    }
    fresh = configparser.ConfigParser()
    for section, values in settings.items():
        fresh[section] = {key: str(value).replace("%", "%%") for key, value in values.items()}
    with private(path).open("w", encoding="utf-8") as file:
        fresh.write(file)


def _kept(config: configparser.ConfigParser, section: str, key: str, fresh: str) -> str:
    return config.get(section, key, fallback=fresh)


def private(path: Path) -> Path:
    """Make a file that only this user can read, and return its path."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read."""
    private(path).write_text(text, encoding="utf-8")
