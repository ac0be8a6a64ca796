package gateway_test

import (
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/function/functiontest"
)

// TestSetAside lists uploads with rows that were set aside, and gives the rows.
func TestSetAside(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	r.get("/api/set-aside?pipeline=flights").is(200, "[]")
	const row = `{"record":2,"line":3,"text":"x,true","faults":[{"column":"a","value":"x","reason":"is not a number"}]}` + "\n"
	left, err := r.Artifacts.PutBytes(functiontest.Context(t), []byte(row), ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	object := events.Object{Bucket: "s3://landing", Key: "flights/a.csv"}
	r.Announce(t, "flights", "gateway", events.ObjectUploaded{Object: object})
	data := events.Ref{URL: "sha256/aa/" + left.Digest[7:] + ".parquet", Digest: left.Digest, Size: 1}
	r.Announce(t, "flights", "ingest", events.PartitionIngested{
		Object: object, Data: data, Rows: 9, Fields: []events.Field{{Name: "a", Type: "float"}}, Content: "sha256:1",
		SetAside: events.SetAside{Rows: 1, Data: left},
	})
	r.Announce(t, "flights", "validate", events.DatasetValidated{
		Snapshot: "sha256:2", Added: &events.DatasetPartition{Object: object, Data: data, Rows: 9, Profile: data}, Partitions: 1, Rows: 9, Manifest: data, Profile: data,
	})
	rows := decode[[]api.SetAsideRow](r.get("/api/set-aside").is(200))
	if len(rows) != 1 || rows[0].Upload != "s3://landing/flights/a.csv" || rows[0].Rows != 1 || rows[0].Bytes != int64(len(row)) {
		t.Errorf("rows %+v", rows)
	}
	if got := r.get("/api/pipelines/flights/set-aside?upload=s3://landing/flights/a.csv").is(200); string(got.body) != row {
		t.Errorf("got %s", got.body)
	}
	if s := decode[api.Status](r.get("/api/status").is(200)); s.Pipelines[0].SetAside != 1 || s.Pipelines[0].SetAsideUploads != 1 {
		t.Errorf("status %+v", s.Pipelines[0])
	}
	if ds := decode[[]api.DatasetRow](r.get("/api/datasets").is(200)); ds[0].SetAside != 1 {
		t.Errorf("datasets %+v", ds)
	}
	r.get("/api/pipelines/flights/set-aside?upload=flights/b.csv").is(404, "no upload")
}
