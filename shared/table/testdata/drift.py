"""Reference values for the drift tests: writes drift.json beside this file.

    python -m venv /tmp/drift && /tmp/drift/bin/pip install numpy==2.* scipy==1.17.*
    /tmp/drift/bin/python testdata/drift.py

The samples come from a generator that drift_test.go repeats (SplitMix64), so
that the file holds results only. KS is scipy.stats.ks_2samp(method="asymp").
PSI is over NumPy's quantiles of the reference, with a cell of its own below its
least and above its greatest value; an empty share is 0.0001, or half a value.
Fisher's test is scipy.stats.fisher_exact, chi-squared chi2_contingency without
Yates's correction.
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
        "constant": u * 0 + 1,
        "scaled": u * 1000 - 300,
        "steps_skewed": np.floor(u * u * 9),
    }[kind]


def psi(ref, cur, bins):
    least, greatest = ref.min(), ref.max()
    edges = np.unique(np.r_[np.quantile(ref, np.arange(1, bins) / bins), greatest])

    def shares(x):
        inside = np.bincount(np.searchsorted(edges, x[x >= least], side="left"), minlength=len(edges) + 1)
        return np.r_[(x < least).sum(), inside] / len(x)

    r, c = shares(ref), shares(cur)
    some = (r > 0) | (c > 0)
    r, c = r[some], c[some]
    r = np.where(r == 0, max(1e-4, 0.5 / len(ref)), r)
    c = np.where(c == 0, max(1e-4, 0.5 / len(cur)), c)
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
    ("square", 11, 5, "uniform", 12, 7),
    ("constant", 1, 3, "constant", 2, 2),
    ("constant", 1, 1000, "steps", 2, 1000),
    ("scaled", 3, 2000, "scaled", 4, 500),
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
kolmogorov = [
    (n, d, float(stats.kstwo.sf(d, n)))
    for n in (1, 2, 3, 5, 10, 50, 140, 141, 500, 5000, 99_999, 2_000_000)
    for d in sorted({x / np.sqrt(n) for x in (0.3, 0.55, 0.8, 1.1, 1.4, 1.6, 2.0, 3.0, 6.0)} | {0.001, 0.1, 0.9})
    if d < 1
]
differ = []
for a, n, b, m in [(0, 10, 5, 12), (3, 400, 9, 300), (1, 999, 0, 0), (40, 400, 9, 300), (0, 100, 0, 100), (7, 5000, 60, 1000), (100, 1000, 100, 1000), (0, 900, 50, 90)]:
    two = np.array([[a, n - a], [b, m - b]])
    if 0 in two.sum(0) or 0 in two.sum(1):
        p = 1.0
    elif n + m < 1000:
        p = float(stats.fisher_exact(two).pvalue)
    else:
        p = float(stats.chi2_contingency(two, correction=False).pvalue)
    differ.append((a, n, b, m, p))
results = {
    "samples": results,
    "kolmogorov": kolmogorov,
    "differ": differ,
    "binomial": [(k, n, rate, float(stats.binom.sf(k - 1, n, rate))) for k, n, rate in [(0, 10, 0.1), (3, 1000, 1e-3), (50, 1000, 0.01), (1000, 100_000, 0.0099), (5, 5, 0.2)]],
}
path = pathlib.Path(__file__).with_name("drift.json")
path.write_text(json.dumps(results, indent=1) + "\n")
