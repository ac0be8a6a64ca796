package trainlauncher_test

import (
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
)

// TestPartitionsOfAnEarlierContract refuses to train on partitions whose columns
// are not those of the contract, and says how to read them again.
func TestPartitionsOfAnEarlierContract(t *testing.T) {
	t.Parallel()
	s := newEnv(t, "exit 1", options{})
	s.upload(0, 60)
	s.upload(60, 60)
	s.ConfigureYAML(t, strings.Replace(yaml(options{}), "hour: {type: int}", "hour: {type: float}\n      wind: {type: float}", 1), [2]string{"train.sh", "exit 1"})
	s.run()
	s.request(events.TrainingRequested{By: "anna"})
	got := await(s, func(d events.TrainingSkipped) bool { return d.Trigger == "request" }).Data
	const want = `the partition of flights/0.parquet was read under an earlier contract: column "hour" is int, and has to be float; it has no column "wind" (2 of 2 partitions in the training data); read the kept uploads again under this contract: millrace reingest flights`
	if got.Reason != want {
		t.Errorf("got  %s\nwant %s", got.Reason, want)
	}
}

// TestWarnsOfAnEarlierContract trains on partitions with the right columns that
// were read under other rules, and names them.
func TestWarnsOfAnEarlierContract(t *testing.T) {
	t.Parallel()
	s := newEnv(t, "exit 1", options{})
	s.upload(0, 60)
	s.Announce(t, "flights", "gateway", events.ObjectUploaded{Object: s.snapshot[0].Object, Content: s.snapshot[0].Data})
	s.Announce(t, "flights", "ingest", events.PartitionIngested{
		Object: s.snapshot[0].Object, Data: s.snapshot[0].Data, Rows: 60, Fields: []events.Field{{Name: "hour", Type: "int"}},
		Content: "sha256:1", Config: s.State(t, "flights").Configured.Digest,
	})
	s.upload(60, 60)
	s.ConfigureYAML(t, strings.Replace(yaml(options{}), "hour: {type: int}", "hour: {type: int, max: 23}", 1), [2]string{"train.sh", "exit 1"})
	s.run()
	s.request(events.TrainingRequested{})
	start := await(s, func(d events.TrainingStarted) bool { return d.Trigger == "request" }).Data
	i := slices.IndexFunc(start.Warnings, func(p events.Problem) bool { return p.Check == "contract" })
	const want = "1 of 2 partitions read under an earlier contract: flights/0.parquet; to read again: millrace reingest flights"
	if i < 0 || start.Warnings[i].Reason != want || start.Warnings[i].Count != 60 {
		t.Errorf("warnings %+v", start.Warnings)
	}
}
