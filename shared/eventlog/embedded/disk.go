package embedded

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"millrace.dev/shared/eventlog"
)

const (
	// enough is the space with which a full disk is no longer called full.
	enough = 4 << 20
	// lookEvery is how often a full disk is looked at.
	lookEvery = 250 * time.Millisecond
)

// disk knows whether the server's disk is full. A stream that could not write
// once does not write again until its server is started anew, and never answers
// meanwhile: so that is done here, as soon as there is space.
type disk struct {
	dir   string
	full  atomic.Bool
	found chan struct{}
	done  chan struct{}
	ended chan struct{}
}

func newDisk(dir string) *disk {
	return &disk{dir: dir, found: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{})}
}

// heard takes from what the server says that the disk is full: it tells nobody
// else.
func (d *disk) heard(message string) {
	if !strings.Contains(message, syscall.ENOSPC.Error()) && !strings.Contains(message, syscall.EDQUOT.Error()) {
		return
	}
	d.full.Store(true)
	select {
	case d.found <- struct{}{}:
	default:
	}
}

func (d *disk) trouble() error {
	if !d.full.Load() {
		return nil
	}
	return fmt.Errorf("%w: free some space on the disk of %s; Millrace then goes on by itself", eventlog.ErrDiskFull, d.dir)
}

// stop ends watch.
func (d *disk) stop() {
	close(d.done)
	<-d.ended
}

// watch starts the NATS server anew whenever a full disk has space again. What
// was stored is read from the disk; a record that was written in part is cut
// off, it was never acknowledged. (JetStream alone could be started anew, but
// not while others ask it.)
func (d *disk) watch(s *Server) {
	defer close(d.ended)
	o := s.options
	for {
		select {
		case <-d.found:
		case <-d.done:
			return
		}
		if !d.awaitSpace() {
			return
		}
		s.end()
		if err := s.start(startWithin); err != nil {
			d.heard(err.Error())
			if o.Logger != nil {
				o.Logger.Error("the event log could not go on after the disk was full", "error", err)
			}
			select {
			case d.found <- struct{}{}: // again
			default:
			}
			continue
		}
		select {
		case <-d.found: // said of the JetStream before
		default:
		}
		d.full.Store(false)
		if o.Logger != nil {
			o.Logger.Warn("the disk has space again; the event log goes on", "dir", d.dir)
		}
	}
}

// awaitSpace tells whether there is space, or false at the end.
func (d *disk) awaitSpace() bool {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-d.done:
			return false
		case <-look.C:
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &fs); err == nil && int64(fs.Bavail)*int64(fs.Bsize) >= enough { //nolint:unconvert // of another size on other systems
			return true
		}
	}
}
