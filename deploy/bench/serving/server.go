package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is one program that serves the model.
type server struct {
	name    string
	command []string
	env     []string
	dir     string
	path    string
	body    func(rows int) []byte
	whole   bool                            // it takes binary tensors and gRPC on the same port
	rpc     bool                            // it takes gRPC on a port of its own
	beside  func() (stop func(), err error) // what it needs, if anything
}

// running is a server that has given its first correct answer.
type running struct {
	cmd     *exec.Cmd
	address string
	log     string
	began   time.Time
	ended   chan error
	started time.Duration
}

// start starts the server and waits for its first correct answer to one row.
func (s server) start(port int, log string, want []float64, patience time.Duration) (*running, error) {
	r, err := s.launch(port, log)
	if err != nil {
		return nil, err
	}
	if err := s.await(r, want, patience); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// launch starts the server.
func (s server) launch(port int, log string) (*running, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	args := make([]string, len(s.command))
	for i, a := range s.command {
		args[i] = strings.ReplaceAll(a, "{port}", strconv.Itoa(port))
	}
	r := &running{cmd: exec.CommandContext(context.Background(), args[0], args[1:]...), address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = s.dir, out, out
	r.cmd.Env = append(append(os.Environ(), "PORT="+strconv.Itoa(port), "MLSERVER_HTTP_PORT="+strconv.Itoa(port), "MLSERVER_GRPC_PORT="+strconv.Itoa(port+ownPortAt), "GRPC_PORT="+strconv.Itoa(port+ownPortAt),
		"MILLRACE_INFERENCE_GRPC="+net.JoinHostPort("127.0.0.1", strconv.Itoa(port+ownPortAt)), "MILLRACE_LISTEN="+r.address), s.env...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its workers end with it
	r.log, r.ended, r.began = log, make(chan error, 1), time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { r.ended <- r.cmd.Wait() }()
	return r, nil
}

// await waits for the first answer, which has to be right unless want is nil.
func (s server) await(r *running, want []float64, patience time.Duration) error {
	json := s.ways(1)[0]
	last := errors.New("it did not listen")
	for time.Since(r.began) < patience {
		status, body, err := askOnce(r.address, json)
		switch {
		case err != nil:
		case status != 200:
			last = fmt.Errorf("it answered %d: %.300s", status, body)
		case want != nil && !holds(json.numbers(body), want):
			return fmt.Errorf("it answered wrongly: %.300s, want %v", body, want)
		default:
			r.started = time.Since(r.began)
			return nil
		}
		select {
		case err := <-r.ended:
			return fmt.Errorf("it ended (%w); see %s", err, r.log)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return fmt.Errorf("no correct answer in %s: %w; see %s", patience, last, r.log)
}

// stop ends the server and what it started.
func (r *running) stop() {
	group := -r.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	for range 100 {
		if syscall.Kill(group, 0) != nil {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
}

// usage is what the server's processes have taken: processor time so far, and
// memory and descriptors now.
type usage struct {
	cpu         time.Duration
	rss         int64
	anonymous   int64 // of rss, all but mapped files
	descriptors int
}

// ticks a second in /proc/<pid>/stat, on every Linux there is.
const ticks = 100

func (r *running) usage() (u usage) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	fields, children := map[string][]string{}, map[string][]string{}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(f) < 22 {
			continue
		}
		pid := filepath.Base(filepath.Dir(path))
		fields[pid] = f
		children[f[1]] = append(children[f[1]], pid)
	}
	tree := []string{strconv.Itoa(r.cmd.Process.Pid)}
	for len(tree) > 0 {
		pid := tree[0]
		tree = append(tree[1:], children[pid]...)
		f := fields[pid]
		if f == nil {
			continue
		}
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		pages, _ := strconv.ParseInt(f[21], 10, 64)
		u.cpu += time.Duration(user+system) * time.Second / ticks
		u.rss += pages * int64(os.Getpagesize())
		u.anonymous += anonymous(pid)
		descriptors, _ := os.ReadDir(filepath.Join("/proc", pid, "fd"))
		u.descriptors += len(descriptors)
	}
	return u
}

// anonymous is the memory of a process that is no mapped file.
func anonymous(pid string) int64 {
	raw, _ := os.ReadFile(filepath.Join("/proc", pid, "statm")) // nothing when it has ended
	f := strings.Fields(string(raw))
	if len(f) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(f[1], 10, 64)
	shared, _ := strconv.ParseInt(f[2], 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}
