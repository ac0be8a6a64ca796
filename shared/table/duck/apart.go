package duck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/apart"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/source"
)

// Tasks are those of this package that a program does in a process of its own:
// see [apart.Main].
var Tasks = []apart.Task{convertTask, checkTask}

var (
	convertTask = apart.Task{Name: "convert-table", Do: serveConvert}
	checkTask   = apart.Task{Name: "check-table", Do: serveCheck}
)

// What a process has beside DuckDB's own memory and time.
const (
	moreMemory = 1 << 30
	moreTime   = 10 * time.Second
	maxFile    = 16 << 30 // as maxSpill
	openFiles  = 1024
)

// conversionWork is what ConvertApart hands to its process.
type conversionWork struct {
	Source  Source
	Prepare PrepareInput
	Zones   []string // of the columns of Prepare, "" for UTC
	Out     string
	Limits  Limits
}

// outcome is what comes back.
type outcome struct {
	Converted  *Converted
	Broken     []table.Broken
	Unreadable []*table.Unreadable
	Failure    string // what else went wrong
}

func outcomeOf(err error) (o outcome) {
	if o.Unreadable = table.Unreadables(err); o.Unreadable == nil && err != nil {
		o.Failure = err.Error()
	}
	return o
}

func (o outcome) err() error {
	if o.Failure != "" {
		return errors.New(o.Failure)
	}
	errs := make([]error, len(o.Unreadable))
	for i, u := range o.Unreadable {
		errs[i] = u
	}
	return errors.Join(errs...)
}

// ConvertApart is Convert in a process of its own, which may take only the
// files, memory and time of this conversion. Bytes or a statement that end it
// are an [table.Unreadable] as well.
func ConvertApart(ctx context.Context, src Source, prep *PrepareInput, out string, lim Limits) (*Converted, error) {
	lim = lim.WithDefaults()
	if prep == nil {
		prep = &PrepareInput{}
	}
	if _, err := os.Stat(src.Path); err != nil {
		return nil, err
	}
	w := conversionWork{Source: src, Prepare: *prep, Out: out, Limits: lim}
	if err := w.makeSendable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lim.Timeout+moreTime, tooLong(src.Name, lim))
	defer cancel()
	o, err := runApart(ctx, convertTask, w)
	if died, ok := errors.AsType[*apart.DiedError](err); ok {
		return nil, w.death(died)
	}
	if err != nil {
		return nil, fmt.Errorf("convert %s in a process of its own: %w", src.Name, err)
	}
	return o.Converted, o.err()
}

// makeSendable makes paths absolute, and zones names.
func (w *conversionWork) makeSendable() error {
	var errs []error
	absolute := func(path string) string {
		abs, err := filepath.Abs(path)
		errs = append(errs, err)
		return abs
	}
	w.Source.Path, w.Out = absolute(w.Source.Path), absolute(w.Out)
	if to := w.Prepare.SetAside; to != nil {
		own := *to
		own.Path = absolute(to.Path)
		w.Prepare.SetAside = &own
	}
	dataset, tables := make([]string, len(w.Prepare.Dataset)), map[string]string{}
	for i, path := range w.Prepare.Dataset {
		dataset[i] = absolute(path)
	}
	for name, path := range w.Prepare.Tables {
		tables[name] = absolute(path)
	}
	w.Prepare.Dataset, w.Prepare.Tables = dataset, tables
	columns := make([]source.Column, len(w.Prepare.Columns))
	for i, c := range w.Prepare.Columns {
		w.Zones = append(w.Zones, "")
		if c.Rule.Zone != nil {
			w.Zones[i], c.Rule.Zone = c.Rule.Zone.String(), nil
		}
		columns[i] = c
	}
	w.Prepare.Columns = columns
	return errors.Join(errs...)
}

// restore undoes makeSendable for the zones.
func (w *conversionWork) restore() (err error) {
	for i, name := range w.Zones {
		if name == "" {
			continue
		}
		if w.Prepare.Columns[i].Rule.Zone, err = time.LoadLocation(name); err != nil {
			return fmt.Errorf("load the zone of column %s: %w", w.Prepare.Columns[i].Name, err)
		}
	}
	return nil
}

// limits are those of the process.
func (w *conversionWork) limits() apart.Limits {
	l := apart.Limits{
		Memory: memoryBytes(w.Limits.Memory) + moreMemory, CPU: w.Limits.Timeout*time.Duration(max(1, w.Limits.Threads)) + moreTime,
		FileBytes: maxFile, Files: openFiles + 2*uint64(len(w.Prepare.Dataset)),
		Read: append([]string{w.Source.Path}, w.Prepare.Dataset...), Write: []string{filepath.Dir(w.Out)},
	}
	for _, path := range w.Prepare.Tables {
		l.Read = append(l.Read, path)
	}
	if to := w.Prepare.SetAside; to != nil {
		l.Write = append(l.Write, filepath.Dir(to.Path))
	}
	return l
}

// death is the rejection of what ended the process.
func (w *conversionWork) death(died *apart.DiedError) error {
	u := &table.Unreadable{Name: w.Source.Name}
	what := "the file"
	if w.Prepare.SQL != "" {
		what = "the file or prepare"
	}
	memory := w.limits().Memory
	switch {
	case died.OutOfTime():
		return tooLong(w.Source.Name, w.Limits)
	case died.OutOfMemory(memory):
		u.Reason, u.Try = fmt.Sprintf("reading it takes more than the %s of memory that are allowed", source.Size(int64(memory))), "split it, or make prepare simpler"
	default:
		u.Reason, u.Try = fmt.Sprintf("reading it ended the process that did so (%v): %s is damaged, or made to do so", died, what), "check where it comes from, and write it again"
	}
	return u
}

func tooLong(name string, lim Limits) *table.Unreadable {
	return &table.Unreadable{
		Name: name, Reason: fmt.Sprintf("reading it took longer than the %s that are allowed", lim.Timeout), Try: "split it, or make prepare simpler",
	}
}

func serveConvert(ctx context.Context, in io.Reader, out io.Writer) error {
	var w conversionWork
	if err := json.NewDecoder(in).Decode(&w); err != nil {
		return fmt.Errorf("read what to convert: %w", err)
	}
	err := w.restore()
	if err == nil {
		err = apart.Confine(w.limits())
	}
	var done *Converted
	if err == nil {
		done, err = Convert(ctx, w.Source, &w.Prepare, w.Out, w.Limits)
	}
	o := outcomeOf(err)
	o.Converted = done
	return json.NewEncoder(out).Encode(o)
}

// checkWork is what CheckSQLApart hands to its process.
type checkWork struct {
	Path, Scratch string
	Rules         []table.SQLRule
}

// checkTimeout is how long all checks of a table may take.
const checkTimeout = 5 * time.Minute

// CheckSQLApart is CheckSQL in a process of its own. A check that ends it breaks
// all rules, for nobody knows which of them it was.
func CheckSQLApart(ctx context.Context, path, scratch string, rules []table.SQLRule) ([]table.Broken, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	dir, err := tempDir(scratch)
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	w := checkWork{Scratch: dir, Rules: rules}
	if w.Path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	o, err := runApart(limited, checkTask, w)
	died, dead := errors.AsType[*apart.DiedError](err)
	switch {
	case dead:
		return w.allBroken(fmt.Sprintf("the checks ended the process that made them (%v)", died)), nil
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return w.allBroken(fmt.Sprintf("the checks took longer than the %s that are allowed", checkTimeout)), nil
	case err != nil:
		return nil, fmt.Errorf("check %s in a process of its own: %w", filepath.Base(path), err)
	}
	return o.Broken, o.err()
}

func (w *checkWork) allBroken(reason string) []table.Broken {
	broken := make([]table.Broken, len(w.Rules))
	for i, r := range w.Rules {
		broken[i] = table.Broken{Check: r.Name, Reason: reason, Fraction: 1, Allowed: r.MaxFraction}
	}
	return broken
}

func serveCheck(ctx context.Context, in io.Reader, out io.Writer) error {
	var w checkWork
	if err := json.NewDecoder(in).Decode(&w); err != nil {
		return fmt.Errorf("read what to check: %w", err)
	}
	err := apart.Confine(apart.Limits{
		Memory: memoryBytes(checkMemory) + moreMemory, CPU: checkTimeout * time.Duration(runtime.GOMAXPROCS(0)),
		FileBytes: maxFile, Files: openFiles, Read: []string{w.Path}, Write: []string{w.Scratch},
	})
	var broken []table.Broken
	if err == nil {
		broken, err = CheckSQL(ctx, w.Path, w.Scratch, w.Rules)
	}
	o := outcomeOf(err)
	o.Broken = broken
	return json.NewEncoder(out).Encode(o)
}

// runApart does the task in a process of its own.
func runApart(ctx context.Context, task apart.Task, work any) (o outcome, err error) {
	command, err := task.Command()
	if err != nil {
		return o, err
	}
	in, err := json.Marshal(work)
	if err != nil {
		return o, err
	}
	out, err := apart.Run(ctx, command, in)
	if err != nil {
		return o, err
	}
	answer := json.NewDecoder(bytes.NewReader(out))
	answer.UseNumber() // an int of an example is no float
	err = answer.Decode(&o)
	return o, err
}

// memoryBytes reads an amount of memory as DuckDB does: 512MB. Of other forms,
// such as a share of the machine's memory, it takes 4 GiB.
func memoryBytes(text string) uint64 {
	number := strings.TrimRight(text, "KMGTiB ")
	units := map[string]float64{"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
	n, err := strconv.ParseFloat(number, 64)
	unit, known := units[strings.TrimSpace(strings.TrimPrefix(text, number))]
	if err != nil || !known || n < 0 {
		return 4 << 30
	}
	return uint64(n * unit)
}
