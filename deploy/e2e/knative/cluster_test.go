//go:build !race

package knative_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/install"
	"millrace.dev/shared/state"
)

const (
	namespace = "e2e-millrace"
	// careful has a canary before each new version and takes uploads from a
	// bucket too; direct puts versions live at once.
	careful = "careful"
	direct  = "direct"
	bucket  = "uploads"
	// patience is how long one look at the installation may take.
	patience = time.Minute
)

// service is the Service of Knative's that serves a pipeline's model.
func service(pipeline string) string { return "inference-" + pipeline }

// cluster is an installation on the cluster of KUBECONFIG.
type cluster struct {
	*testing.T
	ctx     context.Context //nolint:containedctx // of the whole test
	ingress string
	client  *client.Client
	rows    tumours.Rows
	// objects are how many were uploaded, by pipeline.
	objects map[string]int
	ledger  *checker.Ledger
}

// TestCluster is the whole chain on a real cluster, through Knative's broker,
// with functions that start from zero: an object in a bucket, the dataset, a
// Job that trains, a canary by revision, the promotion, the way back; then the
// same while pods, the relay, NATS and the broker's dispatcher are killed. In
// the end the log is held against the promises by the same checker as a log of
// one process. run.sh makes the images that it needs.
func TestCluster(t *testing.T) {
	if os.Getenv("MILLRACE_E2E_CLUSTER") == "" {
		t.Skip("no cluster was asked for: make e2e-cluster, with KUBECONFIG set, installs Millrace on one")
	}
	c := newCluster(t)
	c.foreign() // also wakes the internal gateway, for which the S3 server waits only three seconds
	c.first()
	c.canary()
	c.back()
	c.replayed()
	c.zero()
	c.timed("from zero", 1)
	c.timed("again", 2)
	c.killed()
	c.unable()
	c.promises()
	c.conflict()
}

// train is how the pipelines train: the trainer's image copies a model.
const train = `{command: [/ko-app/trainer, "{{params.model}}"], params: {model: good}, image: registry.localhost:5000/millrace/trainer, after: {rows: 400}}`

func newCluster(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{T: t, ctx: ctx, rows: tumours.Draw(t, 400, 1), objects: map[string]int{}}
	var err error
	if c.ledger, err = checker.NewLedger(); err != nil {
		t.Fatal(err)
	}
	// What an earlier run has left would be another history.
	// Services and pods go first and at once: a namespace would wait for as long
	// as the pods of a function may take to end, which is ten minutes.
	if _, err := c.tryKubectl("get", "namespace", namespace); err == nil {
		c.kubectl("delete", "ksvc,deployment,statefulset", "--all", "-n", namespace, "--wait", "--timeout=3m")
		c.kubectl("delete", "pod", "--all", "-n", namespace, "--force", "--grace-period=0")
		c.kubectl("delete", "namespace", namespace, "--wait", "--timeout=5m")
	}
	c.kubectl("delete", "persistentvolume", "e2e-millrace-nats", "--ignore-not-found", "--wait")
	c.emptyNode()
	folders := []string{
		tumours.Pipeline{Name: careful, Bucket: bucket, Spec: map[string]string{
			"train": train, "promote": "{strategy: canary, steps: [10, 100], advance: {requests: 40, within: 1h}}", "serve": "{target: 20}",
		}}.Write(t),
		tumours.Pipeline{Name: direct, Spec: map[string]string{"train": train, "promote": "{strategy: direct}"}}.Write(t),
	}
	began := time.Now()
	err = install.Run(ctx, install.Options{
		Overlay: filepath.Join("testdata", "overlay"), Pipelines: folders, Timeout: 15 * time.Minute, Out: os.Stdout, Progress: progress{t},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("installed after %s", time.Since(began).Round(time.Second))
	c.ingress = c.kubectl("get", "service", "kourier", "-n", "kourier-system", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	if c.ingress == "" {
		c.ingress = "10.244.0.1" // of a cluster without load balancers
	}
	if c.client, err = client.New(c.door("gateway"), c.token()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{careful, direct} {
		c.until("pipeline "+p+" is configured", func() error { _, err := c.state(p); return err })
	}
	return c
}

// token is the installation's token, which install has made.
func (c *cluster) token() string {
	c.Helper()
	encoded := c.kubectl("get", "secret", "millrace-token", "-n", namespace, "-o", "jsonpath={.data.MILLRACE_TOKEN}")
	token, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		c.Fatal(err)
	}
	return string(token)
}

// progress writes lines into the test's log.
type progress struct{ t *testing.T }

func (p progress) Write(b []byte) (int, error) {
	p.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	out, err := c.tryKubectl(args...)
	if err != nil {
		c.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (c *cluster) tryKubectl(args ...string) (string, error) {
	cmd := exec.CommandContext(c.ctx, "kubectl", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// emptyNode removes the folder that NATS keeps its files in from the node.
func (c *cluster) emptyNode() {
	c.Helper()
	if err := os.RemoveAll("/var/tmp/e2e-millrace"); err != nil {
		c.Fatal(err)
	}
}

// door is a URL at which a Service of Knative's answers.
func (c *cluster) door(service string) string {
	host := service + "." + namespace + ".example.com"
	target := &url.URL{Scheme: "http", Host: c.ingress}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = host
	}}
	s := httptest.NewServer(proxy)
	c.Cleanup(s.Close)
	return s.URL
}

// until polls until ok says nil.
func (c *cluster) until(what string, ok func() error) {
	c.Helper()
	began := time.Now()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(6 * time.Minute); ; {
		err := ok()
		if err == nil {
			c.Logf("%s after %.1f s", what, time.Since(began).Seconds())
			return
		}
		select {
		case <-deadline:
			c.Fatalf("not yet that %s: %v", what, err)
		case <-tick.C:
		}
	}
}

func (c *cluster) state(pipeline string) (*state.Pipeline, error) {
	p := new(state.Pipeline)
	return p, c.client.Get(c.ctx, p, nil, "api/pipelines", pipeline)
}
