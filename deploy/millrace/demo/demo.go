// Package demo plays a year of New York flights against a running Millrace: a
// model is trained, serves real traffic, drifts away from it, and is replaced
// by the next one; broken data and a bad model are refused on the way.
//
// The system is a process of its own, started by this one with the same
// program; everything goes through its HTTP as a user's would, and every step
// is checked by what the event log says.
package demo

import (
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
	"millrace.dev/functions/gateway"
)

// Options of a demo.
type Options struct {
	// Dir is made anew for the system and its data; the summary stands beside
	// it, under its name and .json.
	Dir string
	// Listen is the system's address; port 0 chooses one.
	Listen string
	// Example is the folder of the flights example.
	Example string
	// Token is the system's, if the environment gives it one.
	Token string
	// Program is the millrace command.
	Program string
	// Keep leaves the system up until ctx ends.
	Keep bool
	Out  *terminal.Screen
	// ShowWhy prints how something came about, under what comes before.
	ShowWhy func(gateway.Why)
	// ShowModels prints the versions.
	ShowModels func([]gateway.ModelRow)
}

// name of the pipeline that the demo plays.
const pipeline = "flights"

// stepWithin bounds one step, so that a demo ends whatever happens.
const stepWithin = 2 * time.Minute

// demo is a demo under way.
type demo struct {
	Options
	began   time.Time
	summary Summary
	system  *system
	client  *client.Client
	journal *journal
	// what steps leave for those behind them
	v1, v2    version
	april     *month
	may       *month
	drift     string // the id of drift.detected
	labelled  uint64 // the sequence of the labels' upload
	live      *traffic
	aprilSent result
	// after shows more of a step, once it has been told.
	after func()
}

// Run plays the demo and tells of each step as it happens. The error is nil
// when every step went as it should.
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

// stepError is a step that did not go as it should. What went wrong has been
// told in its line.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("the step %q did not go as it should", e.step) }
func (e *stepError) Unwrap() error { return e.err }

// step is one step of the demo. It returns in a sentence what happened, and in
// the lines below it what there is to say of it.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

// below divides the lines of what a step returns.
const below = "\n"

// play goes through the steps until one fails.
func (d *demo) play(ctx context.Context, cancel context.CancelCauseFunc) error {
	steps := []step{
		{"data", d.makeData},
		{"up", func(context.Context) (string, error) { return d.start(ctx, cancel) }},
		{"January", d.upload("2013-01", d.waitsForRows)},
		{"February", d.upload("2013-02", d.waitsForRows)},
		{"March", d.upload("2013-03", d.starts)},
		{"train v1", func(c context.Context) (string, error) { return d.trained(c, &d.v1) }},
		{"judge v1", func(c context.Context) (string, error) { return d.approved(c, &d.v1, 1) }},
		{"promote v1", func(c context.Context) (string, error) { return d.promoted(c, &d.v1) }},
		{"April", d.sendApril},
		{"drift", d.drifted},
		{"labels", d.uploadLabels},
		{"retrain", d.retrains},
		{"train v2", func(c context.Context) (string, error) { return d.trained(c, &d.v2) }},
		{"judge v2", func(c context.Context) (string, error) { return d.approved(c, &d.v2, 2) }},
		{"canary", d.canary},
		{"promote v2", func(c context.Context) (string, error) { return d.takesOver(c) }},
		{"why v2", d.why},
		{"broken data", d.broken},
		{"bad model", d.shuffled},
	}
	for _, s := range steps {
		if err := d.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// run does one step and tells what came of it.
func (d *demo) run(ctx context.Context, s step) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, stepWithin, fmt.Errorf("it had not happened after %s", terminal.Duration(stepWithin)))
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

// watchClock shows on a terminal that a step is under way, until it is stopped.
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
				d.Out.Progress(fmt.Sprintf("  %s  %-*s%s  %s", d.clock(), nameWidth, name, terminal.Duration(time.Since(began)), text))
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

// nameWidth is that of the longest name of a step, and a gap.
const nameWidth = len("broken data") + 2

// clock is the time since the demo began: 1:05.
func (d *demo) clock() string {
	s := int(time.Since(d.began).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// marker is a file that says that a folder is a demo's, and may be removed.
const marker = "demo-of-millrace"

// prepareDir makes the folder anew, unless it holds something else.
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
		return fmt.Errorf("%s holds something that is no demo's; name another folder with --dir", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the demo before: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), []byte("This folder is made anew by each `millrace demo`.\n"), 0o600)
}

// finish sums the demo up, and prints the sum.
func (d *demo) finish(ctx context.Context, failure error) {
	d.summary.OK = failure == nil
	d.summary.Seconds = seconds(time.Since(d.began))
	d.summary.Models = []gateway.ModelRow{}
	if d.client != nil {
		// What there is, also when something failed.
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
	verdict, tone := "all went as it should", terminal.Good
	if failure != nil {
		verdict, tone = "not all went as it should", terminal.Bad
	}
	o.Line(o.Styled(tone, verdict), o.Styled(terminal.Faint, fmt.Sprintf(", %s; the summary is in %s.json", terminal.Duration(time.Since(d.began)), relative(d.Dir))))
	if failure != nil && d.system != nil {
		o.Line(o.Styled(terminal.Faint, "the system's own log is in "+relative(d.system.logFile)))
	}
}

// invite says how to look around in the system that stays up.
func (d *demo) invite() {
	o, at, bin := d.Out, d.client.Server(), relative(d.Program)
	o.Line()
	o.Line(o.Styled(terminal.Strong, "The system stays up at "+at+" until Ctrl-C. Look around:"))
	lines := [][2]string{
		{bin + " status", "how it is"},
		{bin + " why flights/v2", "how the second model came about"},
		{bin + " events flights --follow", "what happens"},
		{bin + " drift flights", "how far the world has moved"},
		{bin + " predict flights " + relative(d.file("flights", "2013-05.parquet")), "ask the champion"},
		{bin + " retrain flights --param trees=120 --wait", "train another"},
		{bin + " rollback flights", "go back to the first model"},
		{"curl " + at + "/v2/models/flights", "the model, by the Open Inference Protocol"},
	}
	if at != defaultServer {
		lines = slices.Insert(lines, 0, [2]string{"export MILLRACE_SERVER=" + at, "so that the others find it"})
	}
	rows := make([][]terminal.Cell, len(lines))
	for i, l := range lines {
		rows[i] = []terminal.Cell{terminal.Text(l[0]), terminal.Toned(terminal.Faint, l[1])}
	}
	o.IndentedTable("  ", []terminal.Column{terminal.Left(""), terminal.Left("")}, rows)
}

// defaultServer is what the command asks when it is told nothing.
const defaultServer = "http://127.0.0.1:8080"

// relative is a path as short as a person may write it here.
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
