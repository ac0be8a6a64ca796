package eventlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// written is a log with commits of all kinds: origins, handlings,
// batches, guarded nouns, an event from outside; more than one import batch.
func written(t testing.TB) *eventlog.Log {
	t.Helper()
	l := open(t)
	appendOne(t, l, eventlog.Commit{Pipeline: "other", Function: "gateway", Cause: events.Cause("x"), Data: []events.Data{uploaded("other/1")}})
	var guard uint64
	for i := range 200 {
		e := appendOne(t, l, origin(fmt.Sprint(i), uploaded(fmt.Sprintf("flights/%d", i)))).Events[0]
		c := handling(e, "evaluate", request(1), request(2), request(3))
		if i%50 == 7 {
			c = handling(e, "promote", rollout(i), request(1))
			c.Guards = []eventlog.Guard{{Noun: "rollout", Sequence: guard}}
		}
		a := appendOne(t, l, c)
		if i%50 == 7 {
			guard = a.Events[len(a.Events)-1].Sequence
		}
	}
	foreign := events.Envelope{Header: events.Header{ID: "7", Source: "/shop", Type: "com.example.order", Pipeline: "flights", Attributes: map[string]string{"colour": "blue"}}, Data: json.RawMessage(`{ "a": "<b>" }`)}
	if _, err := l.AppendForeign(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	return l
}

func history(t testing.TB, l *eventlog.Log) []eventlog.Recorded {
	t.Helper()
	var out []eventlog.Recorded
	for r, err := range l.History(t.Context(), "flights") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func of(rs []eventlog.Recorded) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		for _, r := range rs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// comparable is all of an event that a history keeps.
func comparable(rs []eventlog.Recorded) (out []string) {
	for _, r := range rs {
		r.Sequence = 0
		delete(r.Attributes, events.AttributeRecordedTime)
		b, _ := json.Marshal(r.Envelope)
		out = append(out, fmt.Sprintf("%s %d %d %s", r.Place, r.Index, r.More, b))
	}
	return out
}

func TestImport(t *testing.T) {
	t.Parallel()
	from, to := written(t), open(t)
	want := history(t, from)
	if len(want) < 700 {
		t.Fatalf("only %d events", len(want))
	}
	done, err := to.Import(t.Context(), "flights", of(want))
	if err != nil || done.Events != len(want) || done.New != len(want) {
		t.Fatalf("%+v, %v", done, err)
	}
	got := history(t, to)
	if !slices.Equal(comparable(got), comparable(want)) {
		t.Error("the imported history is another one")
	}
	for _, r := range history(t, to) {
		if !r.Imported() {
			t.Fatalf("%s is not marked as imported", r.ID)
		}
	}
	t.Run("again changes nothing", func(t *testing.T) {
		before, _ := to.Last(t.Context())
		for _, l := range []*eventlog.Log{to, from} {
			if done, err := l.Import(t.Context(), "flights", of(history(t, from))); err != nil || done.New != 0 || done.Events != len(want) {
				t.Errorf("%+v, %v", done, err)
			}
		}
		if after, _ := to.Last(t.Context()); after != before {
			t.Errorf("the log went from %d to %d", before, after)
		}
	})
	t.Run("a handling that was imported is a duplicate", func(t *testing.T) {
		if a := appendOne(t, to, handling(got[0].Envelope, "evaluate", request(9))); !a.Duplicate {
			t.Errorf("%+v", a)
		}
	})
	t.Run("continues where it broke off, and not where something else came", func(t *testing.T) {
		l, some := open(t), 400
		for want[some-1].More > 0 {
			some++
		}
		if _, err := l.Import(t.Context(), "flights", of(want[:some])); err != nil {
			t.Fatal(err)
		}
		if done, err := l.Import(t.Context(), "flights", of(want)); err != nil || done.New != len(want)-some {
			t.Fatalf("%+v, %v", done, err)
		}
		appendOne(t, l, origin("more", uploaded("flights/more")))
		if done, err := l.Import(t.Context(), "flights", of(want)); err != nil || done.New != 0 {
			t.Errorf("a longer history here: %+v, %v", done, err)
		}
		other := open(t)
		appendOne(t, other, origin("mine", uploaded("flights/mine")))
		if _, err := other.Import(t.Context(), "flights", of(want)); !errors.Is(err, eventlog.ErrOtherHistory) {
			t.Errorf("over another history: %v", err)
		}
	})
	t.Run("nothing is appended to what happened here", func(t *testing.T) {
		l := open(t)
		appendOne(t, l, origin("mine", uploaded("flights/mine")))
		mine := history(t, l)
		if _, err := l.Import(t.Context(), "flights", of(append(mine, want...))); !errors.Is(err, eventlog.ErrLives) {
			t.Errorf("behind a pipeline that lives here: %v", err)
		}
		if got := history(t, l); len(got) != len(mine) {
			t.Errorf("%d events were appended", len(got)-len(mine))
		}
	})
	t.Run("somebody writes meanwhile", func(t *testing.T) {
		l := open(t)
		disturbed := func(yield func(eventlog.Recorded, error) bool) {
			for i, r := range want {
				if i == 600 {
					appendOne(t, l, origin("mine", uploaded("flights/mine")))
				}
				if !yield(r, nil) {
					return
				}
			}
		}
		if _, err := l.Import(t.Context(), "flights", disturbed); !errors.Is(err, eventlog.ErrMoved) {
			t.Errorf("%v", err)
		}
	})
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	from := written(t)
	for name, tt := range map[string]struct {
		change func([]eventlog.Recorded) []eventlog.Recorded
		says   string
	}{
		"another pipeline": {func(rs []eventlog.Recorded) []eventlog.Recorded { rs[0].Pipeline = "other"; return rs }, "belongs to the pipeline other"},
		"an invalid place": {func(rs []eventlog.Recorded) []eventlog.Recorded {
			rs[0].Place = "events.flights.>"
			return rs
		}, "not a place in the log"},
		"a dot in a token": {func(rs []eventlog.Recorded) []eventlog.Recorded {
			rs[0].Place = strings.Replace(rs[0].Place, ".gateway.", ".gate.way.", 1)
			return rs
		}, "not a place in the log"},
		"another type": {func(rs []eventlog.Recorded) []eventlog.Recorded {
			rs[0].Type = events.ModelApproved{}.EventType()
			return rs
		}, "does not belong at"},
		"another id": {func(rs []eventlog.Recorded) []eventlog.Recorded { rs[0].ID = "x"; return rs }, "has been changed"},
		"no time":    {func(rs []eventlog.Recorded) []eventlog.Recorded { rs[0].Time = time.Time{}; return rs }, "recordedtime is missing"},
		"no JSON":    {func(rs []eventlog.Recorded) []eventlog.Recorded { rs[0].Data = []byte("{"); return rs }, "not JSON"},
		"half a commit": {func(rs []eventlog.Recorded) []eventlog.Recorded {
			return rs[:slices.IndexFunc(rs, func(r eventlog.Recorded) bool { return r.More > 0 })+1]
		}, "ends within a commit"},
		"a commit without its beginning": {func(rs []eventlog.Recorded) []eventlog.Recorded {
			i := slices.IndexFunc(rs, func(r eventlog.Recorded) bool { return r.More > 0 })
			return slices.Delete(rs, i, i+1)
		}, "number 2 of a commit"},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			_, err := l.Import(t.Context(), "flights", of(tt.change(history(t, from))))
			if !errors.Is(err, eventlog.ErrBadHistory) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want it to say %q", err, tt.says)
			}
		})
	}
}

func BenchmarkImport(b *testing.B) {
	from := written(b)
	want := history(b, from)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		to := open(b)
		b.StartTimer()
		if _, err := to.Import(b.Context(), "flights", of(want)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(want)*b.N)/b.Elapsed().Seconds(), "events/s")
}
