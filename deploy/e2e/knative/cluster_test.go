//go:build !race

package knative_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/murder/checker"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/install"
	"millrace.dev/events"
	"millrace.dev/shared/state"
)

const (
	namespace = "e2e-millrace"
	pipeline  = "tumours"
	model     = "inference-" + pipeline
)

// cluster is an installation on the cluster of KUBECONFIG.
type cluster struct {
	*testing.T
	ctx     context.Context //nolint:containedctx // of the whole test
	ingress string
	client  *client.Client
	rows    tumours.Rows
	objects int
}

// TestCluster is the whole chain on a real cluster, through Knative's broker,
// with functions that start from zero: upload, dataset, versions by
// registration, a canary by revision, the promotion, the way back; then the
// same while pods, the relay, NATS and the broker's dispatcher are killed. In
// the end the log is held against the promises by the same checker as a log of
// one process. It needs the images of the overlay local (deploy/knative).
func TestCluster(t *testing.T) {
	if os.Getenv("MILLRACE_E2E_CLUSTER") == "" {
		t.Skip("no cluster was asked for: make e2e-cluster, with KUBECONFIG set, installs Millrace on one")
	}
	c := newCluster(t)
	c.chain()
	c.canary()
	c.back()
	c.zero()
	c.killed()
	c.unable()
	c.promises()
	c.conflict()
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{T: t, ctx: ctx, rows: tumours.Draw(t, 400, 1)}
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
	folder := tumours.Pipeline{Name: pipeline, Spec: map[string]string{
		// Without a run there is no hold-out to judge a version by, so nothing is gated.
		"train": "", "evaluate": "", "promote": "{strategy: canary, steps: [10, 100], advance: {requests: 40, within: 1h}}", "serve": "{target: 20}",
	}}.Write(t)
	began := time.Now()
	err := install.Run(ctx, install.Options{
		Overlay: filepath.Join("testdata", "overlay"), Pipelines: []string{folder}, Timeout: 15 * time.Minute, Out: os.Stdout, Progress: progress{t},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("installed after %s", time.Since(began).Round(time.Second))
	c.ingress = c.kubectl("get", "service", "kourier", "-n", "kourier-system", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	if c.ingress == "" {
		c.ingress = "10.244.0.1" // of a cluster without load balancers
	}
	if c.client, err = client.New(c.door("gateway"), ""); err != nil {
		t.Fatal(err)
	}
	c.until("the pipeline is configured", func() error { _, err := c.state(); return err })
	return c
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

func (c *cluster) state() (*state.Pipeline, error) {
	p := new(state.Pipeline)
	return p, c.client.Get(c.ctx, p, nil, "api/pipelines", pipeline)
}

// put uploads some rows as an object of its own.
func (c *cluster) put() {
	c.Helper()
	c.objects++
	file := filepath.Join(c.TempDir(), "rows.csv")
	if err := os.WriteFile(file, tumours.Draw(c, 150, uint64(c.objects)).CSV(), 0o600); err != nil {
		c.Fatal(err)
	}
	key := fmt.Sprintf("%s/data/%03d.csv", pipeline, c.objects)
	c.until("upload "+key+" is taken", func() error {
		_, err := c.client.Upload(c.ctx, key, file, nil)
		return err
	})
}

// partitions waits until the dataset has every object that was uploaded.
func (c *cluster) partitions() {
	c.Helper()
	c.until(fmt.Sprintf("the dataset has %d partitions", c.objects), func() error {
		p, err := c.state()
		switch {
		case err != nil:
			return err
		case len(p.Dataset.Partitions) != c.objects:
			return fmt.Errorf("it has %d", len(p.Dataset.Partitions))
		}
		return nil
	})
}

// register brings a model in and waits for the version's part of the traffic.
func (c *cluster) register(name string, version int, percent float64) {
	c.Helper()
	c.until(fmt.Sprintf("model %s is registered", name), func() error {
		_, err := c.client.Register(c.ctx, pipeline, name+".onnx", tumours.Model(c, name), "e2e")
		return err
	})
	c.until(fmt.Sprintf("v%d has %g %% in the log", version, percent), func() error { return c.routed(version, percent) })
}

func (c *cluster) routed(version int, percent float64) error {
	p, err := c.state()
	if err == nil && p.Route.Percent(version) != percent {
		err = fmt.Errorf("the route is %+v, the rollout %+v", p.Route, p.Rollout)
	}
	return err
}

// traffic waits until the model's Service has the traffic: "v1 90, v2 10".
func (c *cluster) traffic(want string) {
	c.Helper()
	c.until("the Service has "+want, func() error {
		out, err := c.tryKubectl("get", "ksvc", model, "-n", namespace, "-o", "json")
		if err != nil {
			return err
		}
		var s struct {
			Status struct {
				Traffic []struct {
					Tag     string
					Percent int
				}
			}
		}
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			return err
		}
		var parts []string
		for _, t := range s.Status.Traffic {
			parts = append(parts, fmt.Sprintf("%s %d", t.Tag, t.Percent))
		}
		if got := strings.Join(parts, ", "); got != want {
			return fmt.Errorf("it has %s", got)
		}
		return nil
	})
}

// predict asks n times and says how often each version answered.
func (c *cluster) predict(at string, n int) map[int]int {
	c.Helper()
	models, err := client.New(at, "")
	if err != nil {
		c.Fatal(err)
	}
	count := map[int]int{}
	for i := range n {
		out, err := models.Predict(c.ctx, pipeline, client.Ask{}, c.rows.Features(c, i, i+1))
		if err != nil {
			c.Fatal(err)
		}
		count[out.Version]++
	}
	return count
}

// chain: an upload becomes a dataset, a first version is served by a revision.
func (c *cluster) chain() {
	c.put()
	c.partitions()
	c.register(tumours.Good, 1, 100)
	c.traffic("v1 100")
	if got := c.predict(c.door(model), 20); got[1] != 20 {
		c.Errorf("answers by version: %v", got)
	}
}

// canary: the second version has a tenth of the requests, and then all.
func (c *cluster) canary() {
	c.register(tumours.Similar, 2, 10)
	c.traffic("v1 90, v2 10")
	if got := c.predict(c.door("v2-"+model), 3); got[2] != 3 {
		c.Errorf("the tag v2: %v", got)
	}
	door, sum := c.door(model), map[int]int{}
	c.until("v2 is promoted", func() error {
		for version, n := range c.predict(door, 100) {
			sum[version] += n
		}
		return c.routed(2, 100)
	})
	c.Logf("answers by version while v2 was the canary: %v", sum)
	c.traffic("v2 100, v1 0")
}

// back: a rollback is one change of the traffic, to a revision that is there.
func (c *cluster) back() {
	before := c.kubectl("get", "revisions", "-n", namespace, "-l", "serving.knative.dev/service="+model, "-o", "name")
	began := time.Now()
	if _, err := c.client.Rollback(c.ctx, pipeline, events.RollbackRequested{By: "e2e", Reason: "to see it go back"}); err != nil {
		c.Fatal(err)
	}
	c.until("v1 serves again", func() error { return c.routed(1, 100) })
	c.traffic("v1 100")
	c.Logf("from the wish to the traffic %s", time.Since(began).Round(time.Millisecond))
	if after := c.kubectl("get", "revisions", "-n", namespace, "-l", "serving.knative.dev/service="+model, "-o", "name"); len(after) > len(before) {
		c.Errorf("a revision was made:\n%s\nwere:\n%s", after, before)
	}
}

// zero: when nothing happens, no function has a pod; the next event wakes them.
func (c *cluster) zero() {
	c.until("every function is at zero", func() error {
		out, err := c.tryKubectl("get", "deployments", "-n", namespace, "-l", "serving.knative.dev/service", "-o", `jsonpath={range .items[?(@.spec.replicas>0)]}{.metadata.name} {end}`)
		if err == nil && out != "" {
			err = fmt.Errorf("%s have pods", out)
		}
		return err
	})
	c.put()
	c.partitions()
}

// killed: pods end in the middle of events, and each upload is in the dataset
// all the same, once.
func (c *cluster) killed() {
	for _, victim := range [][2]string{
		{namespace, "serving.knative.dev/service=ingest"},
		{namespace, "serving.knative.dev/service=validate"},
		{"knative-eventing", "messaging.knative.dev/channel=in-memory-channel,messaging.knative.dev/role=dispatcher"},
		{namespace, "app.kubernetes.io/name=relay"},
		{namespace, "app.kubernetes.io/name=nats"},
	} {
		for range 4 {
			c.put()
		}
		// What was sent a moment ago is under way now.
		c.Log(c.kubectl("delete", "pod", "-n", victim[0], "-l", victim[1], "--force", "--grace-period=0", "--ignore-not-found"))
	}
	c.put()
	c.again()
	c.partitions()
}

// again sends an event twice through the broker, to the gate.
func (c *cluster) again() {
	c.Helper()
	event := fmt.Sprintf(`{"specversion": "1.0", "id": "e2e-1", "source": "/e2e", "type": "com.example.thing", "pipeline": %q, "datacontenttype": "application/json", "data": {}}`, pipeline)
	ip := c.kubectl("get", "service", "broker-ingress", "-n", "knative-eventing", "-o", "jsonpath={.spec.clusterIP}")
	for range 2 {
		c.until("the broker takes an event", func() error {
			req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "http://"+ip+"/"+namespace+"/default", strings.NewReader(event))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/cloudevents+json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode/100 != 2 {
				return fmt.Errorf("it answers %s", resp.Status)
			}
			return nil
		})
	}
}

// unable: a version whose image cannot be pulled is taken out again, with the
// reason, and the traffic stays where it was.
func (c *cluster) unable() {
	image := c.kubectl("get", "ksvc", "inference", "-n", namespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	set := func(image string) {
		c.kubectl("patch", "ksvc", "inference", "-n", namespace, "--type=json", "-p",
			fmt.Sprintf(`[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": %q}]`, image))
	}
	set(image + "-of-another-world")
	c.register(tumours.Weak, 3, 10)
	c.until("v3 is taken out", func() error { return c.routed(1, 100) })
	for e, err := range c.client.Events(c.ctx, client.Query{Pipeline: pipeline, Types: []string{events.RolloutAborted{}.EventType()}}) {
		if err != nil {
			c.Fatal(err)
		}
		d, err := events.Decode[events.RolloutAborted](e)
		if err != nil {
			c.Fatal(err)
		}
		if d.Data.Version == 3 {
			c.Log(d.Data.Reason)
			if !strings.Contains(d.Data.Reason, "v3 cannot start") {
				c.Error("the reason does not say so")
			}
		}
	}
	c.traffic("v1 100")
	set(image)
}

// conflict: traffic that somebody else has taken is left to them, and said; the
// event is sent again when they have given it up.
func (c *cluster) conflict() {
	apply := func(spec string) {
		file := filepath.Join(c.TempDir(), "service.yaml")
		text := "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: " + model + ", namespace: " + namespace + "}\n" + spec
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			c.Fatal(err)
		}
		c.kubectl("apply", "--server-side", "--field-manager=somebody", "--force-conflicts", "-f", file)
	}
	apply("spec: {traffic: [{latestRevision: true, percent: 100}]}\n")
	if _, err := c.client.Promote(c.ctx, pipeline, events.PromotionApproved{Version: 2, By: "e2e"}); err != nil {
		c.Fatal(err)
	}
	var letter string
	c.until("a dead letter says whose the traffic is", func() error {
		p, err := c.state()
		if err != nil {
			return err
		}
		for _, l := range p.DeadLetters {
			if strings.Contains(l.Reason, "somebody") {
				letter = l.ID
				c.Log(l.Reason)
				return nil
			}
		}
		return fmt.Errorf("there are %d dead letters", len(p.DeadLetters))
	})
	apply("")
	if _, err := c.client.CloseDeadLetter(c.ctx, letter, "retry", "e2e", "somebody gave it up"); err != nil {
		c.Fatal(err)
	}
	c.traffic("v1 90, v2 10")
}

// promises holds the log against them, when nothing is under way any more.
func (c *cluster) promises() {
	ledger, err := checker.NewLedger()
	if err != nil {
		c.Fatal(err)
	}
	c.until("nothing is under way", func() error {
		if _, err := ledger.Follow(c.ctx, http.DefaultClient, c.client.Server()); err != nil {
			return err
		}
		if open := ledger.Open(); len(open) > 0 {
			return fmt.Errorf("%s", strings.Join(open, "; "))
		}
		return nil
	})
	ip := c.kubectl("get", "pod", "nats-0", "-n", namespace, "-o", "jsonpath={.status.podIP}")
	log, err := checker.Connect(c.ctx, "nats://"+ip+":4222")
	if err != nil {
		c.Fatal(err)
	}
	defer log.Close()
	report, err := checker.Check(log.Events, checker.Expected{Quiet: true})
	if err != nil {
		c.Fatal(err)
	}
	for _, v := range report.Violations {
		c.Error(v)
	}
	c.Logf("%d events, %d uploads, %d versions, %d promotions: no promise was broken beyond those above", report.Events, report.Uploads, report.Models, report.Promotions)
	if report.Uploads != c.objects {
		c.Errorf("%d uploads in the log, %d were made", report.Uploads, c.objects)
	}
}
