package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/functions/inference/oip"
)

const sealedToken = "open-sesame-open-sesame-open-sesame"

// TestTLS talks with a system on every address of the machine by TLS: HTTP/1.1,
// HTTP/2 and gRPC on the one port, and the command.
func TestTLS(t *testing.T) {
	if os.Getenv("MILLRACE_SERVER") != "" {
		t.Skip("it starts a system of its own")
	}
	ca := newAuthority(t)
	cert, key := ca.issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	var address string
	s := env.Start(t, env.Options{Pipelines: []string{tumours.Pipeline{Name: "sealed"}.Write(t)}, Change: func(o *up.Options) {
		o.Listen, o.Token, o.TLSCert, o.TLSKey = "0.0.0.0:0", sealedToken, cert, key
		started := o.Started
		o.Started = func(url string) { address = url; started(url) }
	}})
	u, err := url.Parse(address)
	must(t, err)
	host := net.JoinHostPort("127.0.0.1", u.Port())

	one, two := ca.client(1), ca.client(2)
	upload := one.ask(t, http.MethodPut, "https://"+host+"/uploads/sealed/data/a.parquet", tumours.Draw(t, 300, 1).Parquet(t))
	if upload.StatusCode/100 != 2 {
		t.Fatalf("the upload is answered %s", upload.Status)
	}
	rows := []byte(`{"inputs": [` + tensor("mean_texture", 17) + "," + tensor("mean_smoothness", 0.1) + "," + tensor("mean_symmetry", 0.2) + "," + tensor("mean_concavity", 0.05) + `]}`)
	var answers []string
	for _, c := range []caCaller{one, two} {
		for ctx := env.Context(t); ; { // until it is served
			answer := c.ask(t, http.MethodPost, "https://"+host+"/v2/models/sealed/infer", rows)
			if answer.StatusCode == http.StatusOK {
				if answer.ProtoMajor != c.version || answer.TLS == nil || answer.TLS.Version < tls.VersionTLS12 {
					t.Errorf("it is answered by %s and %+v", answer.Proto, answer.TLS)
				}
				answers = append(answers, outputs(t, answer.body))
				break
			}
			must(t, ctx.Err())
			<-time.After(20 * time.Millisecond)
		}
	}
	if answers[0] != answers[1] {
		t.Errorf("HTTP/1.1 is answered %s, HTTP/2 %s", answers[0], answers[1])
	}
	t.Run("gRPC", func(t *testing.T) { sealedRPC(t, ca, host) })
	t.Run("WithoutToken", func(t *testing.T) {
		for _, c := range []caCaller{one, two} {
			c.token = ""
			if a := c.ask(t, http.MethodGet, "https://"+host+"/api/status", nil); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("it is answered %s", a.Status)
			}
		}
	})
	t.Run("OtherAuthority", func(t *testing.T) {
		stranger := newAuthority(t).client(2)
		_, err := stranger.send(t, http.MethodGet, "https://"+host+"/healthz", nil)
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
			t.Errorf("a certificate of a stranger is taken: %v", err)
		}
	})
	t.Run("WithoutTLS", func(t *testing.T) {
		if a := one.ask(t, http.MethodGet, "http://"+host+"/api/status", nil); a.StatusCode != http.StatusBadRequest || !strings.Contains(string(a.body), "HTTPS server") {
			t.Errorf("it is answered %s: %s", a.Status, a.body)
		}
	})
	t.Run("Command", func(t *testing.T) { sealedCommand(t, ca, host) })
	s.Stop(t)
	held(t, s, checker.Expected{})
}

// sealedRPC asks by gRPC, with the token and without.
func sealedRPC(t *testing.T, ca authority, host string) {
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(credentials.NewTLS(ca.trust())))
	must(t, err)
	defer conn.Close()
	in := &oip.ModelInferRequest{ModelName: "sealed"}
	for name, v := range map[string]float64{"mean_texture": 17, "mean_smoothness": 0.1, "mean_symmetry": 0.2, "mean_concavity": 0.05} {
		in.Inputs = append(in.Inputs, &oip.ModelInferRequest_InferInputTensor{
			Name: name, Datatype: "FP64", Shape: []int64{1}, Contents: &oip.InferTensorContents{Fp64Contents: []float64{v}},
		})
	}
	c := oip.NewGRPCInferenceServiceClient(conn)
	out, err := c.ModelInfer(metadata.AppendToOutgoingContext(env.Context(t), "authorization", "Bearer "+sealedToken), in)
	if err != nil || len(out.GetOutputs()) == 0 {
		t.Errorf("it is answered %v, %v", out, err)
	}
	if _, err := c.ModelInfer(env.Context(t), in); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without the token it is answered %v", err)
	}
}

// sealedCommand asks by the command, which trusts whom the machine trusts.
func sealedCommand(t *testing.T, ca authority, host string) {
	program := env.Build(t)
	for name, c := range map[string]struct {
		roots, want string
	}{
		"trusted": {ca.file, "sealed"},
		"unknown": {newAuthority(t).file, "certificate signed by unknown authority"},
	} {
		cmd := exec.CommandContext(env.Context(t), program, "status", "--server", "https://"+host) //nolint:gosec // it was built for this
		cmd.Env = append(os.Environ(), "MILLRACE_TOKEN="+sealedToken, "SSL_CERT_FILE="+c.roots, "SSL_CERT_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if (err == nil) != (name == "trusted") || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestCertificates: a certificate that cannot be used is refused with a reason.
func TestCertificates(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	good, key := ca.issue(t, now.Add(-time.Hour), now.Add(time.Hour))
	old, oldKey := ca.issue(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, earlyKey := ca.issue(t, now.Add(time.Hour), now.Add(2*time.Hour))
	for _, c := range []struct {
		name, cert, key string
		words           []string
	}{
		{"Old", old, oldKey, []string{old, "expired at", "renew it"}},
		{"Early", early, earlyKey, []string{early, "is not valid before", "clock"}},
		{"OtherKey", good, oldKey, []string{good, oldKey, "private key does not match"}},
		{"KeyForCertificate", key, key, []string{"read the certificate " + key}},
		{"NotThere", filepath.Join(t.TempDir(), "none.pem"), key, []string{"none.pem", "no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := env.Try(t, env.Options{Change: func(o *up.Options) { o.TLSCert, o.TLSKey = c.cert, c.key }})
			if err == nil {
				t.Fatal("it started")
			}
			says(t, err.Error(), c.words...)
		})
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// file has its certificate.
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{file: filepath.Join(t.TempDir(), "authority.pem")}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue makes a certificate for loopback and returns its files.
func (a authority) issue(t *testing.T, from, to time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "millrace"}, NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", private)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// trust is the settings of a client that trusts the authority and no other.
func (a authority) trust() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// caCaller is a client that speaks one version of HTTP.
type caCaller struct {
	version int
	token   string
	http    *http.Client
}

func (a authority) client(version int) caCaller {
	var p http.Protocols
	p.SetHTTP1(version == 1)
	p.SetHTTP2(version == 2)
	return caCaller{version, sealedToken, &http.Client{Transport: &http.Transport{TLSClientConfig: a.trust(), Protocols: &p}}}
}

// sealedAnswer is an answer whose body was read.
type sealedAnswer struct {
	*http.Response
	body []byte
}

func (c caCaller) ask(t *testing.T, method, url string, body []byte) sealedAnswer {
	t.Helper()
	a, err := c.send(t, method, url, body)
	must(t, err)
	return a
}

func (c caCaller) send(t *testing.T, method, url string, body []byte) (sealedAnswer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	must(t, err)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return sealedAnswer{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return sealedAnswer{answer, text}, err
}

// tensor is an input of one number.
func tensor(name string, v float64) string {
	b, _ := json.Marshal(map[string]any{"name": name, "shape": []int{1}, "datatype": "FP64", "data": []float64{v}}) // it is plain data
	return string(b)
}

// outputs are what is in an answer for the rows themselves.
func outputs(t *testing.T, body []byte) string {
	t.Helper()
	var a struct {
		Outputs json.RawMessage `json:"outputs"`
	}
	must(t, json.Unmarshal(body, &a))
	return string(a.Outputs)
}
