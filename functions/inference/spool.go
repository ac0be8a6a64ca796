package inference

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
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
)

// spools keep labels on the local disk until they are many or old enough to be
// an upload of their pipeline: a file a pipeline, of lines of JSON. Labels that
// were taken become one upload whatever happens, by the next process if need
// be: the file's name is the upload's cause.
type spools struct {
	f   *F
	dir string

	mu   sync.Mutex
	open map[string]*spool // by pipeline
	size int64             // of all files
}

// spool is a file that is being written to.
type spool struct {
	file  *os.File
	rows  int
	began time.Time
}

const spoolSuffix = ".labels"

func openSpools(dir string, f *F) (*spools, error) {
	s := &spools{f: f, dir: dir, open: map[string]*spool{}}
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

// add keeps lines of labels, n of them, once it returns nil.
func (s *spools) add(pipeline string, lines []byte, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size+int64(len(lines)) > s.f.cfg.LogDiskBytes {
		return mistakef(http.StatusServiceUnavailable, "too many labels wait on the local disk for the object store or the event log; try again later")
	}
	o := s.open[pipeline]
	if o == nil {
		path := filepath.Join(s.dir, fmt.Sprintf("%s.%019d%s", pipeline, time.Now().UnixNano(), spoolSuffix))
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, filePerm)
		if err != nil {
			return fmt.Errorf("keep the labels: %w", err)
		}
		o = &spool{file: file, began: time.Now()}
		s.open[pipeline] = o
	}
	written, err := o.file.Write(lines)
	s.size += int64(written)
	if err != nil {
		// Half of a request must not look like one: the file ends here.
		delete(s.open, pipeline)
		return errors.Join(fmt.Errorf("keep the labels: %w", err), o.file.Truncate(o.end(written)), o.file.Close())
	}
	if o.rows += n; o.rows >= s.f.cfg.LogRows {
		delete(s.open, pipeline)
		return o.file.Close()
	}
	return nil
}

// end is the size of the file before the last n bytes.
func (o *spool) end(n int) int64 {
	info, err := o.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size() - int64(n)
}

// cut closes the files that have been open for so long.
func (s *spools) cut(after time.Duration) error {
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

// closed lists the files that nobody writes to, oldest first in each pipeline.
func (s *spools) closed() ([]string, error) {
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

// run makes uploads of what was kept until ctx ends.
func (s *spools) run(ctx context.Context) {
	defer s.f.tasks.Done()
	tick := time.NewTicker(min(s.f.cfg.LogEvery, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.ship(ctx, s.f.cfg.LogEvery); err != nil && ctx.Err() == nil && s.f.noises.heard("labels") {
			s.f.deps.Logger.ErrorContext(ctx, "labels cannot be handed over now; they are kept and tried again", "error", err)
		}
	}
}

// ship makes an upload of each file that has been open for so long.
func (s *spools) ship(ctx context.Context, after time.Duration) error {
	err := s.cut(after)
	paths, listErr := s.closed()
	err = errors.Join(err, listErr)
	for _, path := range paths {
		err = errors.Join(err, s.upload(ctx, path))
	}
	return err
}

// upload makes the file's labels an upload of its pipeline.
func (s *spools) upload(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	name := strings.TrimSuffix(filepath.Base(path), spoolSuffix)
	pipeline, _, _ := strings.Cut(name, ".")
	lines, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// A line without an end was not answered: the process died over it.
	whole := lines[:bytes.LastIndexByte(lines, '\n')+1]
	if len(whole) > 0 {
		st, err := s.f.deps.States.Load(ctx, pipeline)
		if err != nil {
			return err
		}
		if err := s.announce(ctx, st.Config, name, whole); err != nil {
			return fmt.Errorf("labels of %s: %w", pipeline, err)
		}
	}
	s.mu.Lock()
	s.size -= int64(len(lines))
	s.mu.Unlock()
	return os.Remove(path)
}

func (s *spools) announce(ctx context.Context, c *config.Pipeline, name string, lines []byte) error {
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
		path := filepath.Join(s.dir, name+rowsSuffix)
		if err := l.parquet(lines, path); err != nil {
			return errors.Join(err, removed(path))
		}
		content, err = s.f.deps.Artifacts.PutFile(ctx, path, rowsSuffix, false)
		err = errors.Join(err, removed(path))
	} else {
		content, err = s.f.deps.Artifacts.PutBytes(ctx, lines, artifact.Suffix(key))
	}
	if err != nil {
		return err
	}
	_, err = s.f.deps.Log.Append(ctx, eventlog.Commit{
		Pipeline: c.Metadata.Name, Function: Name, Cause: events.Cause("feedback", name), Data: []events.Data{events.ObjectUploaded{
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

// drain makes uploads of all that was kept, within ctx. What remains becomes
// one at the next start.
func (s *spools) drain(ctx context.Context) {
	if err := s.ship(ctx, 0); err != nil {
		s.f.deps.Logger.WarnContext(ctx, "labels are left on the disk and are handed over at the next start", "error", err)
	}
}
