package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/summary"
)

// waiting holds the flags of commands that can wait for their outcome.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (w *waiting) flags(c *cobra.Command, what string) {
	c.Flags().BoolVar(&w.wait, "wait", false, what)
	c.Flags().DurationVar(&w.timeout, "timeout", 30*time.Minute, "how long --wait waits; the system continues regardless")
}

// target is one request whose outcome the command waits for.
type target struct {
	// what names it for people; pipeline is where it happens.
	what, pipeline string
	event          string
	chain          *wait.Chain
	// duplicate says that the event is of an earlier upload of the same bytes.
	duplicate bool
}

// result is a target and its outcome, as -o json prints them.
type result struct {
	What     string        `json:"what"`
	Pipeline string        `json:"pipeline"`
	Event    string        `json:"event"`
	Outcome  *wait.Outcome `json:"outcome,omitempty"`
}

func (t target) result() result {
	o, _ := t.chain.Ended()
	return result{What: t.what, Pipeline: t.pipeline, Event: t.event, Outcome: o}
}

// settle is how long to wait for further events of the same commit before an
// outcome is final. answerWithin bounds the wait for a decision that takes no
// work.
const (
	settle       = 700 * time.Millisecond
	answerWithin = 30 * time.Second
)

var errTimeout = errors.New("timed out")

// watch follows the log until every target has ended, and prints the events on
// standard error.
func (a *app) watch(ctx context.Context, c *client.Client, from uint64, targets []target, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	q := client.Query{From: from}
	for _, t := range targets {
		if q.Pipeline != "" && q.Pipeline != t.pipeline {
			q.Pipeline = ""
			break
		}
		q.Pipeline = t.pipeline
	}
	type arrival struct {
		events.Envelope
		err error
	}
	arrivals := make(chan arrival)
	go func() {
		for e, err := range c.Follow(ctx, q) {
			select {
			case arrivals <- arrival{e, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	told := &teller{app: a, began: time.Now()}
	defer a.err.Done()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	still := time.NewTimer(settle)
	defer still.Stop()
	for !allEnded(targets, false) {
		select {
		case e := <-arrivals:
			if e.err != nil {
				return a.waited(ctx, e.err, targets, timeout, told.newest)
			}
			ours := false
			for _, t := range targets {
				ours = t.chain.See(e.Envelope) || ours
			}
			if ours {
				told.event(e.Envelope)
			}
			still.Reset(settle)
		case <-still.C:
			if allEnded(targets, true) {
				return a.answering(ctx, c, targets)
			}
		case <-second.C:
			told.passes()
		case <-ctx.Done():
			return a.waited(ctx, context.Cause(ctx), targets, timeout, told.newest)
		}
	}
	return a.answering(ctx, c, targets)
}

// The pause between two looks at whether a promoted version answers, and how long
// is looked.
const (
	lookAgain    = 20 * time.Millisecond
	answersAfter = 2 * time.Minute
)

// answering waits until the versions that were promoted answer requests: a
// prediction that is asked for next comes from them. The log has the decision
// first, and inference loads the version then. On a cluster one of its replicas
// is asked. It does not wait where predictions cannot be asked for, or when
// another version has become the champion meanwhile.
func (a *app) answering(ctx context.Context, c *client.Client, targets []target) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answersAfter, errTimeout)
	defer cancel()
	for _, t := range targets {
		o, _ := t.chain.Ended()
		if o == nil || o.Type != (events.ModelPromoted{}).EventType() || t.duplicate {
			continue
		}
		for !answers(ctx, c, t.pipeline, o.Version) {
			select {
			case <-time.After(lookAgain):
			case <-ctx.Done():
				if !errors.Is(context.Cause(ctx), errTimeout) {
					return context.Cause(ctx)
				}
				return fail(TimedOut, "v%d of %s is the champion and does not answer yet; the system continues with it", o.Version, t.pipeline).
					try("millrace status %s, millrace predict %s", t.pipeline, t.pipeline)
			}
		}
	}
	return nil
}

// answers reports whether the version answers requests for the pipeline's model,
// or that it cannot be waited for.
func answers(ctx context.Context, c *client.Client, pipeline string, version int) bool {
	m, err := c.Model(ctx, pipeline, 0)
	if err == nil {
		n, bad := strconv.Atoi(m.Properties["version"])
		return bad != nil || n == version || movedOn(ctx, c, pipeline, version)
	}
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || ctx.Err() != nil {
		return false
	}
	starting := refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusNotFound && strings.HasPrefix(refused.Text, "there is no model")
	return !starting
}

// movedOn reports whether another version than this one is the champion now.
func movedOn(ctx context.Context, c *client.Client, pipeline string, version int) bool {
	var routes []api.RouteRow
	err := c.Get(ctx, &routes, url.Values{"pipeline": {pipeline}}, "api/routes")
	return err == nil && len(routes) == 1 && routes[0].Champion != version
}

// allEnded reports whether every target has an outcome; an unsettled one counts
// only if nothing has come for a moment.
func allEnded(targets []target, quiet bool) bool {
	for _, t := range targets {
		if o, settled := t.chain.Ended(); o == nil || !settled && !quiet {
			return false
		}
	}
	return true
}

// waited returns the error of a wait that ended before all targets did.
func (a *app) waited(ctx context.Context, err error, targets []target, timeout time.Duration, newest string) error {
	if ctx.Err() == nil || !errors.Is(context.Cause(ctx), errTimeout) {
		return err
	}
	for _, t := range targets {
		if o, _ := t.chain.Ended(); o == nil {
			return fail(TimedOut, "%s had not ended after %s; the system continues with it%s", t.what, humanize.Duration(timeout), optional("; the newest event: ", newest)).
				try("millrace why %s, millrace status %s", t.event, t.pipeline)
		}
	}
	return nil
}

// teller prints events as they happen.
type teller struct {
	*app
	began    time.Time
	progress string
	newest   string    // the last event printed
	last     time.Time // when progress was last printed without a terminal
}

const progressEvery = 2 * time.Second

func (t *teller) event(e events.Envelope) {
	d, err := events.DecodeData(e)
	if err != nil {
		return
	}
	switch d := d.(type) {
	case events.TrainingProgressed:
		t.progress = summary.Of(e)
		if t.err.IsTerminal() {
			t.passes()
		} else if time.Since(t.last) >= progressEvery {
			t.last = time.Now()
			t.line(e, terminal.Faint)
		}
		return
	case events.EventHandled:
		return // the outcome, or another event of the same commit, says the same
	case events.PartitionRejected: // the outcome has the reason, as of a failed training
		t.progress, t.newest = "", summary.Of(e)
		t.headed(e, terminal.Bad, d.Object.Name()+" rejected")
		return
	case events.TrainingFailed:
		t.progress, t.newest = "", summary.Of(e)
		t.headed(e, terminal.Bad, "run "+d.Run+" failed")
		return
	case events.ModelApproved:
		t.progress = ""
		t.headed(e, terminal.Good, fmt.Sprintf("v%d approved", d.Version))
		t.err.IndentedTable(indent, verdictColumns, verdictCells(d.Verdicts))
		return
	case events.ModelRejected:
		t.progress = ""
		t.headed(e, terminal.Bad, fmt.Sprintf("v%d rejected", d.Version))
		t.err.IndentedTable(indent, verdictColumns, verdictCells(d.Verdicts))
		return
	}
	t.progress = ""
	t.newest = summary.Of(e)
	t.line(e, toneOf(d))
}

// indent is as wide as the text before an event's summary.
var indent = strings.Repeat(" ", len("15:04:05  ")+eventWidth+2)

// passes shows on a terminal how much time has passed.
func (t *teller) passes() {
	text := "waiting"
	if t.progress != "" {
		text = t.progress
	}
	t.err.Progress(fmt.Sprintf("%s (%s)", text, humanize.Duration(time.Since(t.began))))
}

func (t *teller) line(e events.Envelope, tone terminal.Tone) { t.headed(e, tone, summary.Of(e)) }

func (t *teller) headed(e events.Envelope, tone terminal.Tone, text string) {
	t.err.Line(t.err.Styled(terminal.Faint, t.err.Clock(e.Time)+"  "), t.err.Styled(tone, fmt.Sprintf("%-*s  ", eventWidth, typeWords(e.Type))), t.err.Styled(terminal.Plain, text))
}

// eventWidth is the width of the longest name of an event: noun.past.
const eventWidth = len("deadletter.recorded")

// typeWords returns the short name of an event type, such as model.promoted.
func typeWords(name string) string {
	if !strings.HasPrefix(name, events.TypePrefix) {
		return name
	}
	noun, past := events.Words(name)
	return noun + "." + past
}

// toneOf returns the tone in which an event is printed.
func toneOf(d events.Data) terminal.Tone {
	switch d.(type) {
	case events.PartitionRejected, events.TrainingFailed, events.ModelRejected, events.RolloutAborted, events.ModelRolledBack, events.DeadLetterRecorded:
		return terminal.Bad
	case events.DatasetValidated, events.TrainingCompleted, events.ModelApproved, events.ModelPromoted, events.RolloutCompleted:
		return terminal.Good
	case events.DriftDetected, events.DatasetLate, events.TrainingSkipped, events.PartitionRemoved:
		return terminal.Warn
	case events.EventHandled, events.ScheduleTicked, events.PredictionsLogged, events.TrainingProgressed, events.EventDeferred, events.DriftChecked:
		return terminal.Faint
	}
	return terminal.Plain
}

// conclude prints the outcomes and returns the first one that is not a success
// as the error.
func (a *app) conclude(targets []target) error {
	var first error
	results := make([]result, len(targets))
	for i, t := range targets {
		results[i] = t.result()
		o := results[i].Outcome
		if o == nil {
			continue
		}
		e := a.outcomeError(t, *o)
		if !a.json() {
			a.showOutcome(t, *o, e != nil && first == nil)
		}
		if e != nil && first == nil {
			first = e
		}
	}
	if a.json() {
		if err := a.print(results); err != nil {
			return err
		}
	}
	return first
}

// outcomeError returns a target's outcome as an error, nil for a success.
func (a *app) outcomeError(t target, o wait.Outcome) error {
	code := map[wait.End]Code{wait.Rejected: Rejected, wait.Failed: TrainingFailed, wait.GivenUp: Failed}[o.End]
	if code == Done {
		return nil
	}
	e := fail(code, "%s", o.Reason)
	if o.End == wait.Rejected && hasTable(o) && !a.json() {
		e.text = fmt.Sprintf("%s was rejected for %s", t.what, humanize.Count(len(o.Problems), "problem"))
	}
	if o.End == wait.Failed {
		e.text = "training failed: " + o.Reason
		// The same upload again starts no other run.
		if o.Hint == "" {
			o.Hint = "correct the trainer; millrace logs " + o.Run + " has its whole log"
		}
		if !strings.Contains(o.Hint, "millrace retrain") {
			o.Hint += "; afterwards run millrace retrain " + t.pipeline
		}
	}
	if t.duplicate {
		e.text = "nothing new was started: " + t.what + " has these bytes already, and " + e.text
	}
	if o.Hint != "" {
		return e.try("%s", o.Hint)
	}
	return e.try("millrace why %s", o.Event)
}
