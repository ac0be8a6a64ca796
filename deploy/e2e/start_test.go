package e2e_test

import (
	"testing"
	"time"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/events"
)

// TestDoesNotStart: a system that cannot start reports the reason, and soon.
func TestDoesNotStart(t *testing.T) {
	broker := env.NewBroker(t)
	broker.Stop()
	first := env.Start(t, env.Options{Pipelines: []string{tumours.Pipeline{Name: "first"}.Write(t)}})
	first.Local(t)
	for _, c := range []struct {
		name    string
		options env.Options
		words   []string
	}{
		{"BrokerUnreachable", env.Options{Broker: broker}, []string{"reach the NATS server at " + broker.URL(), "nats-server -js"}},
		{"FolderInUse", env.Options{Dir: first.Dir}, []string{"in use by another process", "choose another folder"}},
		{"NoPipelines", env.Options{Pipelines: []string{t.TempDir()}}, []string{"has no pipeline.yaml"}},
		{"BadPipeline", env.Options{Pipelines: []string{tumours.Pipeline{Name: "bad", Spec: map[string]string{"promote": "{strategy: sideways}"}}.Write(t)}},
			[]string{"pipeline.yaml", "promote", "sideways", "canary, direct"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			_, err := env.Try(t, c.options)
			if err == nil {
				t.Fatal("it started")
			}
			says(t, err.Error(), c.words...)
			t.Log(err)
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s to say so", took)
			}
		})
	}
	w := first.Watch(t, "first")
	first.Put(t, "first/data/a.parquet", tumours.Draw(t, 300, 1).Parquet(t))
	env.Await[events.ModelPromoted](t, w)
	first.Settle(t)
	sound(t, first)
}
