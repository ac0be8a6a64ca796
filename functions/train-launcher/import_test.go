package trainlauncher_test

import (
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function/functiontest"
)

// A configuration that came with an import runs no trainer, wherever its folder
// is said to be, until the pipeline is configured here.
func TestImportedConfigurationRunsNothing(t *testing.T) {
	t.Parallel()
	from := newEnv(t, "exit 0", options{})
	from.upload(0, 50)
	to := &env{Env: functiontest.New(t), t: t, cfg: quick(), dir: from.dir}
	ctx := functiontest.Context(t)
	done, err := to.Log.Import(ctx, "flights", from.Log.Recorded(ctx, eventlog.Filter{Pipeline: "flights"}))
	must(t, err)
	if done.New < 2 {
		t.Fatalf("%+v", done)
	}
	to.run()
	to.request(events.TrainingRequested{})
	if got := await[events.TrainingSkipped](to, nil); !strings.Contains(got.Data.Reason, "came with an import; configure flights here") {
		t.Errorf("the reason is %q", got.Data.Reason)
	}
	if n := count[events.TrainingStarted](to); n > 0 {
		t.Errorf("%d runs were started", n)
	}
}
