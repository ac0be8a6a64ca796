package state

import (
	"encoding/json"
	"strings"
	"testing"

	"millrace.dev/events"
)

// told folds events, each with the id and the cause it is given as "id<cause".
type told struct {
	t *testing.T
	p *Pipeline
}

func (f *told) say(id string, data events.Data) *Object {
	f.t.Helper()
	id, cause, _ := strings.Cut(id, "<")
	b, err := json.Marshal(data)
	if err != nil {
		f.t.Fatal(err)
	}
	f.p = Apply(f.p, events.Envelope{
		Header: events.Header{ID: id, CausationID: cause, Type: data.EventType(), Pipeline: f.p.Name}, Data: b,
	})
	return f.p.Objects["k"]
}

func ref(digit string) events.Ref {
	return events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat(digit, 64), Size: 1}
}

var (
	object   = events.Object{Key: "k"}
	uploaded = events.ObjectUploaded{Object: object, Content: ref("0")}
)

func ingestedAs(partition string) events.PartitionIngested {
	return events.PartitionIngested{Object: object, Data: ref(partition), Rows: 1, Content: "c" + partition, Config: "conf"}
}

func validated(partition string) events.DatasetValidated {
	return events.DatasetValidated{
		Snapshot: "s" + partition, Added: &events.DatasetPartition{Object: object, Data: ref(partition), Rows: 1}, Partitions: 1, Rows: 1,
	}
}

func TestObjectIsWhatCameOfItsNewestUpload(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	f.say("u1", uploaded)
	f.say("u2", uploaded)
	if o := f.say("i1<u1", ingestedAs("1")); o.Status != ObjectUploaded || o.Partition != "" {
		t.Errorf("after the partition of a superseded upload: %+v", o)
	}
	if o := f.say("i2<u2", ingestedAs("2")); o.Status != ObjectIngested || o.Partition != ref("2").Digest || o.Config != "conf" {
		t.Errorf("after the partition of the newest upload: %+v", o)
	}
	if o := f.say("v2<i2", validated("2")); o.Status != ObjectValid {
		t.Errorf("after validation: %+v", o)
	}
}

func TestObjectUploadedAgainWithTheSameBytes(t *testing.T) {
	t.Parallel()
	same := func(upload string) events.EventHandled {
		return events.EventHandled{Event: upload, Type: uploaded.EventType(), Function: "ingest", Reason: "same bytes"}
	}
	t.Run("after validation", func(t *testing.T) {
		f := &told{t, New("p")}
		f.say("u1", uploaded)
		f.say("i1<u1", ingestedAs("1"))
		f.say("v1<i1", validated("1"))
		if o := f.say("u2", uploaded); o.Status != ObjectUploaded || o.Before != ObjectValid {
			t.Errorf("after the second upload: %+v", o)
		}
		if o := f.say("h2<u2", same("u2")); o.Status != ObjectValid || o.Before != "" {
			t.Errorf("after nothing was done about it: %+v", o)
		}
	})
	t.Run("during validation", func(t *testing.T) {
		f := &told{t, New("p")}
		f.say("u1", uploaded)
		f.say("i1<u1", ingestedAs("1"))
		f.say("u2", uploaded)
		f.say("v1<i1", validated("1"))
		if o := f.say("h2<u2", same("u2")); o.Status != ObjectValid {
			t.Errorf("got %+v", o)
		}
	})
}

func TestObjectRemoved(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	f.say("u1", uploaded)
	f.say("i1<u1", ingestedAs("1"))
	if o := f.say("r1", events.ObjectRemoved{Object: object}); o.Status != ObjectRemoved || o.Content != "" || o.Partition == "" {
		t.Errorf("after the removal: %+v", o)
	}
	if o := f.say("v1<i1", validated("1")); o.Status != ObjectRemoved || o.Before != ObjectValid {
		t.Errorf("after a validation that came too late: %+v", o)
	}
	f.say("u2", uploaded)
	if o := f.say("i2<u2", ingestedAs("1")); o.Status != ObjectValid {
		t.Errorf("after the same partition came back while it is still in the dataset: %+v", o)
	}
}

func TestRemovalTellsObjectsWithEqualRowsApart(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	twin := validated("1")
	twin.Added = &events.DatasetPartition{Object: events.Object{Key: "twin"}, Data: ref("1"), Rows: 1}
	f.say("v1", validated("1"))
	f.say("v2", twin)
	f.say("v3", events.DatasetValidated{Snapshot: "s", Removed: ref("1").Digest, RemovedObject: "k"})
	if f.p.Dataset.Partition("k") != nil || f.p.Dataset.Partition("twin") == nil {
		t.Errorf("partitions left: %+v", f.p.Dataset.Partitions)
	}
}

func TestRejectionOfTheNewestUploadLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	f.say("u1", uploaded)
	f.say("i1<u1", ingestedAs("1"))
	f.say("u2", uploaded)
	o := f.say("x2<u2", events.PartitionRejected{Object: object, Stage: "ingest", Content: "bad", Problems: []events.Problem{{Reason: "no"}}})
	if o.Status != ObjectRejected || o.Reason != "no" {
		t.Errorf("after the rejection: %+v", o)
	}
	if o := f.say("v1<i1", validated("1")); o.Status != ObjectRejected || f.p.Dataset.Partition("k") == nil {
		t.Errorf("after the earlier partition was validated: %+v", o)
	}
}

// What a store notified late stays late when a sweep, which knows no sequencer, has
// been there in between.
func TestLateNotificationAfterASweep(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	at := func(sequencer string) events.Object { return events.Object{Key: "k", Sequencer: sequencer} }
	f.say("u5", events.ObjectUploaded{Object: at("5"), Content: ref("0")})
	f.say("sweep", events.ObjectUploaded{Object: at(""), Content: ref("1")})
	if o := f.say("r4", events.ObjectRemoved{Object: at("4")}); o.Event != "sweep" || o.Status != ObjectUploaded {
		t.Errorf("after a removal from before: %+v", o)
	}
	if o := f.say("r6", events.ObjectRemoved{Object: at("6")}); o.Event != "r6" || o.Status != ObjectRemoved {
		t.Errorf("after a removal from after: %+v", o)
	}
}
