package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

// version is a model from training to serving.
type version struct {
	run string
	// after is the sequence after which the next event is expected.
	after  uint64
	number int
	score  float64
}

// metric is the metric that the demo prints.
const metric = "roc_auc"

// What the demo sends: April in large requests as a batch job would, May row
// by row as a web site would, faster while a canary waits for evidence.
const (
	aprilPerRequest = 100
	mayPerSecond    = 60
	canaryPerSecond = 500
)

// makeData writes the months of flights.
func (d *demo) makeData(ctx context.Context) (string, error) {
	python := filepath.Join(d.Example, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return "", fmt.Errorf("the example has no Python environment at %s; create it with: make examples", relative(python))
	}
	out := filepath.Join(d.Dir, "data")
	c := exec.CommandContext(ctx, python, filepath.Join(d.Example, "data.py"), "--out", out, "--months", "1-5", "--broken")
	if said, err := c.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return "", fmt.Errorf("data.py: %w: %s", err, lines[len(lines)-1])
	}
	files, err := filepath.Glob(filepath.Join(out, "flights", "*.parquet"))
	if err != nil || len(files) != 5 {
		return "", fmt.Errorf("data.py left %d months instead of 5 in %s", len(files), out)
	}
	return "the flights from New York of January to May 2013 with their weather, one file a month", nil
}

func (d *demo) file(parts ...string) string {
	return filepath.Join(append([]string{d.Dir, "data"}, parts...)...)
}

// put uploads a file under a key and returns the sequence of the upload's event.
func (d *demo) put(ctx context.Context, key, file string) (api.Upload, uint64, error) {
	done, err := d.client.Upload(ctx, key, file, nil)
	if err != nil {
		return api.Upload{}, 0, err
	}
	if len(done.Uploads) != 1 || done.Uploads[0].Pipeline != pipeline {
		return api.Upload{}, 0, fmt.Errorf("%s matches %d pipelines instead of one", key, len(done.Uploads))
	}
	u := done.Uploads[0]
	at, err := d.client.Sequence(ctx, pipeline, u.Event)
	return u, at, err
}

// upload uploads a month, waits until it is in the dataset, and returns what it
// means for training.
func (d *demo) upload(name string, then func(context.Context, uint64) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		key := "flights/" + name + ".parquet"
		u, at, err := d.put(ctx, key, d.file(key))
		if err != nil {
			return "", err
		}
		v, err := await(ctx, d.journal, at, func(e events.Event[events.DatasetValidated]) bool {
			return e.Data.Added != nil && e.Data.Added.Object.Key == key
		})
		if err != nil {
			return "", err
		}
		followed, err := then(ctx, v.Sequence)
		return fmt.Sprintf("uploaded %s, %s: checked, and in the dataset, which has %s now"+below+"%s", humanize.Bytes(u.Size), humanize.Count(v.Data.Added.Rows, "flight"),
			humanize.Count(v.Data.Rows, "row"), followed), err
	}
}

func (d *demo) waitsForRows(ctx context.Context, after uint64) (string, error) {
	e, err := await[events.TrainingSkipped](ctx, d.journal, after, nil)
	return "not trained: " + e.Data.Reason, err
}

func (d *demo) starts(ctx context.Context, after uint64) (string, error) {
	e, err := await[events.TrainingStarted](ctx, d.journal, after, nil)
	if err != nil {
		return "", err
	}
	if e.Data.Trigger != "upload" {
		return "", fmt.Errorf("training started because of %s instead of the upload", e.Data.Trigger)
	}
	d.v1 = version{run: e.Data.Run, after: e.Sequence}
	return started(e.Data), nil
}

func started(d events.TrainingStarted) string {
	return fmt.Sprintf("run %s trains on %s and holds %s out", d.Run, humanize.Count(d.TrainRows, "row"), humanize.Int(d.HoldoutRows))
}

func (d *demo) trained(ctx context.Context, v *version) (string, error) {
	e, err := await(ctx, d.journal, v.after, func(e events.Event[events.TrainingCompleted]) bool { return e.Data.Run == v.run })
	if err != nil {
		return "", err
	}
	v.after = e.Sequence
	return fmt.Sprintf("the trainer (LightGBM in Python) left a model of %s after %.1f s%s", humanize.Bytes(e.Data.Model.Files[0].Size), e.Data.Seconds,
		said(e.Data.Metrics)), nil
}

// said formats the last metrics that a trainer reported.
func said(metrics map[string]float64) string {
	if len(metrics) == 0 {
		return ""
	}
	return below + "last reported metrics: " + terminal.Metrics(metrics)
}

func (d *demo) approved(ctx context.Context, v *version, number int) (string, error) {
	e, err := await(ctx, d.journal, v.after, func(e events.Event[events.ModelApproved]) bool { return e.Data.Run == v.run })
	if err != nil {
		return "", d.orRejected(v, err)
	}
	if e.Data.Version != number {
		return "", fmt.Errorf("the model is v%d instead of v%d", e.Data.Version, number)
	}
	m, ok := e.Data.Score.Metric(metric)
	if !ok {
		return "", fmt.Errorf("its evaluation lacks the metric %s", metric)
	}
	v.number, v.after, v.score = number, e.Sequence, m.Value
	text := fmt.Sprintf("v%d passed %s on %s held out: %s %.3f", number, humanize.Count(len(e.Data.Verdicts), "gate"), humanize.Count(e.Data.Rows, "row"), metric, m.Value)
	if c := e.Data.Champion; c != nil {
		if before, ok := c.Metric(metric); ok {
			text += fmt.Sprintf(", v%d on the same rows %.3f", c.Version, before.Value)
		}
	}
	return text + verdicts(e.Data.Verdicts, true), nil
}

// verdicts lists the passed or the failed verdicts, one on each line. A gate on
// slices is listed once.
func verdicts(vs []events.Verdict, passed bool) string {
	text, seen := "", map[string]bool{}
	for _, v := range vs {
		if v.Passed == passed && !seen[v.Gate] {
			text += below + v.Gate + ": " + v.Reason
			seen[v.Gate] = true
		}
	}
	return text
}

// orRejected returns the rejection of a version as the error, if there was one.
func (d *demo) orRejected(v *version, err error) error {
	es, _, _ := d.journal.after(v.after)
	for _, e := range es {
		if r, decodeErr := events.Decode[events.ModelRejected](e); decodeErr == nil && r.Data.Run == v.run {
			return fmt.Errorf("it was rejected: %s", r.Data.Reason)
		}
	}
	return err
}

func (d *demo) promoted(ctx context.Context, v *version) (string, error) {
	e, err := await(ctx, d.journal, v.after, func(e events.Event[events.ModelPromoted]) bool { return e.Data.Version == v.number })
	if err != nil {
		return "", err
	}
	v.after = e.Sequence
	m, err := d.served(ctx, v.number)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("v%d is the champion and answers at /v2/models/%s and takes %s", v.number, pipeline, humanize.Count(len(m.Inputs), "feature")), nil
}

// served waits until the version answers as the champion: inference reads a new
// route shortly after it is in the log.
func (d *demo) served(ctx context.Context, number int) (client.Model, error) {
	for {
		m, err := d.client.Model(ctx, pipeline, 0)
		if err == nil && m.Properties["version"] == fmt.Sprint(number) {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return m, errors.Join(context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// sendApril requests predictions for all flights of April.
func (d *demo) sendApril(ctx context.Context) (string, error) {
	m, err := d.client.Model(ctx, pipeline, 0)
	if err != nil {
		return "", err
	}
	if d.april, err = readMonth(d.file("flights", "2013-04.parquet"), "apr", m.Inputs); err != nil {
		return "", err
	}
	if d.may, err = readMonth(d.file("flights", "2013-05.parquet"), "may", m.Inputs); err != nil {
		return "", err
	}
	d.aprilSent = send(ctx, d.client, d.april, aprilPerRequest, false, 0).done()
	if err := d.aprilSent.failure; err != nil {
		return "", fmt.Errorf("%d of %d requests failed, the first: %w", d.aprilSent.failed, d.aprilSent.requests, err)
	}
	if d.aprilSent.rows != d.april.Rows {
		return "", fmt.Errorf("only %d of %d rows were sent: %w", d.aprilSent.rows, d.april.Rows, context.Cause(ctx))
	}
	return fmt.Sprintf("%s predicted over HTTP, in %s of %d rows on %d connections"+below+"%s, none failed", humanize.Count(d.aprilSent.rows, "flight"),
		humanize.Count(d.aprilSent.requests, "request"), aprilPerRequest, connections, d.aprilSent.latency()), nil
}

// drifted waits for the drift of April, and for the retraining that is pending
// until there is data.
func (d *demo) drifted(ctx context.Context) (string, error) {
	e, err := await[events.DriftDetected](ctx, d.journal, d.v1.after, nil)
	if err != nil {
		return "", err
	}
	d.drift = e.ID
	skipped, err := await(ctx, d.journal, e.Sequence, func(s events.Event[events.TrainingSkipped]) bool { return s.Data.Trigger == "drift" })
	if err != nil {
		return "", err
	}
	if !skipped.Data.Waits {
		return "", fmt.Errorf("the retraining does not stay pending until there is data: %s", skipped.Data.Reason)
	}
	return moved(e.Data) + below + "retraining: " + skipped.Data.Reason, nil
}

// moved names the columns that drifted most.
func moved(d events.DriftDetected) string {
	columns := slices.DeleteFunc(slices.Clone(d.Columns), func(c events.ColumnDrift) bool { return !c.Drifted })
	slices.SortFunc(columns, func(a, b events.ColumnDrift) int {
		if a.Statistic > b.Statistic {
			return -1
		}
		return 1
	})
	var parts []string
	for _, c := range columns {
		parts = append(parts, fmt.Sprintf("%s %s %.2f", c.Column, strings.ToUpper(c.Test), c.Statistic))
	}
	return fmt.Sprintf("%s of April differ from what v%d was trained on in %s", humanize.Count(d.Rows, "row"), d.Version, humanize.Count(len(parts), "column")) +
		below + strings.Join(parts, ", ")
}
