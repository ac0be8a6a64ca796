package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/env"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/state"
)

// TestReingestKilled changes the type of a column and reads the kept uploads
// again, while the program is killed before and after appends, and between an
// artifact and its event. Each upload is read again once.
func TestReingestKilled(t *testing.T) {
	program := env.BuildWith(t, "-tags", "failpoints")
	folder := t.TempDir()
	configure := func(price string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(folder, "pipeline.yaml"), fmt.Appendf(nil, `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: again}
spec:
  data:
    uploads: ["again/*"]
    columns: {city: {type: string}, price: {type: %s}}
  model: {task: regression, label: price, features: [city]}
`, price), 0o600))
	}
	o := env.Options{Dir: t.TempDir(), Pipelines: []string{folder}}
	// killed runs the program until it reaches a point, which may be before it is up.
	killed := func(point string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, "up", "--listen", "127.0.0.1:0", "--dir", o.Dir, "--pipelines", folder)
		cmd.Env = append(os.Environ(), "MILLRACE_FAILPOINT="+point)
		if err := cmd.Run(); ctx.Err() != nil || err == nil || err.Error() != "signal: killed" {
			t.Fatalf("the program was not killed at %s: %v", point, err)
		}
	}

	const uploads = 6
	configure("float")
	p := env.Launch(t, program, o)
	var promised []string
	for i := range uploads {
		promised = append(promised, p.Put(t, fmt.Sprintf("again/%d.csv", i), fmt.Appendf(nil, "city,price\nRome,%d\n", i+1)).Event)
	}
	p.Settle(t)
	p.Stop(t)

	configure("int")
	p = env.Launch(t, program, o)
	p.Settle(t)
	var before api.Status
	must(t, p.Get(env.Context(t), &before, nil, "api/status"))
	if s := before.Pipelines[0]; s.Outdated != uploads || len(s.OutdatedUploads) != uploads {
		t.Errorf("status %+v", s)
	}
	p.Ask(t, http.MethodPost, "/api/pipelines/again/reingest", strings.NewReader(`{"by": "anna"}`), "Idempotency-Key", "once")
	p.Kill(t)
	for _, point := range []string{"append.before:2", "artifact.before:1", "artifact.after:1", "append.after:1"} {
		killed(point)
	}
	p = env.Launch(t, program, o)
	w := p.WatchFrom(t, "again", 1)
	read := map[string]int{}
	w.Next(t, "end of the reingest", func(e events.Envelope) bool {
		if d, err := events.Decode[events.PartitionIngested](e); err == nil && d.Data.Upload != "" {
			read[d.Data.Upload]++
		}
		d, err := events.Decode[events.ReingestProgressed](e)
		return err == nil && d.Data.Left == 0
	})
	p.Settle(t)

	known := p.Pipeline(t, "again")
	if r := known.Reingest; r.Done != uploads || r.Rejected != 0 {
		t.Errorf("the reingest: %+v", r.ReingestProgressed)
	}
	if old := known.Outdated(); len(old) != 0 || len(known.Dataset.Partitions) != uploads {
		t.Errorf("%d of %d partitions are of the earlier contract", len(old), len(known.Dataset.Partitions))
	}
	for name, object := range known.Objects {
		if object.Status != state.ObjectValid {
			t.Errorf("%s is %s: %s", name, object.Status, object.Reason)
		}
	}
	for _, upload := range promised {
		if read[upload] != 1 {
			t.Errorf("upload %s was read again %d times", upload, read[upload])
		}
	}
	p.Stop(t)
	held(t, p.System, checker.Expected{Quiet: true, Promised: promised})
}
