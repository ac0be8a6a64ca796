package scaffold

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"millrace.dev/config"
	"millrace.dev/shared/humanize"
)

// page is what the templates are filled with.
type page struct {
	*Design
	Folder, File, Base, Size string
	Description, CSV         string
	Columns                  []line
	ID, Positive, Classes    string
	Time, Label              string
	Features                 []string
	Params, ParamsWhy, Param string
	Metrics, Metric          string
	Gate, GateWhy            string
	Champion                 bool // whether a new model is held against the one that is live
	HeldOut, Enough          string
	Trainer, Venv            string
}

// enoughHeldOut is how many rows have to be held out for a model of the same worth as another to pass a gate on it more
// often than not, at the default margin and confidence.
const enoughHeldOut = 2000

// line is a column in the pipeline file.
type line struct{ Line, Comment, Out string }

// Write writes the folder, which must not exist or be empty.
func (s *Design) Write(folder string) error {
	if found, err := os.ReadDir(folder); err == nil && len(found) > 0 {
		return fmt.Errorf("%s is there already and not empty: nothing was written", folder)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	script, err := s.Trainer.script()
	if err != nil {
		return err
	}
	p := s.page(folder)
	pipeline, err := fill("templates/pipeline.yaml", p)
	if err != nil {
		return err
	}
	readme, err := fill("templates/README.md", p)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		bytes []byte
	}{
		{"pipeline.yaml", pipeline},
		{"train.py", script},
		{"requirements.txt", []byte(strings.Join(s.Trainer.requirements(), "\n") + "\n")},
		{"README.md", readme},
		{".gitignore", []byte(".venv/\n__pycache__/\n")},
	} {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.bytes, 0o644); err != nil { //nolint:gosec // source code, for everyone
			return err
		}
	}
	return nil
}

func fill(file string, p page) ([]byte, error) {
	t, err := template.New(filepath.Base(file)).Funcs(template.FuncMap{"quoted": quoted}).ParseFS(files, file)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}

func (s *Design) page(folder string) page {
	profile := s.Data.Profile
	p := page{
		Design: s, Folder: folder, File: s.Data.File, Base: filepath.Base(s.Data.File), Trainer: s.Trainer.Name,
		Size: humanize.Count(profile.Rows, "row") + ", " + humanize.Count(len(profile.Columns), "column"),
		CSV:  s.csv(), Label: name(s.Label), Classes: strings.Join(s.Classes, ", "),
		Params: s.Trainer.Params, ParamsWhy: s.Trainer.Why, Param: "trees", Venv: venvCommands,
	}
	p.Description = oneLine(fmt.Sprintf("Predicts %s from %s.", s.Label, humanize.Count(len(s.Features), "column")))
	if s.Time != "" {
		p.Time = name(s.Time)
	}
	for _, c := range s.Columns {
		l := line{Line: name(c.Name) + ": " + c.Written, Comment: oneLine(c.Comment), Out: oneLine(c.Out)}
		p.Columns = append(p.Columns, l)
		if col := profile.Column(c.Name); p.ID == "" && c.Out == "" && c.Name != s.Label && isID(col) {
			p.ID = name(c.Name)
		}
	}
	p.align()
	for _, f := range s.Features {
		p.Features = append(p.Features, name(f))
	}
	if s.Task == config.TaskBinary {
		p.Positive = s.Classes[1]
	}
	p.Metric, p.Metrics, p.Gate, p.GateWhy = s.gate()
	heldOut := profile.Rows / 5
	p.Champion, p.HeldOut, p.Enough = heldOut >= enoughHeldOut, humanize.Int(heldOut), humanize.Int(enoughHeldOut)
	return p
}

// align makes the comments of the columns begin at one place, where the lines are not too long for that.
func (p *page) align() {
	const most = 60
	width := 0
	for _, l := range p.Columns {
		if n := utf8.RuneCountInString(l.Line); l.Out == "" && n <= most {
			width = max(width, n)
		}
	}
	for i := range p.Columns {
		l := &p.Columns[i]
		if l.Out == "" {
			l.Line += strings.Repeat(" ", max(0, width-utf8.RuneCountInString(l.Line)))
		}
	}
}

// gate returns the metric that decides, all metrics, and the least that a model
// has to be worth.
func (s *Design) gate() (metric, metrics, gate, why string) {
	switch s.Task {
	case config.TaskBinary:
		return "roc_auc", "roc_auc, log_loss, accuracy", "{metric: roc_auc, min: 0.5}", "better than chance; raise it to what you need"
	case config.TaskMulticlass:
		least := strconv.FormatFloat(math.Floor(100*s.Majority)/100, 'g', -1, 64)
		return "accuracy", "accuracy, log_loss, macro_f1", "{metric: accuracy, min: " + least + "}", "what the most frequent class alone would reach; raise it to what you need"
	}
	return "rmse", "rmse, mae, r2", "{metric: r2, min: 0}", "better than the mean of all; raise it to what you need"
}

// csv returns data.csv, "" for the default.
func (s *Design) csv() string {
	var fields []string
	if s.Data.Encoding != "" {
		fields = append(fields, "encoding: "+s.Data.Encoding)
	}
	if s.Data.Decimal != "" {
		fields = append(fields, "decimal: "+quoted(s.Data.Decimal))
	}
	if s.Data.Nulls != nil {
		words := make([]string, len(s.Data.Nulls))
		for i, w := range s.Data.Nulls {
			words[i] = quoted(w)
		}
		fields = append(fields, "null: ["+strings.Join(words, ", ")+"]")
	}
	if fields == nil {
		return ""
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// oneLine keeps a comment on its line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
