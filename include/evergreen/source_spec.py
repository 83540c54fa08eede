"""Where rows come from: the `source` sections of a model file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evergreen.section import Column, Section


def one_of(first: str, second: str) -> str:
    """Return what to say where exactly one of two keys must be given."""
    return f"give exactly one of {first!r} and {second!r}"


RelativePath = Annotated[str, Field(min_length=1, max_length=500)]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]


class SqlSource(Section):
    """Rows from a database. The query binds `:start` and `:end`."""

    type: Literal["sql"] = Field(description="This kind of source.", examples=["sql"])
    connection: ConnectionId | None = Field(
        None,
        description="Airflow connection id; outside Airflow AIRFLOW_CONN_<ID>.",
        examples=["warehouse"],
    )
    url: str | None = Field(
        None,
        description="SQLAlchemy URL without a password, for databases that need none.",
        examples=["sqlite:///data/flights.db"],
    )
    query: str | None = Field(
        None,
        description="One SELECT that binds :start and :end.",
        examples=["SELECT * FROM flights WHERE time_hour >= :start AND time_hour < :end"],
    )
    query_file: RelativePath | None = Field(
        None,
        description="The query in a file, relative to the model file's folder.",
        examples=["sql/flight_delay.sql"],
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> SqlSource:
        if (self.connection is None) == (self.url is None):
            raise ValueError(one_of("connection", "url"))
        if (self.query is None) == (self.query_file is None):
            raise ValueError(one_of("query", "query_file"))
        return self


class FilesSource(Section):
    """Rows from CSV or Parquet files, local or on object storage."""

    type: Literal["files"] = Field(description="This kind of source.", examples=["files"])
    paths: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field(
        min_length=1,
        description="Globs: paths relative to the model file's folder, or URLs such as s3://bucket/*.parquet.",
        examples=[["data/flights-*.parquet"]],
    )
    format: Literal["csv", "parquet"] = Field(
        description="How the files are written.", examples=["parquet"]
    )
    text: list[Column] = Field(
        default=[],
        description="CSV columns that are text whatever their values look like, such as codes.",
        examples=[["postcode"]],
    )
    connection: ConnectionId | None = Field(
        None, description="Airflow connection id for object storage.", examples=["aws_default"]
    )


Source = Annotated[SqlSource | FilesSource, Field(discriminator="type")]
