package feedback

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/table"
)

// labelling is a pipeline's configuration of labels: the columns of a label's
// key, then the label itself.
type labelling struct {
	columns table.Schema
	// key is where a file of labels goes among the pipeline's uploads, with %s
	// for its name.
	key string
}

// labelName is the alternative to the name of the label's column.
const labelName = "label"

// labellingOf reads a pipeline's configuration; the error has what it lacks.
func labellingOf(c *config.Pipeline) (labelling, error) {
	refused := func(what string) (labelling, error) {
		return labelling{}, codec.Errorf(http.StatusConflict,
			`%s takes no feedback: %s. Its pipeline file needs data.labels, such as labels: {uploads: ["%s-labels/*.jsonl"], key: [request_id, row]}`, c.Metadata.Name, what, c.Metadata.Name)
	}
	labels := c.Spec.Data.Labels
	switch {
	case len(labels.Uploads) == 0:
		return refused("it has no data.labels.uploads")
	case len(labels.Key) == 0:
		return refused("it has no data.labels.key")
	}
	var l labelling
	for _, name := range labels.Key {
		t := table.String
		if name == "row" && labels.ByPrediction() {
			t = table.Int
		}
		if column, ok := c.Column(name); ok && !labels.ByPrediction() {
			t = table.Type(column.Type)
		}
		l.columns = append(l.columns, table.Column{Name: name, Type: t})
	}
	t := table.String
	if column, ok := c.Label(); ok {
		t = table.Type(column.Type)
	}
	l.columns = append(l.columns, table.Column{Name: c.Spec.Model.Label, Type: t})
	for _, glob := range labels.Uploads {
		if key := keyFor(glob); key != "" && c.WantsLabels("", fmt.Sprintf(key, "x")) && !c.WantsUpload("", fmt.Sprintf(key, "x")) {
			l.key = key
			return l, nil
		}
	}
	return refused("none of its data.labels.uploads (" + strings.Join(labels.Uploads, ", ") + ") takes a file .jsonl or .parquet of the gateway's own")
}

// keyFor makes a key of a glob, with %s for a name; "" when it has no place for
// one, or is for files of another kind.
func keyFor(glob string) string {
	key := strings.ReplaceAll(strings.ReplaceAll(glob, "%", "%%"), "**/", "")
	before, after, ok := strings.Cut(strings.ReplaceAll(key, "**", "*"), "*")
	if !ok || strings.Contains(glob, "://") {
		return ""
	}
	key = before + "%s" + strings.NewReplacer("*", "labels", "?", "x").Replace(after)
	last := key[strings.LastIndexByte(key, '/')+1:]
	switch {
	case strings.HasSuffix(last, ".jsonl"), strings.HasSuffix(last, ".ndjson"), strings.HasSuffix(last, ".parquet"):
		return key
	case !strings.Contains(last, "."):
		return key + ".jsonl"
	}
	return ""
}

// lines reads the labels of a body and writes each as a line of JSON.
func (l labelling) lines(body []byte, limit int) (lines []byte, n int, err error) {
	var request struct {
		Labels json.RawMessage `json:"labels"`
	}
	if err := decodeNumbers(body, &request); err != nil {
		return nil, 0, codec.Invalid("the body cannot be read as JSON: %v", err)
	}
	rows, err := rowsOf(request.Labels, limit)
	if err != nil {
		return nil, 0, err
	}
	for i, row := range rows {
		line, err := l.line(row)
		if err != nil {
			return nil, 0, codec.Invalid("label %d: %v", i, err)
		}
		lines = append(append(lines, line...), '\n')
	}
	return lines, len(rows), nil
}

// rowsOf returns labels as objects, whether they are sent as objects or by column.
func rowsOf(raw json.RawMessage, limit int) ([]map[string]any, error) {
	var rows []map[string]any
	if err := decodeNumbers(raw, &rows); err == nil && len(rows) > 0 {
		if len(rows) > limit {
			return nil, codec.TooManyRows(limit)
		}
		return rows, nil
	}
	var columns map[string][]any
	if err := decodeNumbers(raw, &columns); err != nil || len(columns) == 0 {
		return nil, codec.Invalid(`labels is missing: a list of objects such as {"request_id": "...", "row": 0, "label": ...}, or an object with a list for each column`)
	}
	n := -1
	for name, values := range columns {
		if n >= 0 && len(values) != n {
			return nil, codec.Invalid("labels: the columns have different numbers of values; %s has %d", name, len(values))
		}
		n = len(values)
	}
	switch {
	case n == 0:
		return nil, codec.Invalid("labels: the columns are empty")
	case n > limit:
		return nil, codec.TooManyRows(limit)
	}
	rows = make([]map[string]any, n)
	for i := range rows {
		rows[i] = make(map[string]any, len(columns))
		for name, values := range columns {
			rows[i][name] = values[i]
		}
	}
	return rows, nil
}

func decodeNumbers(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// line checks a label and writes it with its columns' names.
func (l labelling) line(row map[string]any) ([]byte, error) {
	label := l.columns[len(l.columns)-1].Name
	if v, ok := row[labelName]; ok && l.columns.Index(labelName) < 0 {
		if _, twice := row[label]; twice {
			return nil, fmt.Errorf("it has %s and %s, which are the same", labelName, label)
		}
		delete(row, labelName)
		row[label] = v
	}
	for name := range row {
		if l.columns.Index(name) < 0 {
			return nil, fmt.Errorf("%q is neither in the key nor the label; a label has %s", name, strings.Join(l.columns.Names(), ", "))
		}
	}
	var errs []error
	for _, c := range l.columns {
		v, ok := row[c.Name]
		if !ok || v == nil {
			errs = append(errs, fmt.Errorf("%s is missing", c.Name))
			continue
		}
		var one table.Vector
		if err := appendValue(&one, c.Type, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return json.Marshal(row)
}

// appendValue appends a value of JSON to a column.
func appendValue(to *table.Vector, t table.Type, v any) error {
	number, isNumber := v.(json.Number)
	text, isText := v.(string)
	switch t {
	case table.String:
		if !isText {
			return fmt.Errorf("%v is not a string", v)
		}
		to.Strings = append(to.Strings, text)
		return nil
	case table.Bool:
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("%v is neither true nor false", v)
		}
		to.Bools = append(to.Bools, b)
		return nil
	case table.Float:
		x, err := number.Float64()
		if !isNumber || err != nil {
			return fmt.Errorf("%v is not a number", v)
		}
		to.Floats = append(to.Floats, x)
		return nil
	case table.Timestamp:
		if isText {
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return fmt.Errorf("%q is not an RFC 3339 timestamp", text)
			}
			to.Ints = append(to.Ints, at.UnixMicro())
			return nil
		}
	}
	n, err := number.Int64()
	if !isNumber || err != nil {
		return fmt.Errorf("%v is not a whole number", v)
	}
	to.Ints = append(to.Ints, n)
	return nil
}

// parquet writes lines of labels as a Parquet file.
func (l labelling) parquet(lines []byte, path string) error {
	w, err := table.Create(path, l.columns)
	if err != nil {
		return err
	}
	defer w.Abort()
	b := table.Batch{Schema: l.columns, Columns: make([]table.Vector, len(l.columns))}
	for line := range slices.Values(bytes.Split(bytes.TrimSpace(lines), []byte("\n"))) {
		var row map[string]any
		if err := decodeNumbers(line, &row); err != nil {
			return err
		}
		for i, c := range l.columns {
			if err := appendValue(&b.Columns[i], c.Type, row[c.Name]); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
		b.Rows++
	}
	if err := w.Write(&b); err != nil {
		return err
	}
	return w.Close()
}
