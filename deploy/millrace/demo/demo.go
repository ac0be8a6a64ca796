// Package demo plays a year of New York flights against a running Millrace: a
// model is trained and serves real traffic, the traffic drifts, and a second
// model replaces the first. Broken data and a bad model are rejected on the way.
//
// The system is a separate process of the same program. The demo uses it over
// HTTP, as a user would, and checks every step against the event log.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

// Options configure a demo.
type Options struct {
	// Dir is recreated for the system and its data. The summary is written
	// beside it, to a file of its name with .json.
	Dir string
	// Listen is the system's address; port 0 chooses one.
	Listen string
	// Example is the folder of the flights example. If it is empty, the demo
	// writes the embedded one and its Python environment beside Dir.
	Example string
	// Token is the token of the system, "" if it needs none.
	Token string
	// Program is the path of the millrace command.
	Program string
	// Keep keeps the system running until ctx ends.
	Keep bool
	Out  *terminal.Screen
	// ShowWhy prints the causes and effects of an event.
	ShowWhy func(api.Why)
	// ShowModels prints model versions.
	ShowModels func([]api.ModelRow)
}

// pipeline is the name of the demo's pipeline.
const pipeline = "flights"

// stepWithin bounds one step, so that every demo ends.
const stepWithin = 2 * time.Minute

// demo is a running demo.
type demo struct {
	Options
	began   time.Time
	summary Summary
	system  *system
	client  *client.Client
	journal *journal
	// what steps leave for later ones
	v1, v2    version
	april     *month
	may       *month
	drift     string // the id of drift.detected
	labelled  uint64 // the sequence of the labels' upload
	live      *traffic
	aprilSent result
	// after prints more about a step, below its line.
	after func()
}

// Run plays the demo and prints each step as it happens. The error is nil if
// every step succeeded.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o, began: time.Now()}
	if err := d.prepareDir(); err != nil {
		return err
	}
	user := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() {
		if d.live != nil {
			d.live.stop()
		}
		if d.system != nil {
			err = errors.Join(err, d.system.stop())
		}
	}()
	err = d.play(ctx, cancel)
	d.finish(ctx, err)
	if saveErr := d.summary.save(d.Dir + ".json"); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	if !o.Keep || ctx.Err() != nil || d.client == nil {
		return err
	}
	d.invite()
	<-ctx.Done()
	if user.Err() == nil {
		return errors.Join(err, context.Cause(ctx)) // the system ended by itself
	}
	o.Out.Line()
	return err
}

// stepError is a failed step. Its line has already said what went wrong.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("the step %q failed", e.step) }
func (e *stepError) Unwrap() error { return e.err }

// step is one step of the demo. It returns what happened in a sentence, with
// details in the lines below it.
type step struct {
	name string
	do   func(context.Context) (string, error)
	// within bounds the step; 0 means stepWithin.
	within time.Duration
}

// below separates the lines that a step returns.
const below = "\n"

// play runs the steps until one fails.
func (d *demo) play(ctx context.Context, cancel context.CancelCauseFunc) error {
	steps := []step{
		{name: "data", do: d.makeData},
		{name: "up", do: func(context.Context) (string, error) { return d.start(ctx, cancel) }},
		{name: "January", do: d.upload("2013-01", d.waitsForRows)},
		{name: "February", do: d.upload("2013-02", d.waitsForRows)},
		{name: "March", do: d.upload("2013-03", d.starts)},
		{name: "train v1", do: func(c context.Context) (string, error) { return d.trained(c, &d.v1) }},
		{name: "evaluate v1", do: func(c context.Context) (string, error) { return d.approved(c, &d.v1, 1) }},
		{name: "promote v1", do: func(c context.Context) (string, error) { return d.promoted(c, &d.v1) }},
		{name: "April", do: d.sendApril},
		{name: "drift", do: d.drifted},
		{name: "labels", do: d.uploadLabels},
		{name: "retrain", do: d.retrains},
		{name: "train v2", do: func(c context.Context) (string, error) { return d.trained(c, &d.v2) }},
		{name: "evaluate v2", do: func(c context.Context) (string, error) { return d.approved(c, &d.v2, 2) }},
		{name: "canary", do: d.canary},
		{name: "promote v2", do: func(c context.Context) (string, error) { return d.takesOver(c) }},
		{name: "why v2", do: d.why},
		{name: "broken data", do: d.broken},
		{name: "bad model", do: d.shuffled},
	}
	if d.Example == "" {
		steps = slices.Insert(steps, 0, step{"python", d.makeExample, environmentWithin})
	}
	for _, s := range steps {
		if err := d.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// run runs one step and prints its result.
func (d *demo) run(ctx context.Context, s step) error {
	began := time.Now()
	within := cmp.Or(s.within, stepWithin)
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it did not happen within %s", humanize.Duration(within)))
	defer cancel()
	stop := d.watchClock(s.name, began)
	detail, err := s.do(ctx)
	stop()
	if err != nil {
		detail = err.Error()
	}
	d.summary.Steps = append(d.summary.Steps, StepResult{Name: s.name, OK: err == nil, Seconds: seconds(time.Since(began)), Detail: strings.ReplaceAll(detail, below, "; ")})
	mark, tone := "✓", terminal.Good
	if err != nil {
		mark, tone = "✗", terminal.Bad
	}
	lines := terminal.Lines(detail)
	d.Out.Line(d.Out.Styled(tone, mark+" "), d.Out.Styled(terminal.Faint, d.clock()+"  "), d.Out.Styled(terminal.Strong, fmt.Sprintf("%-*s", nameWidth, s.name)), lines[0])
	for _, l := range lines[1:] {
		d.Out.Line(strings.Repeat(" ", len("✓ 0:00  ")-2+nameWidth), d.Out.Styled(terminal.Faint, l))
	}
	if d.after != nil {
		d.after()
		d.after = nil
	}
	if err != nil {
		return &stepError{s.name, err}
	}
	return nil
}

// watchClock shows on a terminal how long a step has been running, until stop is
// called.
func (d *demo) watchClock(name string, began time.Time) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				text := ""
				if d.journal != nil {
					text = d.journal.newest()
				}
				d.Out.Progress(fmt.Sprintf("  %s  %-*s%s  %s", d.clock(), nameWidth, name, humanize.Duration(time.Since(began)), text))
			case <-done:
				d.Out.Done()
				return
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}

// nameWidth is the width of the longest name of a step, plus a gap.
const nameWidth = len("broken data") + 2

// clock returns the time since the demo began, such as 1:05.
func (d *demo) clock() string {
	s := int(time.Since(d.began).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// marker is a file that marks a folder as one of a demo, which may be removed.
const marker = "demo-of-millrace"

// prepareDir recreates the folder, unless it holds something else.
func (d *demo) prepareDir() error {
	dir, err := filepath.Abs(d.Dir)
	if err != nil {
		return err
	}
	d.Dir = dir
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s is not the folder of a demo; name another folder with --dir", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the previous demo: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), []byte("Each `millrace demo` replaces this folder.\n"), 0o600)
}

// finish completes the summary and prints it.
func (d *demo) finish(ctx context.Context, failure error) {
	d.summary.OK = failure == nil
	d.summary.Seconds = seconds(time.Since(d.began))
	d.summary.Models = []api.ModelRow{}
	if d.client != nil {
		// The models that exist, also after a failure.
		_ = d.client.Get(ctx, &d.summary.Models, nil, "api/models")
	}
	o := d.Out
	o.Line()
	rows := make([][]terminal.Cell, len(d.summary.Steps))
	for i, s := range d.summary.Steps {
		mark := terminal.Toned(terminal.Good, "✓")
		if !s.OK {
			mark = terminal.Toned(terminal.Bad, "✗")
		}
		short, _, _ := strings.Cut(s.Detail, "; ")
		rows[i] = []terminal.Cell{mark, terminal.Toned(terminal.Strong, s.Name), terminal.Text(fmt.Sprintf("%.1f s", s.Seconds)), terminal.Text(short)}
	}
	o.Table([]terminal.Column{terminal.Left(""), terminal.Left("STEP"), terminal.Right("TOOK"), terminal.Rest("WHAT HAPPENED")}, rows)
	if len(d.summary.Models) > 0 {
		o.Line()
		d.ShowModels(d.summary.Models)
	}
	o.Line()
	verdict, tone := "every step succeeded", terminal.Good
	if failure != nil {
		verdict, tone = "a step failed", terminal.Bad
	}
	o.Line(o.Styled(tone, verdict), o.Styled(terminal.Faint, fmt.Sprintf(", %s; the summary is in %s.json", humanize.Duration(time.Since(d.began)), relative(d.Dir))))
	if failure != nil && d.system != nil {
		o.Line(o.Styled(terminal.Faint, "the system's own log is in "+relative(d.system.logFile)))
	}
}

// invite prints commands to try on the running system.
func (d *demo) invite() {
	o, at, bin := d.Out, d.client.Server(), relative(d.Program)
	o.Line()
	o.Line(o.Styled(terminal.Strong, "The system keeps running at "+at+" until Ctrl-C. Try:"))
	lines := [][2]string{
		{bin + " status", "the state of the system"},
		{bin + " why flights/v2", "the causes of the second model"},
		{bin + " events flights --follow", "the event log as it grows"},
		{bin + " drift flights", "how far the traffic has drifted"},
		{bin + " predict flights " + relative(d.file("flights", "2013-05.parquet")), "predictions of the champion"},
		{bin + " retrain flights --param trees=120 --wait", "train another"},
		{bin + " rollback flights", "return to the first model"},
		{"curl " + at + "/v2/models/flights", "the model's metadata, by the Open Inference Protocol"},
	}
	if at != defaultServer {
		lines = slices.Insert(lines, 0, [2]string{"export MILLRACE_SERVER=" + at, "the address for the other commands"})
	}
	rows := make([][]terminal.Cell, len(lines))
	for i, l := range lines {
		rows[i] = []terminal.Cell{terminal.Text(l[0]), terminal.Toned(terminal.Faint, l[1])}
	}
	o.IndentedTable("  ", []terminal.Column{terminal.Left(""), terminal.Left("")}, rows)
}

// defaultServer is the command's default for --server.
const defaultServer = "http://127.0.0.1:8080"

// relative returns a path relative to the working folder, if that is shorter.
func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
