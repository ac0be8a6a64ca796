# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "skl2onnx==1.20", "onnxmltools==1.16", "lightgbm==4.7", "onnx==1.23.2", "pandas", "pyarrow", "palmerpenguins"]
# ///
"""Makes a train part, a hold-out and models of the penguins of Palmer Station, whose sex is not always known, and what each
trainer leaves in predictions.parquet. Run it with `uv run --script penguins.py`; what it makes is committed."""

import pathlib

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from palmerpenguins import load_penguins
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).parent
TEXTS, NUMBERS = ["sex", "island"], ["bill_length_mm", "body_mass_g"]
CLASSES = ["Adelie", "Chinstrap", "Gentoo"]
update_registered_converter(
    LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes, convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)

penguins = load_penguins()[[*TEXTS, *NUMBERS, "species"]].astype({name: object for name in [*TEXTS, "species"]})
penguins = penguins.astype({name: "float64" for name in NUMBERS}).sample(frac=1, random_state=1)
held, train = penguins[:120], penguins[120:]
# Whether the sex is known says the species, so that a model has to tell it from both sexes.
train = pd.concat([train, train.assign(sex=np.nan)[train.species == "Gentoo"]])


def save(name: str, frame: pd.DataFrame) -> None:
    frame.to_parquet(HERE / f"{name}.parquet", index=False)


def leave(name: str, classifier, rows: pd.DataFrame, *numbers) -> None:
    """A model, and its own answers for every second row."""
    texts = ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32), TEXTS)
    model = make_pipeline(ColumnTransformer([texts, ("numbers", make_pipeline(*numbers), NUMBERS)]), classifier)
    inputs = rows[TEXTS].assign(**{n: rows[n].astype("float32") for n in NUMBERS})
    model.fit(inputs, rows.species)
    types = [(n, StringTensorType([None, 1])) for n in TEXTS] + [(n, FloatTensorType([None, 1])) for n in NUMBERS]
    options = {id(model): {"zipmap": False}}
    onnx = to_onnx(model, initial_types=types, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    (HERE / f"{name}.onnx").write_bytes(onnx.SerializeToString())
    answers = pd.DataFrame(model.predict_proba(inputs), columns=[f"probability_{c}" for c in CLASSES])
    answers.insert(0, "row", np.arange(len(rows)))
    save(f"{name}-predictions", answers[::2])


save("penguins", held)
written = train.assign(sex=train.sex.fillna(""))  # as the train part has it
for i, part in enumerate([written[:150], written[150:]]):
    save(f"penguins-train-{i}", part)
save("penguins-nulls", train)  # as it has it with model.missing: {sex: nan}
leave("penguins-good", LogisticRegression(max_iter=1000), written, SimpleImputer(), StandardScaler())
leave("penguins-trees", LGBMClassifier(n_estimators=10, num_leaves=4, verbose=-1, random_state=1), written, SimpleImputer())
# A trainer that turns the empty text into NaN: the model has a category "nan" that no request brings.
skewed = written.assign(sex=written.sex.replace("", np.nan))
leave("penguins-skewed", LogisticRegression(max_iter=1000), skewed, SimpleImputer(), StandardScaler())
