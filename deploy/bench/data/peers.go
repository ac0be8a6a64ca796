package main

// peer is another reader, as a Python script whose arguments are the file and
// where the table is written. Each is given the types, reads strictly, and
// writes Parquet compressed with zstd, as Millrace does.
type peer struct{ name, script string }

var peers = []peer{
	{"DuckDB", `
import sys, duckdb
path, out = sys.argv[1:]
wide = "c0" in open(path, "rb").read(200).decode("latin-1")
types = {f"c{i}": "DOUBLE" for i in range(5000)} if wide else dict(id="BIGINT", at="TIMESTAMP", carrier="VARCHAR", distance="BIGINT", delay="DOUBLE", late="BOOLEAN")
columns = "{" + ", ".join(f"'{k}': '{v}'" for k, v in types.items()) + "}"
src = {"csv": f"read_csv('{path}', header=true, columns={columns})", "sonl": f"read_json('{path}', format='newline_delimited', columns={columns})", "quet": f"read_parquet('{path}')"}[path[-4:].lstrip(".")]
duckdb.sql(f"COPY (SELECT * FROM {src}) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
`},
	{"polars", `
import sys, polars as pl
path, out = sys.argv[1:]
wide = "c0" in open(path, "rb").read(200).decode("latin-1")
schema = {f"c{i}": pl.Float64 for i in range(5000)} if wide else dict(id=pl.Int64, at=pl.Datetime, carrier=pl.String, distance=pl.Int64, delay=pl.Float64, late=pl.Boolean)
if path.endswith(".csv"):
    frame = pl.scan_csv(path, schema=schema)
elif path.endswith(".jsonl"):
    text = {k: pl.String if v == pl.Datetime else v for k, v in schema.items()}
    frame = pl.scan_ndjson(path, schema=text)
    frame = frame if wide else frame.with_columns(pl.col("at").str.to_datetime("%Y-%m-%d %H:%M:%S"))
else:
    frame = pl.scan_parquet(path)
frame.sink_parquet(out, compression="zstd")
`},
}
