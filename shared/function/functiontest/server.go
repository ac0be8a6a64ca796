package functiontest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Servers starts n NATS servers with JetStream on loopback, as one cluster
// when there are several, and returns their URL. They end with the test.
func Servers(t testing.TB, n int) (url string, servers []*server.Server) {
	t.Helper()
	clusterPorts := FreePorts(t, n)
	var routes, urls []string
	for _, p := range clusterPorts {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	for i := range n {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: clusterPorts[i]}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}
		s, err := server.NewServer(o)
		must(t, err)
		go s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(30 * time.Second) {
			t.Fatal("a NATS server was not ready within 30 s")
		}
		urls = append(urls, s.ClientURL())
	}
	url = strings.Join(urls, ",")
	awaitJetStream(t, url)
	return url, servers
}

// awaitJetStream waits until the cluster has a leader that answers.
func awaitJetStream(t testing.TB, url string) {
	t.Helper()
	nc := Dial(t, url)
	js, err := jetstream.New(nc)
	must(t, err)
	for ctx := Context(t); ; {
		// A request that comes before there is a leader is never answered.
		attempt, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		_, err := js.AccountInfo(attempt)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		<-attempt.Done()
	}
}

// Dial connects to NATS until the test ends.
func Dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// FreePorts returns n ports of loopback that are free.
func FreePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
