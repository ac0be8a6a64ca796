package gateway_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// moment is the state after a whole commit, folded event by event.
type moment struct {
	last  uint64
	time  time.Time
	state *state.Pipeline
}

// moments folds the log by itself: one state for each commit.
func moments(t *testing.T, r env) []moment {
	t.Helper()
	p := state.New("flights")
	out := []moment{{state: p}}
	for e, err := range r.Log.Recorded(t.Context(), eventlog.Filter{Pipeline: "flights"}) {
		if err != nil {
			t.Fatal(err)
		}
		if p = state.Apply(p, e.Envelope); e.More == 0 {
			out = append(out, moment{e.Sequence, e.Time, p})
		}
	}
	return out
}

// at is the newest moment that ok accepts.
func at(all []moment, ok func(moment) bool) moment {
	found := all[0]
	for _, m := range all {
		if ok(m) {
			found = m
		}
	}
	return found
}

// The past is the fold of the whole commits up to then, whatever is asked: a
// sequence within a commit, one of another pipeline, any time.
func TestEveryMomentOfThePast(t *testing.T) {
	t.Parallel()
	r := lived(t)
	all := moments(t, r)
	last, err := r.Log.Last(t.Context())
	if err != nil || len(all) >= int(last) {
		t.Fatalf("%d commits in a log of %d events has no commit of several: %v", len(all), last, err)
	}
	same := func(query string, want moment) {
		t.Helper()
		if want.state.Config == nil {
			r.get("/api/pipelines/flights?"+query).is(404, "not there yet")
			return
		}
		p := decode[state.Pipeline](r.get("/api/pipelines/flights?" + query).is(200))
		got, err1 := p.Encode()
		b, err2 := want.state.Encode()
		if err1 != nil || err2 != nil || string(got) != string(b) {
			t.Errorf("%s: %v, %v\n%s\nwant\n%s", query, err1, err2, got, b)
		}
		query = "pipeline=flights&" + query
		if rows := decode[[]api.ModelRow](r.get("/api/models?" + query).is(200)); len(rows) != len(want.state.Models) {
			t.Errorf("models?%s: %+v", query, rows)
		}
		if rows := decode[[]api.RunRow](r.get("/api/runs?" + query).is(200)); len(rows) != len(want.state.Runs) {
			t.Errorf("runs?%s: %+v", query, rows)
		}
		if rows := decode[[]api.DatasetRow](r.get("/api/datasets?" + query).is(200)); len(rows) != len(want.state.Dataset.Snapshots) {
			t.Errorf("datasets?%s: %+v", query, rows)
		}
		rows := decode[[]api.RouteRow](r.get("/api/routes?" + query).is(200))
		if a, b := fmt.Sprint(rows[0].Champion, rows[0].Weights), fmt.Sprint(want.state.Route.Champion, want.state.Route.Weights); a != b {
			t.Errorf("routes?%s: %s, want %s", query, a, b)
		}
	}
	for seq := uint64(1); seq <= last+1; seq++ {
		same(fmt.Sprintf("seq=%d", seq), at(all, func(m moment) bool { return m.last <= seq }))
	}
	for _, m := range all[1:] {
		for _, point := range []time.Time{m.time, m.time.Add(-time.Nanosecond), m.time.Add(time.Nanosecond)} {
			same("at="+point.Format(time.RFC3339Nano), at(all, func(m moment) bool { return !m.time.After(point) }))
		}
	}
	var names []struct{ Pipeline string }
	if err := json.Unmarshal(r.get("/api/routes?seq=1").body, &names); err != nil || len(names) != 1 {
		t.Errorf("at the first event one pipeline was configured: %+v, %v", names, err)
	}
}
