package embedded

import (
	"context"
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

// logged finds out from the server's log messages that the disk is full: the
// server does not report it in any other way.
func (d *disk) logged(message string) {
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
	return fmt.Errorf("%w: free some space on the disk of %s; Millrace then continues by itself", eventlog.ErrDiskFull, d.dir)
}

// stop ends watch.
func (d *disk) stop() {
	close(d.done)
	<-d.ended
}

// watch restarts the NATS server when a full disk has space again. The server
// reads what was stored from the disk, and cuts off a record that was written
// in part: it was never acknowledged. (JetStream alone could be restarted, but
// not while it has clients.)
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
			d.logged(err.Error())
			if o.Logger != nil {
				o.Logger.ErrorContext(context.Background(), "the event log could not continue after the disk was full", "error", err)
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
			o.Logger.WarnContext(context.Background(), "the disk has space again; the event log continues", "dir", d.dir)
		}
	}
}

// awaitSpace reports whether there is space, or false at the end.
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
