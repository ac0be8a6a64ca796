package state

import (
	"encoding/json"
	"testing"

	"millrace.dev/events"
)

func (f *told) sayAgain(id, original string, data events.Data) {
	f.t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		f.t.Fatal(err)
	}
	f.p = Apply(f.p, events.Envelope{Header: events.Header{
		ID: id, Type: data.EventType(), Pipeline: f.p.Name,
		Attributes: map[string]string{events.AttributeRetryOf: "d", events.AttributeOriginal: original},
	}, Data: b})
}

func TestSentAgainUpload(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	f.say("u1", uploaded)
	f.sayAgain("r1", "u1", uploaded)
	if o := f.p.Objects["k"]; o.Event != "r1" || o.Status != ObjectUploaded || f.p.Uploads != 1 {
		t.Errorf("after the retry: %+v, %d uploads", o, f.p.Uploads)
	}
	if o := f.say("i1<r1", ingestedAs("1")); o.Status != ObjectIngested {
		t.Errorf("what came of the retry: %+v", o)
	}
}

func TestSentAgainButSuperseded(t *testing.T) {
	t.Parallel()
	f := &told{t, New("p")}
	f.say("u1", uploaded)
	f.say("u2", uploaded)
	f.sayAgain("r1", "u1", uploaded)
	if o := f.p.Objects["k"]; o.Event != "u2" {
		t.Errorf("an old upload that was sent again took the place of a newer one: %+v", o)
	}
}

func TestSentAgainIsNoNewFact(t *testing.T) {
	t.Parallel()
	model := events.ModelRegistered{Name: "m"}
	f := &told{t, New("p")}
	f.say("m1", model)
	f.sayAgain("r1", "m1", model)
	if len(f.p.Models) != 1 || f.p.ModelByEvent("r1") == nil {
		t.Errorf("models: %+v", f.p.Models)
	}
	f.say("u1", uploaded)
	f.say("v1", validated("1"))
	f.say("v2", validated("2"))
	f.sayAgain("r2", "v1", validated("1"))
	if f.p.Dataset.Snapshot != "s2" || f.p.Dataset.Event != "v2" {
		t.Errorf("the dataset went back: %+v", f.p.Dataset)
	}
	f.sayAgain("r3", "v2", validated("2"))
	if f.p.Dataset.Snapshot != "s2" || f.p.Dataset.Event != "r3" || f.p.Dataset.NewPartitions != 2 {
		t.Errorf("after the retry: %+v", f.p.Dataset)
	}
}
