#!/usr/bin/env python3
"""Prepares what the services stand on, once at each start: databases, their users, tables and buckets.

Everything is found or made, so it may be repeated and is how an upgrade migrates. Each database has a
user of its own that may not enter the others; passwords are set to those of the secret files, so a
changed file takes effect with the next start.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

log = logging.getLogger("init")

DATABASES = ("airflow", "celery", "mlflow", "ledger")
BUCKETS = ("evergreen", "mlflow")


def secret(folder: Path, name: str) -> str:
    """Return what a secret file holds.

    Raises:
        SystemExit: it is missing or empty.
    """
    path = folder / name
    text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not text:
        raise SystemExit(f"the secret file {path} is missing or empty: run 'make compose-secrets'")
    return text


def make_databases(admin: str, folder: Path) -> None:
    """Make each database with its user, and keep the other users out.

    Args:
        admin: libpq URL of a superuser, without its password.
        folder: Of the secret files: `postgres_password`, and NAME_pgpass for each database.
    """
    with psycopg.connect(admin, password=secret(folder, "postgres_password"), autocommit=True) as server:
        for name in DATABASES:
            password = secret(folder, f"{name}_pgpass").rpartition(":")[2]
            # Hashed here, so that no log of the server ever holds it.
            hashed = server.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
            user = sql.Identifier(name)
            if not _found(server, "SELECT FROM pg_roles WHERE rolname = %s", name):
                server.execute(sql.SQL("CREATE ROLE {}").format(user))
            server.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(user, sql.Literal(hashed.decode()))
            )
            if not _found(server, "SELECT FROM pg_database WHERE datname = %s", name):
                server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(user, user))
            server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(user))


def _found(server: psycopg.Connection, query: str, name: str) -> bool:
    return server.execute(query, (name,)).rowcount > 0


def migrate(environ: Mapping[str, str]) -> None:
    """Bring the tables of Airflow, MLflow and the ledger to this version.

    MLflow's server makes its tables in an empty database by itself; only old ones are migrated here.
    """
    from sqlalchemy import create_engine, inspect

    from evergreen.ledger import open_ledger
    from evergreen.settings import Settings

    subprocess.run(["airflow", "db", "migrate"], check=True)  # noqa: S607 - the image's own PATH
    tracking = environ["MLFLOW_BACKEND_STORE_URI"]
    engine = create_engine(tracking)
    if inspect(engine).has_table("alembic_version"):
        subprocess.run(["mlflow", "db", "upgrade", tracking], check=True)  # noqa: S603, S607
    engine.dispose()
    settings = Settings.from_environment(environ)
    open_ledger(settings.ledger_url, settings.lease_seconds).close()


def make_buckets(endpoint: str) -> None:
    """Make the buckets that are missing."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in there:
            client.create_bucket(Bucket=name)


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Prepare everything, in the order in which it is needed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(environ["SECRETS"])
    for path in sorted(folder.iterdir()):
        secret(folder, path.name)
    make_databases(environ["POSTGRES_ADMIN"], folder)
    log.info("databases are there: %s", ", ".join(DATABASES))
    make_buckets(environ["MLFLOW_S3_ENDPOINT_URL"])
    log.info("buckets are there: %s", ", ".join(BUCKETS))
    migrate(environ)
    log.info("tables are those of this version")


if __name__ == "__main__":
    main()
