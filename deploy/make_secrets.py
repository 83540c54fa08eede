#!/usr/bin/env python3
"""Makes the secret files that docker-compose.yaml names, with random values: `make compose-secrets`.

A file that is there already is left as it is, so this may be repeated; to change a secret, delete its
file and run it again (docs/how-to/run-with-compose.md says what to restart). Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy" / "secrets"
ENVIRONMENT = ROOT / ".env"
UID = "EVERGREEN_UID"
AIRFLOW_UID = 50000
"""Whom the image runs as by itself; taken where this is run by root, as which nothing shall run."""


def _password() -> str:
    return secrets.token_urlsafe(24)


def _pgpass(name: str) -> str:
    """Return a line of libpq's password file: the user of a database is called like the database."""
    return f"*:*:{name}:{name}:{_password()}"


def _made() -> dict[str, str]:
    """Return one set of values by file name. Those of one server and its clients belong together."""
    broker, admin, notes = _password(), _password(), _password()
    key, secret = secrets.token_hex(10), _password()
    connections = {
        "evergreen_store": {
            "conn_type": "aws",
            "login": key,
            "password": secret,
            "extra": {"endpoint_url": "http://store:7070", "region_name": "us-east-1"},
        },
        "smtp_default": {
            "conn_type": "smtp",
            "host": "mail",
            "port": 1025,
            "extra": {
                "disable_ssl": True,
                "disable_tls": True,
                "from_email": "evergreen@example.com",
            },
        },
        "this_airflow": {
            "conn_type": "http",
            "host": "api-server",
            "port": 8080,
            "login": "evergreen",
            "password": notes,
        },
    }
    return {
        "postgres_password": _password(),
        **{f"{name}_pgpass": _pgpass(name) for name in ("airflow", "celery", "mlflow", "ledger")},
        "redis.conf": f"requirepass {broker}",
        "broker_url": f"redis://:{broker}@redis:6379/0",
        "store_root": f"ROOT_ACCESS_KEY_ID={key}\nROOT_SECRET_ACCESS_KEY={secret}\n",
        "store_credentials": f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n",
        "connections.json": json.dumps(connections, indent=2),
        "airflow_passwords.json": json.dumps({"admin": admin, "evergreen": notes}),
        "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_hex(32),
        "api_secret_key": secrets.token_hex(32),
    }


TOGETHER = (
    {"redis.conf", "broker_url"},
    {"store_root", "store_credentials", "connections.json", "airflow_passwords.json"},
)
"""Files that hold the same secret: where one is missing, all are made anew."""


def make(folder: Path, say: Callable[[str], None] = print) -> None:
    """Make every secret file that is missing or empty in `folder`, readable by their owner only.

    Raises:
        SystemExit: some files of a group are there and others are not.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = _made()
    missing = [name for name in made if not _holds_something(folder / name)]
    for group in TOGETHER:
        if group & {*missing} and not group <= {*missing}:
            gone, kept = (", ".join(sorted(names)) for names in (group & {*missing}, group - {*missing}))
            raise SystemExit(
                f"{folder}: {gone} is missing or empty and holds the same secret as {kept}. "
                "Put it back from your backup, or delete those too and run this again."
            )
    for name in missing:
        path = folder / name
        path.touch()
        path.chmod(0o600)
        path.write_text(made[name], encoding="utf-8")
    say(f"{folder}: {len(missing)} made, {len(made) - len(missing)} kept")


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def name_user(environment: Path, uid: int) -> None:
    """Write into compose's `.env` as whom the containers run, unless it says so already."""
    text = environment.read_text(encoding="utf-8") if environment.is_file() else ""
    if not any(line.startswith(f"{UID}=") for line in text.splitlines()):
        separator = "" if not text or text.endswith("\n") else "\n"
        environment.write_text(f"{text}{separator}{UID}={uid}\n", encoding="utf-8")


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Make the files, and hand them to the user that reads them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--env-file", type=Path, default=ENVIRONMENT)
    arguments = parser.parse_args()
    uid = int(environ.get(UID) or os.getuid() or AIRFLOW_UID)
    make(arguments.folder)
    name_user(arguments.env_file, uid)
    if os.getuid() == 0:
        for path in (arguments.folder, *arguments.folder.iterdir()):
            shutil.chown(path, uid)


if __name__ == "__main__":
    main()
