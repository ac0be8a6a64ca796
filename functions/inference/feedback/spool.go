package feedback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
)

// Options are an installation's settings of feedback.
type Options struct {
	// Function emits the uploads.
	Function string
	// Rows and Every determine when kept labels become an upload.
	Rows  int
	Every time.Duration
	// MaxDisk bounds the labels on the local disk, in bytes.
	MaxDisk int64
}

// Spool keeps labels on the local disk until they are many or old enough to be
// an upload of their pipeline: a file a pipeline, of lines of JSON. Labels that
// were taken always become exactly one upload, if necessary by the next
// process: the file's name is the upload's cause. It is safe for concurrent
// use.
type Spool struct {
	dir     string
	options Options
	deps    function.Deps

	mu   sync.Mutex
	open map[string]*openFile // by pipeline
	size int64                // of all files
}

// openFile is a file that is being written to.
type openFile struct {
	file  *os.File
	rows  int
	began time.Time
}

const (
	spoolSuffix   = ".labels"
	parquetSuffix = ".parquet"
	// filePerm hides labels from other users of the machine.
	filePerm = 0o600
	// quiet is how long an error that repeats is not logged again.
	quiet = 10 * time.Second
	// uploadTimeout bounds one attempt to make an upload.
	uploadTimeout = 30 * time.Second
)

// Open returns a Spool in the folder dir, with the labels that an earlier
// process has kept there and not made an upload.
func Open(dir string, o Options, deps function.Deps) (*Spool, error) {
	s := &Spool{dir: dir, options: o, deps: deps, open: map[string]*openFile{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of labels: %w", err)
	}
	left, err := s.closed()
	if err != nil {
		return nil, fmt.Errorf("take up labels in %s: %w", dir, err)
	}
	for _, path := range left {
		if info, err := os.Stat(path); err == nil {
			s.size += info.Size()
		}
	}
	return s, nil
}

// Take keeps the labels in the body of a request, at most maxRows of them, and
// returns how many there are. They are on the local disk then. The error is a
// codec.Error if the labels are invalid.
func (s *Spool) Take(c *config.Pipeline, body []byte, maxRows int) (int, error) {
	l, err := labellingOf(c)
	if err != nil {
		return 0, err
	}
	lines, n, err := l.lines(body, maxRows)
	if err != nil {
		return 0, err
	}
	return n, s.add(c.Metadata.Name, lines, n)
}

// add keeps lines of labels, n of them, once it returns nil.
func (s *Spool) add(pipeline string, lines []byte, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size+int64(len(lines)) > s.options.MaxDisk {
		return &codec.Error{
			Status: http.StatusServiceUnavailable,
			Text:   "too many labels wait on the local disk for the object store or the event log", Hint: "try again later",
		}
	}
	o := s.open[pipeline]
	if o == nil {
		path := filepath.Join(s.dir, fmt.Sprintf("%s.%019d%s", pipeline, time.Now().UnixNano(), spoolSuffix))
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, filePerm)
		if err != nil {
			return fmt.Errorf("keep the labels: %w", err)
		}
		o = &openFile{file: file, began: time.Now()}
		s.open[pipeline] = o
	}
	written, err := o.file.Write(lines)
	s.size += int64(written)
	if err != nil {
		// Half of a request must not look like one: the file ends here.
		delete(s.open, pipeline)
		return errors.Join(fmt.Errorf("keep the labels: %w", err), o.file.Truncate(o.end(written)), o.file.Close())
	}
	if o.rows += n; o.rows >= s.options.Rows {
		delete(s.open, pipeline)
		return o.file.Close()
	}
	return nil
}

// end is the size of the file before the last n bytes.
func (o *openFile) end(n int) int64 {
	info, err := o.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size() - int64(n)
}

// closeOld closes the files that have been open for so long.
func (s *Spool) closeOld(after time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for pipeline, o := range s.open {
		if time.Since(o.began) >= after {
			delete(s.open, pipeline)
			errs = append(errs, o.file.Close())
		}
	}
	return errors.Join(errs...)
}

// closed lists the files that are not open for writing, oldest first in each pipeline.
func (s *Spool) closed() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := filepath.Glob(filepath.Join(s.dir, "*"+spoolSuffix))
	var paths []string
	for _, path := range all {
		pipeline, _, _ := strings.Cut(filepath.Base(path), ".")
		if o := s.open[pipeline]; o == nil || o.file.Name() != path {
			paths = append(paths, path)
		}
	}
	return paths, err
}

// Run makes uploads of what was kept until ctx ends.
func (s *Spool) Run(ctx context.Context) {
	var logged time.Time
	tick := time.NewTicker(min(s.options.Every, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.ship(ctx, s.options.Every); err != nil && ctx.Err() == nil && time.Since(logged) > quiet {
			logged = time.Now()
			s.deps.Logger.ErrorContext(ctx, "labels cannot be uploaded now; they are kept and tried again", "error", err)
		}
	}
}

// ship makes an upload of each file that has been open for so long.
func (s *Spool) ship(ctx context.Context, after time.Duration) error {
	err := s.closeOld(after)
	paths, listErr := s.closed()
	err = errors.Join(err, listErr)
	for _, path := range paths {
		err = errors.Join(err, s.upload(ctx, path))
	}
	return err
}

// upload makes the file's labels an upload of its pipeline.
func (s *Spool) upload(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	name := strings.TrimSuffix(filepath.Base(path), spoolSuffix)
	pipeline, _, _ := strings.Cut(name, ".")
	lines, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// A line without an end was not acknowledged: the process died while writing it.
	whole := lines[:bytes.LastIndexByte(lines, '\n')+1]
	if len(whole) > 0 {
		st, err := s.deps.States.Load(ctx, pipeline)
		if err != nil {
			return err
		}
		if err := s.emit(ctx, st.Config, name, whole); err != nil {
			return fmt.Errorf("labels of %s: %w", pipeline, err)
		}
	}
	s.mu.Lock()
	s.size -= int64(len(lines))
	s.mu.Unlock()
	return os.Remove(path)
}

func (s *Spool) emit(ctx context.Context, c *config.Pipeline, name string, lines []byte) error {
	if c == nil {
		return errors.New("the pipeline has no configuration")
	}
	l, err := labellingOf(c)
	if err != nil {
		return err
	}
	key := fmt.Sprintf(l.key, "feedback-"+name)
	var content events.Ref
	if strings.HasSuffix(key, ".parquet") {
		path := filepath.Join(s.dir, name+parquetSuffix)
		if err := l.parquet(lines, path); err != nil {
			return errors.Join(err, removed(path))
		}
		content, err = s.deps.Artifacts.PutFile(ctx, path, parquetSuffix, false)
		err = errors.Join(err, removed(path))
	} else {
		content, err = s.deps.Artifacts.PutBytes(ctx, lines, artifact.Suffix(key))
	}
	if err != nil {
		return err
	}
	_, err = s.deps.Log.Append(ctx, eventlog.Commit{
		Pipeline: c.Metadata.Name, Function: s.options.Function, Cause: events.Cause("feedback", name), Data: []events.Data{events.ObjectUploaded{
			Object:  events.Object{Key: key, ETag: strings.TrimPrefix(content.Digest, "sha256:"), Size: content.Size},
			Content: content, By: "feedback",
		}},
	})
	return err
}

// removed removes a file that may not be there.
func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Drain makes uploads of all that was kept, within ctx. What remains becomes
// one at the next start.
func (s *Spool) Drain(ctx context.Context) {
	if err := s.ship(ctx, 0); err != nil {
		s.deps.Logger.WarnContext(ctx, "labels are left on the disk and are uploaded at the next start", "error", err)
	}
}
