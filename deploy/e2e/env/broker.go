package env

import (
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Broker is a NATS server on loopback that can be stopped and started again.
type Broker struct {
	options server.Options
	server  *server.Server
}

// NewBroker starts a NATS server with JetStream, which ends with the test.
func NewBroker(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{options: server.Options{
		ServerName: "broker", Host: "127.0.0.1", Port: FreePort(t), JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}}
	b.Start(t)
	t.Cleanup(b.Stop)
	return b
}

// URL returns the server's URL, also while it is stopped.
func (b *Broker) URL() string {
	return "nats://" + (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: b.options.Port}).String()
}

// Start starts it again, with the data that it has stored.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	o := b.options // the server changes its own
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatalf("the NATS server was not ready within %s", patience)
	}
	b.server = s
}

// Stop ends it.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// FreePort returns a port on loopback that is not in use.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
}
