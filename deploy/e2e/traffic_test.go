package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/rig"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/functions/gateway"
)

// secondVersion waits for the champion v1 and brings an approved v2.
func secondVersion(t *testing.T, s *rig.System, w *rig.Watch) {
	t.Helper()
	rig.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 1 })
	_, err := s.Retrain(rig.Context(t), w.Pipeline(), events.TrainingRequested{Params: map[string]any{"model": tumours.Similar}})
	must(t, err)
	rig.Await(t, w, func(d events.ModelApproved) bool { return d.Version == 2 })
}

// caller asks one pipeline for predictions, and counts.
type caller struct {
	*rig.System
	pipeline string
	answered map[int]int // requests by version
	total    int64
}

func calls(s *rig.System, pipeline string) *caller {
	return &caller{System: s, pipeline: pipeline, answered: map[int]int{}}
}

// predict asks for predictions as soon as the pipeline is served: whoever
// serves follows the log by itself.
func (c *caller) predict(t *testing.T, rows []json.RawMessage) client.Predicted {
	t.Helper()
	ctx := rig.Context(t)
	for {
		p, err := c.Predict(ctx, c.pipeline, client.Ask{}, rows)
		var e *client.Error
		if errors.As(err, &e) && e.Status == http.StatusServiceUnavailable && ctx.Err() == nil {
			continue
		}
		must(t, err)
		c.answered[p.Version]++
		c.total++
		return p
	}
}

// served is the version that answers, once it is the champion's.
func (c *caller) served(t *testing.T) int {
	t.Helper()
	rows, version := tumours.Draw(t, 1, 99).Features(t, 0, 1), 0
	champion := c.Pipeline(t, c.pipeline).Route.Champion
	for ctx := rig.Context(t); version != champion && ctx.Err() == nil; {
		version = c.predict(t, rows).Version
	}
	return version
}

// traffic asks for so many rows a request, on and on. Every request must be
// answered. stop ends it.
func (c *caller) traffic(t *testing.T, rows int) (stop func()) {
	t.Helper()
	asked := tumours.Draw(t, rows, 5).Features(t, 0, rows)
	c.predict(t, asked) // it is served now
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-end:
				return
			case <-pace.C:
			}
			p, err := c.Predict(t.Context(), c.pipeline, client.Ask{}, asked)
			if err != nil {
				t.Errorf("a request to %s: %v", c.pipeline, err)
				return
			}
			c.answered[p.Version]++
			c.total++
		}
	})
	stop = sync.OnceFunc(func() { close(end); done.Wait() })
	t.Cleanup(stop)
	return stop
}

// logged waits until every request that was answered is in the prediction log.
func (c *caller) logged(t *testing.T, from uint64) {
	t.Helper()
	var n int64
	c.WatchFrom(t, c.pipeline, from).Next(t, "predictions.logged of all requests", func(e events.Envelope) bool {
		d, err := events.Decode[events.PredictionsLogged](e)
		if err != nil {
			return false // another type
		}
		for _, v := range d.Data.Versions {
			n += v.Requests
		}
		if n > c.total {
			t.Errorf("%s: %d requests are logged, %d were answered", c.pipeline, n, c.total)
		}
		return n >= c.total
	})
}

func share(weights []events.Weight, version int) float64 {
	i := slices.IndexFunc(weights, func(w events.Weight) bool { return w.Version == version })
	if i < 0 {
		return 0
	}
	return weights[i].Percent
}

// leadsTo tells whether an event of the type is among the causes.
func leadsTo(causes []*gateway.WhyNode, d events.Data) bool {
	return slices.ContainsFunc(causes, func(n *gateway.WhyNode) bool {
		return n.Type == d.EventType() || leadsTo(n.Causes, d)
	})
}

// refused fails the test unless the answer was a refusal in these words.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	var e *client.Error
	if !errors.As(err, &e) || e.Status/100 != 4 {
		t.Errorf("%v is no refusal", err)
		return
	}
	says(t, e.Error(), words...)
}

func line(request string, row int, size string, benign bool) string {
	return fmt.Sprintf("%s,%d,%s,%t\n", request, row, size, benign)
}
