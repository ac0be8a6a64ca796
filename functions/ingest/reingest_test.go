package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/ingest"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// typed is the contract with another type for the price.
func typed(price string) string {
	return strings.Replace(contract(""), "price: {type: float}", "price: {type: "+price+"}", 1)
}

// ask requests a reingest and returns its event.
func (r env) ask(d events.ReingestRequested) events.Envelope {
	r.t.Helper()
	return r.Announce(r.t, pipeline, "gateway", d)[0]
}

// TestReingest reads kept uploads again under a new contract, one a step, each
// step one commit, in the order in which they came.
func TestReingest(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, typed("float"))
	for _, key := range []string{"a", "b", "c"} {
		price := map[string]string{"a": "1", "b": "2", "c": "3.5"}[key]
		r.ingested(r.upload("shop/"+key+".csv", []byte("city,price,sold\nRome,"+price+",true\n")))
	}
	if why := r.nothing(r.ask(events.ReingestRequested{})); why != "no kept upload was read under an earlier contract" {
		t.Errorf("under the same contract: %q", why)
	}

	r.ConfigureYAML(t, typed("int"))
	configured := r.Events(t, pipeline, events.PipelineConfigured{}.EventType())
	if why := r.nothing(configured[len(configured)-1]); why != "3 uploads (86 B) read under an earlier contract; to read again: millrace reingest shop" {
		t.Errorf("configured: %q", why)
	}

	asked := r.ask(events.ReingestRequested{By: "anna"})
	step := r.handle(asked)[0]
	begun := functiontest.Data[events.ReingestProgressed](t, step)
	if begun.Files != 3 || begun.Bytes != 86 || begun.Left != 3 || begun.Reingest != asked.ID || begun.By != "anna" {
		t.Fatalf("begun %+v", begun)
	}
	if !r.State(t, pipeline).Reingesting() {
		t.Error("the state knows no reingest")
	}
	if why := r.nothing(r.ask(events.ReingestRequested{})); !strings.Contains(why, "is under way, with 3 uploads left") {
		t.Errorf("a second request: %q", why)
	}
	for i, key := range []string{"a", "b", "c"} {
		got := r.handle(step)
		if len(got) != 2 {
			t.Fatalf("step %d: %v", i, got)
		}
		next := functiontest.Data[events.ReingestProgressed](t, got[1])
		if next.Done != i+1 || next.Left != 2-i || next.Last != "shop/"+key+".csv" {
			t.Errorf("step %d: %+v", i, next)
		}
		// Delivered again, the same step changes nothing.
		if again := r.handle(step); len(again) != 2 || again[0].ID != got[0].ID {
			t.Errorf("step %d again: %v", i, again)
		}
		if key == "c" {
			no := functiontest.Data[events.PartitionRejected](t, got[0])
			if !strings.Contains(no.Problems[0].Reason, `"3.5" is not a whole number`) || next.Rejected != 1 || !strings.HasPrefix(next.Note, "rejected: ") {
				t.Errorf("c: %+v, %+v", no, next)
			}
		} else if in := functiontest.Data[events.PartitionIngested](t, got[0]); in.Fields[1].Type != "int" || in.Upload == "" {
			t.Errorf("step %d: %+v", i, in)
		}
		step = got[1]
	}
	if why := r.nothing(step); why != "the reingest has ended: 3 of 3 uploads read" {
		t.Errorf("at the end: %q", why)
	}
	p := r.State(t, pipeline)
	if p.Reingesting() || len(p.OutdatedUploads(p.Configured.Time.AddDate(-1, 0, 0))) != 0 {
		t.Errorf("left in the state: %+v", p.Reingest)
	}
	if o := r.object("shop/a.csv"); o.Status != state.ObjectIngested || o.Config != p.Configured.Digest {
		t.Errorf("a is %+v", o)
	}
	if o := r.object("shop/c.csv"); o.Status != state.ObjectRejected {
		t.Errorf("c is %+v", o)
	}
	ingested := r.Events(t, pipeline, events.PartitionIngested{}.EventType())
	if len(ingested) != 5 {
		t.Errorf("%d partitions were announced, want three and two", len(ingested))
	}
}

// TestReingestLetsUploadsGoFirst waits while a new upload is to be read.
func TestReingestLetsUploadsGoFirst(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, typed("float"))
	r.ingested(r.upload("shop/a.csv", []byte("city,price,sold\nRome,1,true\n")))
	r.ConfigureYAML(t, typed("int"))
	step := r.handle(r.ask(events.ReingestRequested{}))[0]
	fresh := r.upload("shop/new.csv", []byte("city,price,sold\nOslo,2,true\n"))
	out := r.Deliver(t, r.f, ingest.Name, step)
	if out.Err == nil || !strings.Contains(out.Err.Error(), "shop/new.csv is read first") {
		t.Fatalf("outcome %+v", out)
	}
	r.ingested(fresh)
	if got := r.handle(step); len(got) != 2 || got[0].Type != (events.PartitionIngested{}).EventType() {
		t.Errorf("after the new upload: %v", got)
	}
}

// TestReingestOfAReplacedUpload leaves alone what was uploaded anew, and what an
// older request wants.
func TestReingestOfAReplacedUpload(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, typed("float"))
	for i := range 2 {
		r.ingested(r.upload(fmt.Sprintf("shop/%d.csv", i), []byte("city,price,sold\nRome,1,true\n")))
	}
	r.ConfigureYAML(t, typed("int"))
	step := r.handle(r.ask(events.ReingestRequested{}))[0]
	r.ingested(r.upload("shop/0.csv", []byte("city,price,sold\nRome,7,true\n")))
	got := r.handle(step)
	if next := functiontest.Data[events.ReingestProgressed](t, got[1]); next.Last != "shop/1.csv" || next.Left != 0 {
		t.Errorf("got %+v", next)
	}

	// A stop ends it: the step that is on its way does nothing.
	r.ConfigureYAML(t, typed("float"))
	step = r.handle(r.ask(events.ReingestRequested{}))[0]
	stopped := only[events.ReingestProgressed](t, r.handle(r.ask(events.ReingestRequested{Stop: true, By: "anna"})))
	if stopped.Left != 0 || stopped.Note != "stopped with 2 uploads left by anna" {
		t.Errorf("stopped %+v", stopped)
	}
	if why := r.nothing(step); !strings.Contains(why, "stopped") {
		t.Errorf("the step: %q", why)
	}
}
