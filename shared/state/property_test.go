package state_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

func encode(t testing.TB, p *state.Pipeline) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, b []byte) *state.Pipeline {
	t.Helper()
	p := new(state.Pipeline)
	if err := json.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func fold(p *state.Pipeline, log []events.Envelope) *state.Pipeline {
	for _, e := range log {
		p = state.Apply(p, e)
	}
	return p
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s:\n%s\nis not\n%s", what, got, want)
	}
}

// TestApplyOverRandomLogs folds many random logs.
func TestApplyOverRandomLogs(t *testing.T) {
	t.Parallel()
	configs := specs(t)
	for seed := range uint64(12) {
		log := newRandomLog(seed, configs).draw(130)
		for _, name := range pipelines {
			mine := slices.DeleteFunc(slices.Clone(log), func(e events.Envelope) bool { return e.Pipeline != name })
			var states []*state.Pipeline
			var codes [][]byte
			for p, i := state.New(name), 0; ; i++ {
				states, codes = append(states, p), append(codes, encode(t, p))
				if i == len(log) {
					break
				}
				next := state.Apply(p, log[i])
				// Another future of the same state must not show in this one.
				state.Apply(p, log[(i*37+11)%len(log)])
				p = next
			}
			last := codes[len(codes)-1]
			// A state that was handed out stays as it was, whatever is folded onto it.
			for i, p := range states {
				if !bytes.Equal(encode(t, p), codes[i]) {
					t.Fatalf("seed %d, %s: the state after %d events was changed by a later one", seed, name, i)
				}
			}
			same(t, "the same log again", encode(t, fold(state.New(name), log)), last)
			same(t, "without the other pipelines", encode(t, fold(state.New(name), mine)), last)
			same(t, "without what is not known", encode(t, fold(state.New(name), slices.DeleteFunc(slices.Clone(log), unknown))), last)
			same(t, "with fields of later versions", encode(t, fold(state.New(name), later(log))), last)
			for i := range codes {
				if i%7 == int(seed)%7 {
					same(t, "from a state that was written and read", encode(t, fold(decode(t, codes[i]), log[i:])), last)
				}
			}
		}
	}
}

func unknown(e events.Envelope) bool { _, ok := events.Lookup(e.Type); return !ok }

func later(log []events.Envelope) []events.Envelope {
	log = slices.Clone(log)
	for i := range log {
		log[i].Data = withLaterFields(log[i].Data)
	}
	return log
}

// FuzzApply folds one event, of whatever data, onto states of random logs.
func FuzzApply(f *testing.F) {
	goldens, err := filepath.Glob(filepath.Join("..", "..", "events", "testdata", "*", "full.json"))
	if err != nil || len(goldens) == 0 {
		f.Fatal("there are no events to begin with", err)
	}
	for i, path := range goldens {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var e events.Envelope
		if err := json.Unmarshal(b, &e); err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), e.Type, []byte(e.Data), "e1", "")
		f.Add(uint8(i), e.Type, []byte(e.Data), "e1", "e2")
	}
	var states []*state.Pipeline
	for seed := range uint64(8) {
		states = append(states, fold(state.New(pipelines[0]), newRandomLog(seed, specs(f)).draw(80)))
	}
	f.Fuzz(func(t *testing.T, which uint8, kind string, data []byte, cause, original string) {
		p := states[int(which)%len(states)]
		e := events.Envelope{Header: events.Header{ID: "new", Type: kind, Pipeline: p.Name, CausationID: cause, Time: epoch}, Data: data}
		if original != "" {
			e.Attributes = map[string]string{events.AttributeRetryOf: "d", events.AttributeOriginal: original}
		}
		before := encode(t, p)
		next := state.Apply(p, e)
		after := encode(t, next)
		if !bytes.Equal(encode(t, p), before) {
			t.Fatal("the state that was given has changed")
		}
		same(t, "folded again", encode(t, state.Apply(p, e)), after)
		same(t, "onto what was written and read", encode(t, state.Apply(decode(t, before), e)), after)
		same(t, "written and read", encode(t, decode(t, after)), after)
	})
}
