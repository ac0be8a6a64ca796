package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// nodeVariable makes a NATS server of this program.
const nodeVariable = "MILLRACE_E2E_NODE"

// node is a NATS server that is a process of its own, so that it can be killed.
type node struct {
	Name              string
	Port, ClusterPort int
	Routes, Dir       string
	User, Password    string
	cmd               *exec.Cmd
}

// serveNode is the process of a node.
func serveNode() int {
	var n node
	if err := json.Unmarshal([]byte(os.Getenv(nodeVariable)), &n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Dir, NoSigs: true, NoLog: true,
		Username: n.User, Password: n.Password,
	}
	if n.Routes != "" {
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: n.ClusterPort}
		o.Routes = server.RoutesFromStr(n.Routes)
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		fmt.Fprintf(os.Stderr, "the NATS server %s is not ready; are its ports %d and %d taken?\n", n.Name, n.Port, n.ClusterPort)
		return 1
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	s.Shutdown()
	s.WaitForShutdown()
	return 0
}

// startNodes starts one NATS server, or several as a cluster, until the test
// ends, and returns their URL.
func startNodes(t testing.TB, count int) (url string, nodes []*node) {
	t.Helper()
	var urls, routes []string
	ports := freePorts(t, 2*count)
	for i := range count {
		n := &node{Name: fmt.Sprintf("n%d", i+1), Port: ports[2*i], ClusterPort: ports[2*i+1], Dir: t.TempDir()}
		nodes = append(nodes, n)
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.Port))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", n.ClusterPort))
	}
	for _, n := range nodes {
		if count > 1 {
			n.Routes = strings.Join(routes, ",")
		}
		n.start(t)
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.end(t, syscall.SIGKILL)
		}
	})
	url = strings.Join(urls, ",")
	awaitJetStream(t, url)
	return url, nodes
}

// freePorts returns different ports on loopback that are not in use.
func freePorts(t testing.TB, count int) (ports []int) {
	t.Helper()
	for range count {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it listens on TCP
	}
	return ports
}

// start starts the server, over what it has kept.
func (n *node) start(t testing.TB) {
	t.Helper()
	settings, err := json.Marshal(n)
	must(t, err)
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+string(settings))
	n.cmd.Stderr = os.Stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, n.cmd.Start())
}

// end ends the server by the signal, and waits for it.
func (n *node) end(t testing.TB, s syscall.Signal) {
	if n.cmd == nil {
		return
	}
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
	_ = n.cmd.Wait() // it was killed
	n.cmd = nil
}

// awaitJetStream waits until the servers answer for JetStream.
func awaitJetStream(t testing.TB, url string) {
	t.Helper()
	var nc *nats.Conn
	eventually(t, "NATS", func() (err error) {
		nc, err = nats.Connect(url)
		return err
	})
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	eventually(t, "JetStream", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := js.AccountInfo(ctx)
		return err
	})
}

// current waits until every replica of the log has caught up, so that the next
// kill meets a healthy cluster.
func current(t testing.TB, url string) {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	eventually(t, "replicas", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := js.Stream(ctx, "EVENTS")
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != info.Config.Replicas-1 {
			return fmt.Errorf("the cluster is %+v", info.Cluster)
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline {
				return fmt.Errorf("%s is behind", r.Name)
			}
		}
		return nil
	})
}

// alone leaves the log on one server only, so that it can be read without the
// others, and returns its folder.
func alone(t testing.TB, url string, nodes []*node) string {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	s, err := js.Stream(t.Context(), "EVENTS")
	must(t, err)
	config := s.CachedInfo().Config
	config.Replicas = 1
	_, err = js.UpdateStream(t.Context(), config)
	must(t, err)
	var dir string
	eventually(t, "one replica", func() error {
		s, err := js.Stream(t.Context(), "EVENTS")
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		if info.Cluster == nil {
			dir = nodes[0].Dir
			return nil
		}
		if info.Cluster.Leader == "" || len(info.Cluster.Replicas) > 0 {
			return fmt.Errorf("%+v", info.Cluster)
		}
		for _, n := range nodes {
			if n.Name == info.Cluster.Leader {
				dir = n.Dir
			}
		}
		return nil
	})
	return dir
}
