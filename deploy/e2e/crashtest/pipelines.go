package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/shared/table"
)

// The pipelines: one in which a model goes live at once, and one in which it
// takes steps beside the champion. Their trainer copies a ready model.
var pipelineNames = []string{"direct", "canary"}

const pipelineFile = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: NAME}
spec:
  data:
    uploads: ["NAME/*", "both/*", "s3://uploads/NAME/*"]
    columns:
      mean_texture: {type: float}
      mean_smoothness: {type: float}
      mean_symmetry: {type: float}
      mean_concavity: {type: float}
      size: {type: string}
      benign: {type: bool, nulls: 0.1}
    checks: [{name: enough-rows, rows: {min: 100}}]
    window: {partitions: 2}
    labels: {uploads: ["NAME-labels/*"], key: [request_id, row]}
  model: {task: binary_classification, label: benign, features: [mean_texture, mean_smoothness, mean_symmetry, mean_concavity]}
  train: {command: [sh, train.sh], retries: 1, params: {n: 0}}
  evaluate:
    metrics: [roc_auc, log_loss, accuracy]
    gates: [{metric: roc_auc, min: 0.9}, {metric: roc_auc, champion: {margin: 0.2}}]
  promote: PROMOTE
  monitor: {every: {rows: 400}, on_drift: retrain, cooldown: 5s}
`

var promotes = map[string]string{
	"direct": `{strategy: direct}`,
	"canary": `{strategy: canary, steps: [10, 50, 100], advance: {requests: 20, within: 10s}, on_deadline: promote}`,
}

// trainer copies a model: mostly a good one, sometimes a weak one, and now and
// then it fails, by the run's id, so that the same run always ends the same
// way. Two at work on one run at a time say so.
const trainer = `set -eu
exec 9>>"TRAINERS/$MILLRACE_RUN_ID"
flock -n 9 || echo "$MILLRACE_RUN_ID" >>TRAINERS/clashes
echo '{"step": 1, "loss": 0.5}' >>"$MILLRACE_METRICS"
case $MILLRACE_RUN_ID in
*[0-2]) model=weak.onnx ;;
*3) echo "this run fails" && exit 3 ;;
*) model=good.onnx ;;
esac
sleep 0.0${#MILLRACE_RUN_ID}
cp $model "$MILLRACE_OUTPUT/model.onnx"
`

// writePipelines writes the pipelines' folders into dir. models is the folder
// of the ready models; trainers where the trainers mark what they work on.
func writePipelines(dir, models, trainers string) error {
	errs := []error{os.MkdirAll(trainers, 0o750)}
	for _, name := range pipelineNames {
		folder := filepath.Join(dir, name)
		file := strings.NewReplacer("NAME", name, "PROMOTE", promotes[name]).Replace(pipelineFile)
		errs = append(errs, os.MkdirAll(folder, 0o750),
			os.WriteFile(filepath.Join(folder, "pipeline.yaml"), []byte(file), 0o600),
			os.WriteFile(filepath.Join(folder, "train.sh"), []byte(strings.ReplaceAll(trainer, "TRAINERS", trainers)), 0o600))
		for to, from := range map[string]string{"good.onnx": "tumours-good.onnx", "weak.onnx": "tumours-weak.onnx"} {
			b, err := os.ReadFile(filepath.Join(models, from))
			errs = append(errs, err, os.WriteFile(filepath.Join(folder, to), b, 0o600))
		}
	}
	return errors.Join(errs...)
}

// tumours are the rows that uploads are drawn from.
type tumours struct{ *table.Batch }

func readTumours(path string) (t tumours, err error) {
	r, err := table.Open(path, nil)
	if err != nil {
		return t, err
	}
	t.Batch, err = r.Next(int(r.Rows()))
	return t, errors.Join(err, r.Close())
}

var features = []string{"mean_texture", "mean_smoothness", "mean_symmetry", "mean_concavity"}

// value is one cell, as CSV and JSON write it.
func (t tumours) value(column, row int) string {
	v := t.Columns[column]
	switch {
	case v.Nulls != nil && v.Nulls[row]:
		return ""
	case v.Floats != nil:
		return fmt.Sprintf("%.6f", v.Floats[row])
	case v.Bools != nil:
		return fmt.Sprint(v.Bools[row])
	case v.Strings != nil:
		return v.Strings[row]
	}
	return fmt.Sprint(v.Ints[row])
}

// csv draws so many rows, without the columns that are left out.
func (t tumours) csv(rng *rand.Rand, rows int, without ...string) []byte {
	var b bytes.Buffer
	var columns []int
	for i, c := range t.Schema {
		if slices.Contains(without, c.Name) {
			continue
		}
		if len(columns) > 0 {
			b.WriteByte(',')
		}
		columns = append(columns, i)
		b.WriteString(c.Name)
	}
	for range rows {
		b.WriteByte('\n')
		row := rng.IntN(t.Rows)
		for n, i := range columns {
			if n > 0 {
				b.WriteByte(',')
			}
			b.WriteString(t.value(i, row))
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// parquet draws so many rows into a Parquet file.
func (t tumours) parquet(rng *rand.Rand, rows int, scratch string) (_ []byte, err error) {
	out := &table.Batch{Schema: t.Schema, Rows: rows, Columns: make([]table.Vector, len(t.Columns))}
	for range rows {
		i := rng.IntN(t.Rows)
		for c, v := range t.Columns {
			o := &out.Columns[c]
			switch {
			case v.Floats != nil:
				o.Floats = append(o.Floats, v.Floats[i]*(1+rng.NormFloat64()/1000))
			case v.Strings != nil:
				o.Strings = append(o.Strings, v.Strings[i])
			case v.Bools != nil:
				o.Bools = append(o.Bools, v.Bools[i])
			case v.Ints != nil:
				o.Ints = append(o.Ints, v.Ints[i])
			}
			if v.Nulls != nil {
				o.Nulls = append(o.Nulls, v.Nulls[i])
			}
		}
	}
	w, err := table.Create(scratch, t.Schema)
	if err != nil {
		return nil, err
	}
	if err := w.Write(out); err != nil {
		w.Abort()
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(scratch)
	return b, errors.Join(err, os.Remove(scratch))
}

// instances are rows to be predicted, as JSON.
func (t tumours) instances(rng *rand.Rand, rows int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"instances":[`)
	for n := range rows {
		if n > 0 {
			b.WriteByte(',')
		}
		row := rng.IntN(t.Rows)
		for m, name := range features {
			for i, c := range t.Schema {
				if c.Name == name {
					fmt.Fprintf(&b, `%c%q:%s`, "{,,,"[m], name, t.value(i, row))
				}
			}
		}
		b.WriteByte('}')
	}
	b.WriteString(`]}`)
	return b.Bytes()
}
