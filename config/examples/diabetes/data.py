"""Write the diabetes study that scikit-learn ships as CSV.

    python data.py --out DIR             DIR/diabetes/patients.csv
    python data.py --out DIR --parts 2   DIR/diabetes/patients-1.csv, patients-2.csv

442 patients with ten measurements each and how far the disease had progressed
a year later (Efron, Hastie, Johnstone, Tibshirani: Least Angle Regression,
2004). The values are the measured ones, not scikit-learn's scaled ones.
"""

import argparse
import pathlib

from sklearn.datasets import load_diabetes


def main() -> None:
    parser = argparse.ArgumentParser(description="write the diabetes study as CSV")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    parser.add_argument("--parts", default=1, type=int, help="number of files")
    args = parser.parse_args()

    patients = load_diabetes(as_frame=True, scaled=False).frame
    patients.insert(0, "patient", range(1, len(patients) + 1))
    folder = args.out / "diabetes"
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(args.parts):
        rows = patients.iloc[part * len(patients) // args.parts : (part + 1) * len(patients) // args.parts]
        file = folder / ("patients.csv" if args.parts == 1 else f"patients-{part + 1}.csv")
        rows.to_csv(file, index=False)
        print(f"{file}: {len(rows)} rows")


if __name__ == "__main__":
    main()
