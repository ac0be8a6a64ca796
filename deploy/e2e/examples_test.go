package e2e_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

// TestExamples runs the two small examples with their own data and trainers:
// one classification of three classes fed by JSON lines, one regression fed by
// CSV. Half of each study comes first; the other half is predicted, then
// uploaded, and the model of both is judged against the first.
func TestExamples(t *testing.T) {
	root, err := env.Root()
	must(t, err)
	examples := filepath.Join(root, "config", "examples")
	python := filepath.Join(examples, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatal("the trainers' Python environment is not there: run config/examples/setup.sh, or make examples")
	}
	data := t.TempDir()
	for _, name := range []string{"wine", "diabetes"} {
		cmd := exec.Command(python, filepath.Join(examples, name, "data.py"), "--out", data, "--parts", "2")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("data of %s: %v\n%s", name, err, out)
		}
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(data, name))
		must(t, err)
		return b
	}
	s := env.Start(t, env.Options{Pipelines: []string{filepath.Join(examples, "wine"), filepath.Join(examples, "diabetes")}})
	t.Run("Both", func(t *testing.T) {
		t.Run("wine", func(t *testing.T) {
			t.Parallel()
			s.Needs(t, "wine")
			wine(t, s, read("wine/wines-1.jsonl"), read("wine/wines-2.jsonl"))
		})
		t.Run("diabetes", func(t *testing.T) {
			t.Parallel()
			s.Needs(t, "diabetes")
			diabetes(t, s, read("diabetes/patients-1.csv"), read("diabetes/patients-2.csv"))
		})
	})
	s.Settle(t)
	sound(t, s)
}

func wine(t *testing.T, s *env.System, first, second []byte) {
	var rows []json.RawMessage
	var growers []string
	for line := range bytes.Lines(second) {
		var wine map[string]any
		must(t, json.Unmarshal(line, &wine))
		growers = append(growers, wine["grower"].(string)) //nolint:forcetypeassert // the study's own
		delete(wine, "grower")
		b, err := json.Marshal(wine)
		must(t, err)
		rows = append(rows, b)
	}
	twoUploads(t, s, "wine", "wine/wines-1.jsonl", "wine/wines-2.jsonl", first, second, rows, func(t *testing.T, p client.Predicted) {
		right := 0
		for i, answer := range p.Predictions {
			sum := 0.0
			for _, probability := range answer.Probabilities {
				sum += *probability
			}
			if len(answer.Probabilities) != 3 || math.Abs(sum-1) > 1e-4 {
				t.Errorf("wine %d: probabilities %v", i, answer.Probabilities)
			}
			if answer.Label == growers[i] {
				right++
			}
		}
		if n := len(p.Predictions); right < n*8/10 {
			t.Errorf("%d of %d wines are told right", right, n)
		}
	})
}

func diabetes(t *testing.T, s *env.System, first, second []byte) {
	table, err := csv.NewReader(bytes.NewReader(second)).ReadAll()
	must(t, err)
	names := map[string]string{"s1": "cholesterol", "s2": "ldl", "s3": "hdl", "s4": "cholesterol_ratio", "s5": "log_triglycerides", "s6": "glucose"}
	var rows []json.RawMessage
	var truth []float64
	for _, line := range table[1:] {
		patient := map[string]float64{}
		for i, text := range line {
			name, ok := names[table[0][i]]
			if !ok {
				name = table[0][i]
			}
			patient[name], err = strconv.ParseFloat(text, 64)
			must(t, err)
		}
		truth = append(truth, patient["target"])
		delete(patient, "target")
		delete(patient, "patient")
		b, err := json.Marshal(patient)
		must(t, err)
		rows = append(rows, b)
	}
	mean := 0.0
	for _, y := range truth {
		mean += y / float64(len(truth))
	}
	twoUploads(t, s, "diabetes", "diabetes/patients-1.csv", "diabetes/patients-2.csv", first, second, rows, func(t *testing.T, p client.Predicted) {
		model, constant := 0.0, 0.0
		for i, answer := range p.Predictions {
			value, err := answer.Value.Float64()
			must(t, err)
			model += (value - truth[i]) * (value - truth[i])
			constant += (mean - truth[i]) * (mean - truth[i])
		}
		if r2 := 1 - model/constant; r2 < 0.3 {
			t.Errorf("the predictions explain %.2f of how the disease progresses", r2)
		}
	})
}

// twoUploads brings an example from its first upload to its second model.
func twoUploads(t *testing.T, s *env.System, pipeline, firstKey, secondKey string, first, second []byte, unseen []json.RawMessage, plausible func(*testing.T, client.Predicted)) {
	t.Helper()
	w, c := s.Watch(t, pipeline), calls(s, pipeline)
	s.Put(t, firstKey, first)
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 1 })
	p := c.predict(t, unseen)
	if p.Version != 1 || p.Route != "champion" {
		t.Errorf("v%d answered by the route %s", p.Version, p.Route)
	}
	plausible(t, p)

	s.Put(t, secondKey, second)
	// Which of the two is better on so few rows is not ours to say; that both
	// were asked is.
	judged := w.Next(t, "verdict on v2", func(e events.Envelope) bool {
		return e.Type == events.ModelApproved{}.EventType() || e.Type == events.ModelRejected{}.EventType()
	})
	var verdict events.Evaluation
	must(t, json.Unmarshal(judged.Data, &verdict))
	if verdict.Version != 2 || verdict.Champion == nil || verdict.Champion.Version != 1 || len(verdict.Champion.Metrics) == 0 {
		t.Errorf("v2 was not judged beside v1: %s", judged.Data)
	}
	champion := 1
	if judged.Type == (events.ModelApproved{}).EventType() {
		champion = 2
		env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 && d.Previous == 1 })
	}
	t.Logf("%s", summary.Of(judged))
	if route := s.Pipeline(t, pipeline).Route; route.Champion != champion || route.Percent(champion) != 100 {
		t.Errorf("the route after the verdict: %+v", route)
	}
	c.logged(t, w.From())
}
