package gateway_test

import (
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/function/functiontest"
)

// TestReingest shows what there is to read again, and takes one request for it.
func TestReingest(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	config := r.State(t, "flights").Configured.Digest
	kept, err := r.Artifacts.PutBytes(functiontest.Context(t), []byte("a,b\n1,true\n"), ".csv")
	if err != nil {
		t.Fatal(err)
	}
	object := events.Object{Key: "flights/a.csv", Size: kept.Size}
	r.Announce(t, "flights", "gateway", events.ObjectUploaded{Object: object, Content: kept})
	r.Announce(t, "flights", "ingest", events.PartitionIngested{
		Object: object, Data: kept, Rows: 1, Fields: []events.Field{{Name: "a", Type: "float"}}, Content: kept.Digest, Config: config,
	})
	r.Announce(t, "flights", "validate", events.DatasetValidated{
		Snapshot: "sha256:2", Added: &events.DatasetPartition{Object: object, Data: kept, Rows: 1, Profile: kept}, Partitions: 1, Rows: 1, Manifest: kept, Profile: kept,
	})
	const path = "/api/pipelines/flights/reingest"
	if plan := decode[api.ReingestPlan](r.get(path).is(200)); plan.Files != 0 {
		t.Errorf("under the same contract: %+v", plan)
	}
	r.post(path, `{}`).is(409, "no kept upload")
	r.post(path, `{"stop": true}`).is(409, "no reingest of flights is under way")

	r.ConfigureYAML(t, strings.Replace(flights, "a: {type: float}", "a: {type: float, min: 0}", 1))
	if plan := decode[api.ReingestPlan](r.get(path).is(200)); plan.Files != 1 || plan.Bytes != kept.Size || plan.Uploads[0] != "flights/a.csv" {
		t.Errorf("plan %+v", plan)
	}
	if plan := decode[api.ReingestPlan](r.get(path + "?since=2999-01-01T00:00:00Z").is(200)); plan.Files != 0 {
		t.Errorf("since later: %+v", plan)
	}
	r.get(path+"?since=monday").is(400, "RFC 3339")
	if s := decode[api.Status](r.get("/api/status").is(200)).Pipelines[0]; s.Outdated != 1 || s.OutdatedUploads[0] != "flights/a.csv" || s.Reingest != nil {
		t.Errorf("status %+v", s)
	}
	asked := decode[api.Accepted](r.post(path, `{"by": "anna"}`).is(202))
	r.Announce(t, "flights", "ingest", events.ReingestProgressed{Reingest: asked.Event, Files: 1, Bytes: kept.Size, Left: 1})
	r.post(path, `{}`).is(409, "a reingest of flights is under way: 1 of 1 uploads are left")
	if s := decode[api.Status](r.get("/api/status").is(200)).Pipelines[0]; s.Reingest == nil || s.Reingest.Left != 1 {
		t.Errorf("status %+v", s.Reingest)
	}
	r.post(path, `{"stop": true}`).is(202)
}
