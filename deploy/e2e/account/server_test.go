package account_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"millrace.dev/deploy/knative"
	"millrace.dev/deploy/knative/account"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function/functiontest"
)

// installation is a NATS with the files of an overlay, and its users.
type installation struct {
	url     string
	seeds   map[string]string
	servers []*server.Server
}

// install starts the NATS of an overlay: one server, or the three of a cluster.
func install(t *testing.T, conf string, n int) *installation {
	t.Helper()
	in := &installation{seeds: map[string]string{}}
	for _, user := range account.Users() {
		key, err := nkeys.CreateUser()
		must(t, err)
		seed, err := key.Seed()
		must(t, err)
		public, err := key.PublicKey()
		must(t, err)
		in.seeds[user] = string(seed)
		t.Setenv(account.Variable(user), public)
	}
	t.Setenv("NATS_CLUSTER", "c0ffee")
	ports := functiontest.FreePorts(t, n)
	for i := range 3 {
		t.Setenv(fmt.Sprintf("NATS_ROUTE_%d", i), fmt.Sprintf("nats://nats:c0ffee@127.0.0.1:%d", ports[i%n]))
	}
	var urls []string
	for i := range n {
		s := startNATS(t, conf, i, ports[i])
		in.servers = append(in.servers, s)
	}
	for _, s := range in.servers {
		if !s.ReadyForConnections(30 * time.Second) {
			t.Fatal("a NATS server was not ready within 30 s")
		}
		urls = append(urls, s.ClientURL())
	}
	in.url = strings.Join(urls, ",")
	return in
}

// startNATS starts a server with the files as they are: only ports, the host and the folder of the data are this test's.
func startNATS(t *testing.T, conf string, i, clusterPort int) *server.Server {
	t.Helper()
	dir := t.TempDir()
	for name, file := range map[string]string{"accounts.conf": "base/accounts.conf", "nats.conf": conf} {
		text, err := fs.ReadFile(knative.Files, file)
		must(t, err)
		out := strings.NewReplacer("port: 4222", "listen: \"127.0.0.1:-1\"", "http_port: 8222", "", "/data/", dir+"/data/",
			"port: 6222", fmt.Sprintf("listen: \"127.0.0.1:%d\"", clusterPort)).Replace(string(text))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(out), 0o600))
	}
	t.Setenv("POD", fmt.Sprintf("nats-%d", i))
	o, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	must(t, err)
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	must(t, err)
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// settings are what the manifests set for a program.
func (in *installation) settings(user string) eventlog.Server {
	return eventlog.Server{NATS: in.url, Replicas: len(in.servers), User: user, Seed: in.seeds[user]}
}

// dial connects as the user, with nothing of ours between.
func (in *installation) dial(t *testing.T, user string) *nats.Conn {
	t.Helper()
	key, err := nkeys.FromSeed([]byte(in.seeds[user]))
	must(t, err)
	public, err := key.PublicKey()
	must(t, err)
	nc, err := nats.Connect(in.url, nats.Nkey(public, key.Sign), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
