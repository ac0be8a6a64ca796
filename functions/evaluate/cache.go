package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
)

// cache holds evaluations by their key: a file for each, which says where its report is. It may be deleted at any time.
type cache struct {
	dir   string
	store *artifact.Store
	mu    sync.Mutex
}

const (
	// maxCached is the number of evaluations in the cache. When there are more, the older half is deleted.
	maxCached      = 1000
	maxReportBytes = 64 << 20
	cachedSuffix   = ".evaluation.json"
	newPrefix      = "new-"
)

// removeNew removes the files that a killed process was writing.
func removeNew(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, newPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (k *cache) path(c *evaluation) string { return filepath.Join(k.dir, c.key()+cachedSuffix) }

// load returns the cached report of the same evaluation. If it cannot be read,
// the evaluation is computed again.
func (k *cache) load(ctx context.Context, c *evaluation) (*events.EvaluationReport, bool) {
	raw, err := os.ReadFile(k.path(c))
	if err != nil {
		return nil, false
	}
	var ref events.Ref
	if json.Unmarshal(raw, &ref) != nil || ref.Validate() != nil {
		return nil, false
	}
	if raw, err = k.store.Bytes(ctx, ref, maxReportBytes); err != nil {
		return nil, false
	}
	var r events.EvaluationReport
	if json.Unmarshal(raw, &r) != nil {
		return nil, false
	}
	r.Report = ref
	return &r, true
}

// save stores the report and sets its reference.
func (k *cache) save(ctx context.Context, c *evaluation, r *events.EvaluationReport) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if r.Report, err = k.store.PutBytes(ctx, raw, ".json"); err != nil {
		return err
	}
	if raw, err = json.Marshal(r.Report); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := os.CreateTemp(k.dir, newPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), k.path(c))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return k.forget()
}

func (k *cache) forget() error {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return err
	}
	type file struct {
		path string
		age  int64
	}
	var files []file
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), cachedSuffix) {
			files = append(files, file{filepath.Join(k.dir, e.Name()), info.ModTime().UnixNano()})
		}
	}
	if len(files) <= maxCached {
		return nil
	}
	slices.SortFunc(files, func(a, b file) int { return int(min(1, max(-1, a.age-b.age))) })
	for _, f := range files[:len(files)-maxCached/2] {
		err = errors.Join(err, os.Remove(f.path))
	}
	return err
}

// maxVerdicts is how many verdicts an event carries; the report has them all.
const maxVerdicts = 50

// event returns the event of a report: without slices, and with the verdicts
// that fit, those on single slices last.
func event(r *events.EvaluationReport) []events.Data {
	e := r.Evaluation
	e.Score.Slices = nil
	if e.Champion != nil {
		champion := *e.Champion
		champion.Slices = nil
		e.Champion = &champion
	}
	if len(e.Verdicts) > maxVerdicts {
		verdicts := slices.Clone(e.Verdicts)
		slices.SortStableFunc(verdicts, func(a, b events.Verdict) int { return single(a) - single(b) })
		e.Verdicts = verdicts[:maxVerdicts]
	}
	if r.Approved {
		return []events.Data{events.ModelApproved{Evaluation: e}}
	}
	return []events.Data{events.ModelRejected{Evaluation: e}}
}

// single is 1 for a verdict on one slice.
func single(v events.Verdict) int {
	if strings.Contains(v.Slice, "=") {
		return 1
	}
	return 0
}
