package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"

	"millrace.dev/shared/eventlog/embedded"
)

// alone is the function by itself, as it runs on a cluster and as the peers
// do: the event log is another process's, this one's.
func alone(o options, work string) server {
	nats := net.JoinHostPort("127.0.0.1", fmt.Sprint(o.port+50))
	return server{
		name: "inference", path: inferPath, body: inferBody, rpc: true,
		command: []string{filepath.Join(o.root, "bin/inference")},
		env: []string{
			"MILLRACE_NATS=nats://" + nats, "MILLRACE_DIR=" + filepath.Join(work, "alone"), "MILLRACE_LOG=warn",
			"MILLRACE_ARTIFACTS=file://" + filepath.ToSlash(filepath.Join(work, "state/artifacts")),
		},
		beside: func() (stop func(), err error) { return serveLog(filepath.Join(work, "state/log"), nats) },
	}
}

// serveLog lets other processes reach an event log.
func serveLog(dir, address string) (stop func(), err error) {
	s, err := embedded.Start(context.Background(), embedded.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		s.Close()
		return nil, err
	}
	go func() {
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			inner, err := s.InProcessConn()
			if err != nil {
				outer.Close()
				continue
			}
			go pass(inner, outer)
			go pass(outer, inner)
		}
	}()
	return func() {
		l.Close()
		s.Close()
	}, nil
}

// pass hands on what one side says until it ends, which ends the other.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // how a connection ends is of no interest
	to.Close()
}
