package validate_test

import (
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
)

// tick ticks for the freshness of the dataset at a time.
func (r env) tick(at time.Time) events.Envelope {
	r.t.Helper()
	return r.Announce(r.t, pipeline, "gateway", events.ScheduleTicked{
		Schedule: "freshness", Action: "freshness", Due: at.UTC().Format(time.RFC3339Nano), Pipeline: pipeline,
	})[0]
}

func (r env) late() bool { return r.State(r.t, pipeline).Dataset.Late != nil }

func TestLateOncePerLateness(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract("expect: {every: 1d, late: 26h}"))
	now := time.Now()
	overdue := func(at time.Time) bool { return r.State(t, pipeline).Overdue(at) }

	// Before the first data, from the configuration on.
	if overdue(now.Add(25*time.Hour)) || !overdue(now.Add(27*time.Hour)) {
		t.Error("without data it is not due after 26 h")
	}
	if why := r.nothing(r.tick(now.Add(25 * time.Hour))); !strings.Contains(why, "data is due at") {
		t.Errorf("reason %q", why)
	}
	d := one[events.DatasetLate](t, r.handle(r.tick(now.Add(27*time.Hour))))
	if d.Reason != "no upload has joined the dataset since the pipeline was configured 1d3h ago; one is expected every 1d" || d.Last != "" {
		t.Errorf("got %+v", d)
	}
	if !r.late() || overdue(now.Add(28*time.Hour)) {
		t.Error("it is due although it was announced")
	}
	e := r.tick(now.Add(28 * time.Hour))
	if why := r.nothing(e); !strings.Contains(why, "announced at") {
		t.Errorf("reason %q", why)
	}
	if o := r.Deliver(t, r.function(), "validate", e); !o.Duplicate {
		t.Errorf("second delivery: %+v", o)
	}

	// What is rejected does not end it.
	r.rejected(r.ingest("shop/a", shop(sale{"Rome", -1, true})))
	if !r.late() {
		t.Error("a rejected upload has ended the lateness")
	}
	r.validated(r.ingest("shop/b", shop(good)))
	if r.late() || overdue(now.Add(25*time.Hour)) || !overdue(now.Add(27*time.Hour)) {
		t.Error("data has arrived, and the dataset is late")
	}
	r.rejected(r.ingest("shop/c", shop(sale{"Rome", -1, true})))
	d = one[events.DatasetLate](t, r.handle(r.tick(now.Add(29*time.Hour))))
	if !strings.HasPrefix(d.Reason, "no upload has joined the dataset for 1d5h; one is expected every 1d; the newest, shop/c, is rejected: ") || d.Last == "" {
		t.Errorf("got %+v", d)
	}
	// A removal brings no data, a new expectation is emitted again.
	r.validated(r.remove("shop/b"))
	if !r.late() {
		t.Error("a removal has ended the lateness")
	}
	r.ConfigureYAML(t, contract("expect: {every: 2d}"))
	if r.late() || !overdue(now.Add(49*time.Hour)) {
		t.Error("the new expectation does not hold")
	}
	r.ConfigureYAML(t, contract(""))
	if why := r.nothing(r.tick(now.Add(1000 * time.Hour))); !strings.Contains(why, "no data is expected") {
		t.Errorf("reason %q", why)
	}
}
