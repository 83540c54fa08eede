"""The throw-away PostgreSQL is real, and each test has an empty database of its own."""

import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.integration.postgres import start_postgres

pytestmark = pytest.mark.needs_postgres


def test_a_test_gets_an_empty_database_it_can_write_to(postgres_database):
    engine = create_engine(postgres_database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE only_here (id bigint)"))
        tables = connection.execute(
            text("SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'")
        ).scalar_one()
    engine.dispose()
    assert tables == 1


def test_the_server_ends_with_its_files_and_refuses_a_wrong_password(postgres_url):
    with start_postgres() as server:
        wrong = server.url.set(drivername="postgresql", password="wrong").render_as_string(False)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    assert server.process.returncode == 0
    assert not server.folder.exists()
