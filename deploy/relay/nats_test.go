package relay_test

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"millrace.dev/events"
)

// natsAt runs a NATS server over a folder, on a port of its own or the one given.
func natsAt(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server was not ready within 30 s")
	}
	return s
}

// TestNATSRestarts: a relay outlives its NATS server's restarts. What was under
// way then is sent again, and what comes afterwards is sent.
func TestNATSRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsAt(t, dir, server.RANDOM_PORT)
	port := s.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
	w := newEnvOver(t, s.ClientURL())
	o := patient
	o.First, o.Max = 300*time.Millisecond, time.Second
	w.relay(t, o)
	w.record(t, "evaluate", w.ask(t, 1))
	var lost []events.Envelope
	for round := range 2 {
		w.broker.set(func() { w.broker.deaf = "evaluate" })
		e := w.ask(t, 10+round)
		w.until(t, "the broker has it", func() bool { return w.broker.count(e) > 0 })
		lost = append(lost, e)
		s.Shutdown()
		s.WaitForShutdown()
		w.broker.set(func() { w.broker.deaf = "" })
		s = natsAt(t, dir, port)
		w.record(t, "evaluate", e)
		after := w.ask(t, 20+round)
		w.record(t, "evaluate", after)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	for _, e := range lost {
		if n := w.broker.count(e); n < 2 {
			t.Errorf("%s was sent %d times", e.ID, n)
		}
	}
}
