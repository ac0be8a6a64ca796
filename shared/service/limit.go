package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxConnections is how many connections a listener holds at most; fewer where
	// half of the process's file descriptors are.
	maxConnections = 16384
	// spareConnections are more that are accepted for the paths of health alone.
	spareConnections = 64
)

// connectionLimit returns how many connections a listener may hold.
func connectionLimit() int {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return maxConnections
	}
	return int(max(16, min(maxConnections, files.Cur/2)))
}

// connections bounds the connections of a listener, so that senders which open
// many leave descriptors for everything else. When there are too many, the one
// that has waited longest for a request makes room. When all are busy, a few more
// are accepted, on which only health is answered.
type connections struct {
	net.Listener
	most  int
	over  atomic.Int64 // connections that are open and beyond most
	mu    sync.Mutex
	conns map[*connection]struct{}
}

// connection is one of a listener's.
type connection struct {
	net.Conn
	of   *connections
	over bool
	// waiting is since when no request is read or answered, as Unix nanoseconds;
	// 0 while one is.
	waiting atomic.Int64
	closed  sync.Once
}

func limitConnections(l net.Listener, most int) *connections {
	return &connections{Listener: l, most: most, conns: map[*connection]struct{}{}}
}

// Accept waits for a connection. One that is too many is closed.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if n := c.add(conn); n != nil {
			return n, nil
		}
		_ = conn.Close() // the client can do nothing about an error
	}
}

// add returns the connection as one of the listener's, nil if there are too many.
func (c *connections) add(conn net.Conn) *connection {
	n := &connection{Conn: conn, of: c}
	n.waiting.Store(time.Now().UnixNano())
	c.mu.Lock()
	var evicted *connection
	if len(c.conns) >= c.most {
		if evicted = c.longest(); evicted != nil {
			c.remove(evicted)
		}
	}
	if n.over = len(c.conns) >= c.most; n.over {
		c.over.Add(1)
	}
	full := len(c.conns) >= c.most+spareConnections
	if !full {
		c.conns[n] = struct{}{}
	} else {
		c.over.Add(-1)
	}
	c.mu.Unlock()
	if evicted != nil {
		_ = evicted.Conn.Close()
	}
	if full {
		return nil
	}
	return n
}

// longest returns the connection that has waited longest for a request, nil if
// all are busy. The caller holds mu.
func (c *connections) longest() (found *connection) {
	since := int64(0)
	for conn := range c.conns {
		if w := conn.waiting.Load(); w != 0 && (found == nil || w < since) {
			found, since = conn, w
		}
	}
	return found
}

// remove forgets a connection. The caller holds mu.
func (c *connections) remove(conn *connection) {
	if _, there := c.conns[conn]; !there {
		return
	}
	delete(c.conns, conn)
	if conn.over {
		c.over.Add(-1)
	}
}

// Close closes the connection.
func (c *connection) Close() error {
	c.closed.Do(func() {
		c.of.mu.Lock()
		c.of.remove(c)
		c.of.mu.Unlock()
	})
	return c.Conn.Close()
}

// CloseWrite lets net/http end an answer that the client has not read yet.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ReadFrom lets the kernel copy files to the client.
func (c *connection) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// connState is the hook of http.Server that tells which connections wait.
func connState(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(*connection)
	if !ok {
		return
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.waiting.Store(time.Now().UnixNano())
	default:
		c.waiting.Store(0)
	}
}

type connectionKey struct{}

// connContext lets handlers find their connection.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if c, ok := conn.(*connection); ok && c.over {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	return ctx
}

var errTooMany = errors.New("too many connections are open; close some, or send several requests on each")

// healthAlways answers only health on the connections beyond the limit.
func (c *connections) healthAlways(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.over.Load() > 0 && r.Context().Value(connectionKey{}) != nil {
			w.Header().Set("Connection", "close")
			if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
				w.Header().Set("Retry-After", "1")
				http.Error(w, errTooMany.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
