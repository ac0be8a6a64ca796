"""Reference values for the drift tests: writes drift.json beside this file.

    python -m venv /tmp/drift && /tmp/drift/bin/pip install numpy==2.* scipy==1.17.*
    /tmp/drift/bin/python testdata/drift.py

The samples come from a generator that drift_test.go repeats (SplitMix64), so
that the file holds results only. KS is scipy.stats.ks_2samp(method="asymp").
PSI is the formula of Evidently (empty bins are 0.0001) over NumPy's quantiles of
the reference, with open outer bins.
"""

import json
import math
import pathlib

import numpy as np
from scipy import stats

MASK = (1 << 64) - 1


def uniforms(seed, n):
    out, x = [], seed
    for _ in range(n):
        x = (x + 0x9E3779B97F4A7C15) & MASK
        z = x
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append(((z ^ (z >> 31)) >> 11) / (1 << 53))
    return np.array(out)


def sample(kind, seed, n):
    u = uniforms(seed, n)
    return {
        "uniform": u,
        "shifted": u + 0.1,
        "square": u * u,
        "steps": np.floor(u * 7),
        "steps_skewed": np.floor(u * u * 9),
    }[kind]


def psi(ref, cur, bins):
    edges = np.unique(np.quantile(ref, [i / bins for i in range(1, bins)]))
    edges = edges[edges < ref.max()]
    r = np.bincount(np.searchsorted(edges, ref, side="left"), minlength=len(edges) + 1) / len(ref)
    c = np.bincount(np.searchsorted(edges, cur, side="left"), minlength=len(edges) + 1) / len(cur)
    r, c = np.where(r == 0, 1e-4, r), np.where(c == 0, 1e-4, c)
    return float(np.sum((c - r) * np.log(c / r)))


def psi_values(ref, cur):
    total = 0.0
    for v in sorted(set(ref) | set(cur)):
        r, c = np.mean(ref == v) or 1e-4, np.mean(cur == v) or 1e-4
        total += (c - r) * math.log(c / r)
    return float(total)


CASES = [
    ("uniform", 1, 1000, "uniform", 2, 1000),
    ("uniform", 1, 1000, "shifted", 2, 800),
    ("uniform", 1, 5000, "square", 3, 700),
    ("uniform", 1, 300, "uniform", 7, 90),
    ("uniform", 1, 20000, "uniform", 9, 15000),
    ("steps", 4, 2000, "steps_skewed", 5, 3000),
    ("steps", 4, 2000, "steps", 6, 2500),
    ("square", 11, 40, "square", 12, 60),
]

results = []
for ref_kind, ref_seed, ref_n, cur_kind, cur_seed, cur_n in CASES:
    ref, cur = sample(ref_kind, ref_seed, ref_n), sample(cur_kind, cur_seed, cur_n)
    ks = stats.ks_2samp(ref, cur, method="asymp")
    results.append({
        "ref": {"kind": ref_kind, "seed": ref_seed, "n": ref_n},
        "cur": {"kind": cur_kind, "seed": cur_seed, "n": cur_n},
        "ks": float(ks.statistic),
        "p": float(ks.pvalue),
        "psi10": psi(ref, cur, 10),
        "psi5": psi(ref, cur, 5),
        "psi_values": psi_values(ref, cur) if ref_kind.startswith("steps") else None,
    })
path = pathlib.Path(__file__).with_name("drift.json")
path.write_text(json.dumps(results, indent=1) + "\n")
