"""Write the wine study that scikit-learn ships as JSON lines.

    python data.py --out DIR             DIR/wine/wines.jsonl
    python data.py --out DIR --parts 2   DIR/wine/wines-1.jsonl, wines-2.jsonl

178 wines of three growers in Piedmont with thirteen chemical measurements each
(Forina and others; UCI machine learning repository, 1991). The study has them
by grower; here they are mixed, the same way every time.
"""

import argparse
import pathlib

from sklearn.datasets import load_wine


def main() -> None:
    parser = argparse.ArgumentParser(description="write the wine study as JSON lines")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    parser.add_argument("--parts", default=1, type=int, help="number of files")
    args = parser.parse_args()

    study = load_wine(as_frame=True)
    wines = study.data.rename(columns={"od280/od315_of_diluted_wines": "od280_od315"})
    wines = wines.astype({"magnesium": int, "proline": int})
    wines["grower"] = [f"grower-{target + 1}" for target in study.target]
    wines = wines.sample(frac=1, random_state=1)
    folder = args.out / "wine"
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(args.parts):
        rows = wines.iloc[part * len(wines) // args.parts : (part + 1) * len(wines) // args.parts]
        file = folder / ("wines.jsonl" if args.parts == 1 else f"wines-{part + 1}.jsonl")
        rows.to_json(file, orient="records", lines=True)
        print(f"{file}: {len(rows)} rows")


if __name__ == "__main__":
    main()
