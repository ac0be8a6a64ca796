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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
)

// secured is a NATS server with the configuration of the overlay production.
type secured struct {
	port  int
	roots *x509.CertPool
	// folder has the authority's certificate, as programs find it.
	folder string
}

func newSecured(t *testing.T) secured {
	t.Helper()
	dir := t.TempDir()
	s := secured{folder: filepath.Join(dir, "client"), roots: x509.NewCertPool()}
	must(t, os.MkdirAll(filepath.Join(dir, "nats", "tls"), 0o750))
	must(t, os.MkdirAll(s.folder, 0o750))
	certificate, key := selfSigned(t)
	s.roots.AppendCertsFromPEM(certificate)
	must(t, os.WriteFile(filepath.Join(dir, "nats", "tls", "tls.crt"), certificate, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "nats", "tls", "tls.key"), key, 0o600))
	must(t, os.WriteFile(filepath.Join(s.folder, "ca.crt"), certificate, 0o600))

	text, err := os.ReadFile(filepath.Join("..", "knative", "overlays", "production", "nats.conf"))
	must(t, err)
	file := filepath.Join(dir, "nats.conf")
	// The paths are this test's, and so is the port; all else is as it stands.
	conf := strings.NewReplacer("/etc/nats", filepath.Join(dir, "nats"), "/data/", dir+"/data/", "port: 4222", "listen: \"127.0.0.1:-1\"").Replace(string(text))
	must(t, os.WriteFile(file, []byte(conf), 0o600))
	t.Setenv("POD", "nats-0")
	for _, user := range []string{"SYS", "MILLRACE", "SENDER"} {
		t.Setenv(user+"_PASSWORD", password(strings.ToLower(user)))
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

func password(user string) string { return "secret-of-" + user }

func (s secured) url(user string) string {
	return fmt.Sprintf("tls://%s:%s@127.0.0.1:%d", user, password(user), s.port)
}

func (s secured) dial(t *testing.T, user string) *nats.Conn {
	t.Helper()
	nc, err := eventlog.Connect(s.url(user), nats.Secure(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}))
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

// TestProduction: with accounts, rights and TLS as the overlay production wants
// them of a NATS, the log, functions and the relay's program do all they do
// without, and nobody may take anything out of the log.
func TestProduction(t *testing.T) {
	s := newSecured(t)
	nc := s.dial(t, "millrace")
	w := newWorldOn(t, nc, s.url("millrace"))
	t.Setenv("SSL_CERT_DIR", s.folder) // as the overlay sets it: the program trusts nothing else
	w.program(t, "127.0.0.1:0")
	asked := w.ask(t, 1)
	requested := w.record(t, "evaluate", asked)
	w.record(t, "train-launcher", requested[0])

	js, err := jetstream.New(nc)
	must(t, err)
	ctx := t.Context()
	if err := js.DeleteStream(ctx, eventlog.Stream); err == nil {
		t.Error("the log can be deleted")
	}
	info, err := w.Log.JetStream().Stream(ctx, eventlog.Stream)
	must(t, err)
	if info.CachedInfo().State.Msgs == 0 {
		t.Error("the log is empty")
	}
}

// TestProductionSender: who may announce may do nothing else.
func TestProductionSender(t *testing.T) {
	s := newSecured(t)
	nc := s.dial(t, "sender")
	refused := make(chan error, 10)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	for _, subject := range []string{"events.flights.object.uploaded.gateway.0.0", "$JS.API.STREAM.CREATE.ANOTHER"} {
		must(t, nc.Publish(subject, []byte("{}")))
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", subject, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("a sender may publish %s", subject)
		}
	}
	if _, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", s.port), nats.Secure(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12})); err == nil {
		t.Error("a stranger is let in")
	}
	if _, err := nats.Connect(s.url("millrace")); err == nil {
		t.Error("a certificate of an unknown authority is trusted")
	}
}
