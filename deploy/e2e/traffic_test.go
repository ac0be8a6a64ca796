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

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// secondVersion waits for the champion v1 and brings an approved v2.
func secondVersion(t *testing.T, s *env.System, w *env.Watch) {
	t.Helper()
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 1 })
	_, err := s.Retrain(env.Context(t), w.Pipeline(), events.TrainingRequested{Params: map[string]any{"model": tumours.Similar}})
	must(t, err)
	env.Await(t, w, func(d events.ModelApproved) bool { return d.Version == 2 })
}

// caller asks one pipeline for predictions, and counts.
type caller struct {
	ask client.Ask // how each request asks
	*env.System
	pipeline string
	answered map[int]int // requests by version
	total    int64
}

func calls(s *env.System, pipeline string) *caller {
	return &caller{System: s, pipeline: pipeline, answered: map[int]int{}}
}

// predict asks for predictions as soon as the pipeline is served: inference
// follows the log on its own.
func (c *caller) predict(t *testing.T, rows []json.RawMessage) client.Predicted {
	t.Helper()
	ctx := env.Context(t)
	for {
		p, err := c.Predict(ctx, c.pipeline, c.ask, rows)
		if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusServiceUnavailable && ctx.Err() == nil {
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
	for ctx := env.Context(t); version != champion && ctx.Err() == nil; {
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
			p, err := c.Predict(t.Context(), c.pipeline, c.ask, asked)
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

// leadsTo reports whether an event of the type is among the causes.
func leadsTo(causes []*api.WhyNode, d events.Data) bool {
	return slices.ContainsFunc(causes, func(n *api.WhyNode) bool {
		return n.Type == d.EventType() || leadsTo(n.Causes, d)
	})
}

// refused fails the test unless the answer was a refusal in these words.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Status/100 != 4 {
		t.Errorf("%v is not a refusal", err)
		return
	}
	says(t, e.Error(), words...)
}

func line(request string, row int, size string, benign bool) string {
	return fmt.Sprintf("%s,%d,%s,%t\n", request, row, size, benign)
}
