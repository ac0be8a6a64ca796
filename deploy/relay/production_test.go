package relay_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"millrace.dev/shared/eventlog"
)

// secured is a NATS server with the configuration of the overlay production.
type secured struct {
	port  int
	roots *x509.CertPool
	// folder has the authority's certificate, as programs find it.
	folder string
	users  map[string]nkeys.KeyPair
}

func newSecured(t *testing.T) secured {
	t.Helper()
	dir := t.TempDir()
	s := secured{folder: filepath.Join(dir, "client"), roots: x509.NewCertPool(), users: map[string]nkeys.KeyPair{}}
	must(t, os.MkdirAll(filepath.Join(dir, "nats", "tls"), 0o750))
	must(t, os.MkdirAll(s.folder, 0o750))
	certificate, key := selfSigned(t)
	s.roots.AppendCertsFromPEM(certificate)
	must(t, os.WriteFile(filepath.Join(dir, "nats", "tls", "tls.crt"), certificate, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "nats", "tls", "tls.key"), key, 0o600))
	must(t, os.WriteFile(filepath.Join(s.folder, "ca.crt"), certificate, 0o600))

	accounts, err := os.ReadFile(filepath.Join("..", "knative", "base", "accounts.conf"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "accounts.conf"), accounts, 0o600))
	text, err := os.ReadFile(filepath.Join("..", "knative", "overlays", "production", "nats.conf"))
	must(t, err)
	file := filepath.Join(dir, "nats.conf")
	// The paths are this test's, and so is the port; all else is as it stands.
	conf := strings.NewReplacer("/etc/nats", filepath.Join(dir, "nats"), "/data/", dir+"/data/", "port: 4222", "listen: \"127.0.0.1:-1\"").Replace(string(text))
	must(t, os.WriteFile(file, []byte(conf), 0o600))
	t.Setenv("POD", "nats-0")
	for _, m := range regexp.MustCompile(`\$NATS_([A-Z_]+)`).FindAllStringSubmatch(string(accounts), -1) {
		key, err := nkeys.CreateUser()
		must(t, err)
		public, err := key.PublicKey()
		must(t, err)
		t.Setenv("NATS_"+m[1], public)
		s.users[strings.ReplaceAll(strings.ToLower(m[1]), "_", "-")] = key
	}
	o, err := server.ProcessConfigFile(file)
	must(t, err)
	o.NoSigs, o.NoLog = true, true
	n, err := server.NewServer(o)
	must(t, err)
	go n.Start()
	t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	if !n.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server was not ready within 30 s")
	}
	s.port = n.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
	return s
}

func (s secured) url() string { return fmt.Sprintf("tls://127.0.0.1:%d", s.port) }

func (s secured) dial(t *testing.T, user string) *nats.Conn {
	t.Helper()
	public, err := s.users[user].PublicKey()
	must(t, err)
	nc, err := eventlog.Connect(s.url(), nats.Nkey(public, s.users[user].Sign), nats.Secure(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}))
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

// selfSigned is a certificate for this machine, its own authority.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	bare, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bare})
}

// TestProduction: with accounts, rights and TLS as the overlay production wants them of a NATS, the relay's program does all it
// does without, as the user relay. What every user may and may not is tried in deploy/e2e/account.
func TestProduction(t *testing.T) {
	s := newSecured(t)
	w := newEnvOn(t, s.dial(t, "admin"), s.url())
	seed, err := s.users["relay"].Seed()
	must(t, err)
	t.Setenv("SSL_CERT_DIR", s.folder) // as the overlay sets it: the program trusts nothing else
	t.Setenv("MILLRACE_NATS_USER", "relay")
	t.Setenv("MILLRACE_NATS_SEED", string(seed))
	w.program(t, "127.0.0.1:0")
	asked := w.ask(t, 1)
	requested := w.record(t, "evaluate", asked)
	w.record(t, "train-launcher", requested[0])
}

// TestProductionStrangers: who has no key is not let in, nor is a server without a known certificate trusted.
func TestProductionStrangers(t *testing.T) {
	s := newSecured(t)
	if _, err := nats.Connect(s.url(), nats.Secure(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12})); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a stranger is answered %v", err)
	}
	public, err := s.users["admin"].PublicKey()
	must(t, err)
	if _, err := nats.Connect(s.url(), nats.Nkey(public, s.users["admin"].Sign)); err == nil {
		t.Error("a certificate of an unknown authority is trusted")
	}
}

// TestProductionSetup: `relay setup` creates what the programs need, and ends; a second one changes nothing.
func TestProductionSetup(t *testing.T) {
	s := newSecured(t)
	seed, err := s.users["setup"].Seed()
	must(t, err)
	for range 2 {
		cmd := exec.Command(os.Args[0], "setup")
		cmd.Env = append(os.Environ(), asProgram+"=1", "MILLRACE_NATS="+s.url(), "MILLRACE_NATS_USER=setup", "MILLRACE_NATS_SEED="+string(seed), "SSL_CERT_DIR="+s.folder)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	js, err := jetstream.New(s.dial(t, "admin"))
	must(t, err)
	for _, name := range []string{"EVENTS", "INBOX", "KV_STATES", "KV_ATTEMPTS", "KV_TAILS"} {
		if _, err := js.Stream(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
