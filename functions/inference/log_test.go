package inference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// logged reads the whole prediction log of flights: the events, and the rows as text.
func (w *env) logged() (all []events.PredictionsLogged, rows []map[string]string) {
	w.t.Helper()
	for _, e := range w.Events(w.t, "flights", events.PredictionsLogged{}.EventType()) {
		d := functiontest.Data[events.PredictionsLogged](w.t, e)
		all = append(all, d)
		if d.Rows == 0 {
			continue
		}
		path, err := w.Artifacts.Path(w.t.Context(), d.Batch)
		must(w.t, err)
		r, err := table.Open(path, nil)
		must(w.t, err)
		for {
			b, err := r.Next(1000)
			if errors.Is(err, io.EOF) {
				break
			}
			must(w.t, err)
			for i := range b.Rows {
				row := map[string]string{}
				for k, c := range b.Schema {
					row[c.Name] = valueText(c.Type, &b.Columns[k], i)
				}
				rows = append(rows, row)
			}
		}
		must(w.t, r.Close())
	}
	return all, rows
}

func valueText(typ table.Type, v *table.Vector, i int) string {
	if v.Null(i) {
		return "null"
	}
	switch typ {
	case table.String:
		return v.Strings[i]
	case table.Float:
		return fmt.Sprint(v.Floats[i])
	case table.Bool:
		return fmt.Sprint(v.Bools[i])
	}
	return fmt.Sprint(v.Ints[i])
}

// traffic adds up what version 1 answered.
func traffic(all []events.PredictionsLogged) (sum events.VersionTraffic, dropped int64) {
	for _, d := range all {
		dropped += d.Dropped
		for _, v := range d.Versions {
			if v.Version == 1 {
				sum.Requests += v.Requests
				sum.Rows += v.Rows
				sum.Errors += v.Errors
			}
		}
	}
	return sum, dropped
}

func TestPredictionLog(t *testing.T) {
	w, g := servedFlights(t)
	before := time.Now()
	body := g.inferBody(t, 0, g.rows(), map[string]any{"id": "first"})
	a := w.ask("POST", "/v2/models/flights/infer", body)
	w.ask("POST", "/v2/models/flights/infer", []byte("{}")) // not the version's fault: no traffic
	w.ask("POST", "/v2/models/flights/versions/1/infer", g.inferBody(t, 0, 1, map[string]any{"id": "second"}))
	w.stop()

	all, rows := w.logged()
	if len(rows) != g.rows()+1 {
		t.Fatalf("%d rows are logged", len(rows))
	}
	missing := 0
	for i, row := range rows[:g.rows()] {
		for _, f := range g.Features {
			want := fmt.Sprint(g.Rows[f.Name][i])
			if g.Rows[f.Name][i] == nil {
				want = "null"
				missing++
			}
			if got := row[f.Name]; got != want {
				t.Errorf("row %d: %s is %s, want %s", i, f.Name, got, want)
			}
		}
		for name, want := range map[string]string{
			"request_id": "first", "row": fmt.Sprint(i), "version": "1", "route": "champion",
			"prediction": g.Labels[i],
		} {
			if row[name] != want {
				t.Errorf("row %d: %s is %s, want %s", i, name, row[name], want)
			}
		}
		var score float64
		if _, err := fmt.Sscan(row["score"], &score); err != nil || float32(score) != float32(a.Outputs[1].Data[2*i+1].(float64)) {
			t.Errorf("row %d: score is %s, want %v", i, row["score"], a.Outputs[1].Data[2*i+1])
		}
		var micros int64
		if _, err := fmt.Sscan(row["time"], &micros); err != nil || micros < before.UnixMicro() || micros > time.Now().UnixMicro() {
			t.Errorf("row %d: time is %s", i, row["time"])
		}
	}
	if missing == 0 {
		t.Error("no value was missing: the test shows less than it should")
	}
	if last := rows[g.rows()]; last["request_id"] != "second" || last["route"] != "pinned" {
		t.Errorf("the last row is %v", last)
	}
	sum, dropped := traffic(all)
	if sum.Requests != 2 || sum.Rows != int64(g.rows()+1) || sum.Errors != 0 || dropped != 0 {
		t.Errorf("traffic is %+v, %d dropped", sum, dropped)
	}
	if p := w.State(t, "flights").Predictions; p.Rows != int64(g.rows()+1) || len(p.Traffic) != 1 || p.Traffic[0].Requests != 2 {
		t.Errorf("the state says %+v", p)
	}
}

func TestCanaryTrafficIsEvidence(t *testing.T) {
	w, g := servedFlights(t)
	w.cfg.LogEvery = time.Hour
	w.canary("flights", w.register("flights", "logistic"), 50)
	w.until("the canary has answered 20 requests in the state", func() error {
		w.infer(g, 1)
		r := w.State(t, "flights").Rollout
		if r == nil || r.Requests < 20 || r.LatencyMs(0.95) <= 0 {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
}

func TestSampling(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, flights+"  serve: {log: {sample: 0}}\n")
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	g := goldenOf(t, "lightgbm")
	for range 5 {
		w.infer(g, 2)
	}
	w.stop()
	all, rows := w.logged()
	if sum, _ := traffic(all); len(rows) != 0 || sum.Requests != 5 || sum.Rows != 10 {
		t.Errorf("%d rows, traffic %+v", len(rows), sum)
	}
}

func TestBatchesOfManyRows(t *testing.T) {
	w := newWorld(t)
	w.cfg.LogRows, w.cfg.LogEvery = 100, time.Hour
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	g := goldenOf(t, "lightgbm")
	for range 20 {
		w.infer(g, 10)
	}
	w.until("two batches are announced", func() error {
		if all, rows := w.logged(); len(all) != 2 || len(rows) != 200 {
			return fmt.Errorf("%d batches of %d rows", len(all), len(rows))
		}
		return nil
	})
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.cfg.LogMemoryBytes, w.cfg.LogEvery = 5000, time.Hour
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	g := goldenOf(t, "lightgbm")
	for range 10 {
		if a := w.infer(g, 5); a.Code != 200 {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
	}
	w.stop()
	all, rows := w.logged()
	sum, dropped := traffic(all)
	if sum.Rows != 50 || len(rows) == 0 || dropped == 0 || int64(len(rows))+dropped != 50 {
		t.Errorf("%d rows are logged and %d dropped of %d", len(rows), dropped, sum.Rows)
	}
}

// TestLogIsAway answers while NATS cannot be reached, and keeps what it cannot emit.
func TestLogIsAway(t *testing.T) {
	w, g := servedFlights(t)
	w.infer(g, 1)
	w.until("the first batch is announced", func() error {
		if all, _ := w.logged(); len(all) == 0 {
			return errors.New("no batch")
		}
		return nil
	})
	w.Server.Conn().Close()
	for range 20 {
		if a := w.infer(g, 3); a.Code != 200 {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
	}
	dir := filepath.Join(w.f.deps.Dir, "pending")
	w.until("a batch waits on the disk", func() error {
		found, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range found {
			if strings.HasSuffix(e.Name(), ".json") {
				return nil
			}
		}
		return errors.New("none does")
	})
	if a := w.infer(g, 3); a.Code != 200 {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	w.web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	must(t, w.f.Stop(ctx)) // what it could not emit stays on the disk
	w.f = nil
}
