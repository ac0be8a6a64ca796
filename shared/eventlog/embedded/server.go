// Package embedded runs a NATS server with JetStream inside the process, for a
// laptop: no port is opened, the log is a folder.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server is a NATS server in this process.
type Server struct {
	options Options
	conn    *nats.Conn
	lock    *os.File
	disk    *disk

	mu     sync.Mutex
	server *server.Server // another one after the disk was full
}

const (
	maxMemory = 64 << 20
	maxStore  = 1 << 50 // what the disk has
)

// Options of a server.
type Options struct {
	// Dir holds the streams. One process at a time uses it.
	Dir string
	// SyncAlways writes through to the disk before each answer: nothing is
	// lost at a power cut, and an append takes thirty times as long. Without
	// it nothing is lost at SIGKILL.
	SyncAlways bool
	Logger     *slog.Logger
}

// ErrInUse means that another process uses the folder.
var ErrInUse = errors.New("the folder is in use by another process")

// Start starts a server over the folder and connects to it.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	lock, err := lockDir(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, lock: lock, disk: newDisk(o.Dir)}
	wait := startWithin
	if t, ok := ctx.Deadline(); ok {
		wait = time.Until(t)
	}
	if err := s.start(wait); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go s.disk.watch(s)
	s.conn, err = nats.Connect("", nats.InProcessServer(s), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.Name("millrace"))
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("connect to the embedded NATS server: %w", err)
	}
	return s, nil
}

const (
	startWithin   = 30 * time.Second
	reconnectWait = 50 * time.Millisecond
)

// start starts a NATS server over the folder.
func (s *Server) start(within time.Duration) error {
	o := s.options
	started, err := server.NewServer(&server.Options{
		ServerName: "millrace", DontListen: true, JetStream: true, StoreDir: o.Dir, SyncAlways: o.SyncAlways,
		NoSigs: true, JetStreamMaxMemory: maxMemory, JetStreamMaxStore: maxStore,
	})
	if err != nil {
		return fmt.Errorf("start the embedded NATS server: %w", err)
	}
	started.SetLoggerV2(natsLogger{o.Logger, s.disk}, false, false, false)
	s.mu.Lock()
	s.server = started
	s.mu.Unlock()
	go started.Start()
	if !started.ReadyForConnections(within) {
		s.end()
		return fmt.Errorf("the embedded NATS server over %s was not ready within %s", o.Dir, within.Round(time.Second))
	}
	return nil
}

// end ends the NATS server.
func (s *Server) end() {
	s.mu.Lock()
	running := s.server
	s.mu.Unlock()
	running.Shutdown()
	running.WaitForShutdown()
}

// InProcessConn is a connection to the NATS server that runs now, for clients
// that connect again by themselves.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	running := s.server
	s.mu.Unlock()
	return running.InProcessConn()
}

// lockWithin is how long a lock is waited for: a process that was killed while
// it started another one leaves its files open in that one for a moment.
const lockWithin = 2 * time.Second

func lockDir(ctx context.Context, dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWithin)
	defer cancel()
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the log's folder: %w", err)
	}
	for syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("%s: %w; stop that one, or choose another folder", dir, ErrInUse)
		}
	}
	return f, nil
}

// Trouble says why the server can store nothing now, nil when it can.
func (s *Server) Trouble() error { return s.disk.trouble() }

// Conn is the connection into the server.
func (s *Server) Conn() *nats.Conn { return s.conn }

// Close drains the connection and stops the server; what was acknowledged is
// in its files.
func (s *Server) Close() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.disk.stop()
	s.end()
	s.lock.Close()
}

// natsLogger passes the server's warnings and errors on.
type natsLogger struct {
	log  *slog.Logger
	disk *disk
}

func (l natsLogger) Noticef(string, ...any)         {}
func (l natsLogger) Debugf(string, ...any)          {}
func (l natsLogger) Tracef(string, ...any)          {}
func (l natsLogger) Warnf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l natsLogger) Errorf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (l natsLogger) Fatalf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (l natsLogger) say(level slog.Level, format string, v []any) {
	message := fmt.Sprintf(format, v...)
	l.disk.logged(message)
	if l.log != nil {
		l.log.Log(context.Background(), level, "nats server", "message", message)
	}
}
