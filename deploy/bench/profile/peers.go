package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// peer is another tool that measures a table, as a Python script whose argument
// is the file. Each computes about what a profile has: count, nulls, least,
// greatest, mean, deviation, quantiles, distinct and frequent values.
type peer struct{ name, script string }

var peers = []peer{
	{"DuckDB SUMMARIZE", `
import sys, duckdb
duckdb.sql(f"SUMMARIZE FROM '{sys.argv[1]}'").fetchall()
`},
	{"polars", `
import sys, polars as pl
f = pl.scan_parquet(sys.argv[1])
names = f.collect_schema()
q = []
for n, t in names.items():
    c = pl.col(n)
    q += [c.count().alias(n + "#"), c.null_count().alias(n + "0"), c.min().alias(n + "<"), c.max().alias(n + ">"), c.n_unique().alias(n + "d")]
    if t.is_numeric():
        q += [c.mean().alias(n + "m"), c.std().alias(n + "s")] + [c.quantile(p).alias(f"{n}{p}") for p in (.01, .05, .25, .5, .75, .95, .99)]
f.select(q).collect()
pl.collect_all([f.group_by(n).len().top_k(20, by="len") for n in names])
`},
	{"pandas", `
import sys, pandas as pd
d = pd.read_parquet(sys.argv[1])
d.describe(include="all", percentiles=[.01, .05, .25, .5, .75, .95, .99])
d.nunique()
for n in d: d[n].value_counts().head(20)
`},
	{"pandera (polars), checks only", `
import sys, polars as pl, pandera.polars as pa
d = pl.read_parquet(sys.argv[1])
C, K = pa.Column, pa.Check
r = lambda a, b, null=False: C(int, K.in_range(a, b), nullable=null)
columns = dict(year=r(2013, 2013), month=r(1, 12), day=r(1, 31), dep_time=r(0, 2400, True), sched_dep_time=r(0, 2400), dep_delay=r(-100, 2000, True),
    arr_time=r(0, 2400, True), sched_arr_time=r(0, 2400), arr_delay=r(-100, 2000, True),
    carrier=C(str, K.isin("9E AA AS B6 DL EV F9 FL HA MQ OO UA US VX WN YV".split())), flight=r(1, 9999), tailnum=C(str, nullable=True),
    origin=C(str, K.isin(["EWR", "JFK", "LGA"])), dest=C(str), air_time=r(0, 1000, True), distance=r(0, 6000), hour=r(0, 23), minute=r(0, 59))
unique = ["carrier", "flight", "origin", "time_hour"] + (["copy"] if "copy" in d.columns else [])
pa.DataFrameSchema(columns, unique=unique).validate(d, lazy=True)
`},
}

// peerPackages are what the peers need.
var peerPackages = []string{"duckdb", "polars", "pandas", "pyarrow", "pandera[polars]"}

// python returns an interpreter that has the peers, and installs them once.
func (b *bench) python(ctx context.Context) (string, error) {
	venv := filepath.Join(b.dir, "peers")
	python := filepath.Join(venv, "bin", "python")
	if exec.CommandContext(ctx, python, "-c", "import duckdb, polars, pandas, pyarrow, pandera.polars").Run() == nil {
		return python, nil
	}
	if err := os.RemoveAll(venv); err != nil {
		return "", err
	}
	if err := run(ctx, "python3", "-m", "venv", venv); err != nil {
		return "", err
	}
	return python, run(ctx, python, append([]string{"-m", "pip", "install", "--quiet"}, peerPackages...)...)
}
