//go:build !race

package knative_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// kept are the former champions whose revisions stay (MILLRACE_SERVE_KEEP).
const kept = 2

// foreign: an event of another source, sent to the broker twice, is in the log
// once.
func (c *cluster) foreign() {
	event := fmt.Sprintf(`{"specversion": "1.0", "id": "e2e-1", "source": "/e2e", "type": "com.example.thing", "pipeline": %q, "datacontenttype": "application/json", "data": {}}`, careful)
	ip := c.kubectl("get", "service", "broker-ingress", "-n", "knative-eventing", "-o", "jsonpath={.spec.clusterIP}")
	for range 2 {
		c.until("the broker takes an event", func() error {
			ctx, cancel := context.WithTimeout(c.ctx, patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+ip+"/"+namespace+"/default", strings.NewReader(event))
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
	c.until("the event is in the log", func() error {
		var found int
		for e, err := range c.client.Events(c.ctx, client.Query{Pipeline: careful, Limit: 1000}) {
			if err != nil {
				return err
			}
			if e.ID == "e2e-1" {
				found++
			}
		}
		if found != 1 {
			return fmt.Errorf("it is there %d times", found)
		}
		return nil
	})
}

// first: an object in a bucket becomes a dataset, a Job's model is served by a
// revision.
func (c *cluster) first() {
	c.store(careful, 400)
	c.partitions(careful)
	c.routed(careful, 1, 100)
	c.traffic(careful, "v1 100")
	if got := c.predict(careful, c.door(service(careful)), 20); got[1] != 20 {
		c.Errorf("answers by version: %v", got)
	}
}

// canary: the second version has a tenth of the requests, and then all.
func (c *cluster) canary() {
	if _, err := c.client.Retrain(c.ctx, careful, events.TrainingRequested{By: "e2e", Params: map[string]any{"model": "similar"}}); err != nil {
		c.Fatal(err)
	}
	c.routed(careful, 2, 10)
	c.traffic(careful, "v1 90, v2 10")
	if got := c.predict(careful, c.door("v2-"+service(careful)), 3); got[2] != 3 {
		c.Errorf("the tag v2: %v", got)
	}
	door, sum := c.door(service(careful)), map[int]int{}
	c.until("v2 is promoted", func() error {
		for version, n := range c.predict(careful, door, 100) {
			sum[version] += n
		}
		return c.hasRoute(careful, 2, 100)
	})
	c.Logf("answers by version while v2 was the canary: %v", sum)
	c.traffic(careful, "v2 100, v1 0")
}

// replayed: the decisions of the past can be replayed on the cluster. Under the
// rules of that time they are the same; under a gate that nothing passes, v2 would
// not have been promoted.
func (c *cluster) replayed() {
	c.until("a replay answers", func() error { // the first one starts its pod
		report, err := c.client.Replay(c.ctx, careful, api.ReplayRequest{Function: "evaluate", From: 1, DryRun: true})
		if err == nil && (report.Replayed < 2 || len(report.Differences) > 0) {
			c.Errorf("under the same rules: %+v", report)
		}
		return err
	})
	rules := tumours.Pipeline{Name: careful, Bucket: bucket, Spec: map[string]string{
		"train": train, "evaluate": "{metrics: [roc_auc], gates: [{metric: roc_auc, min: 0.9999}]}",
	}}.Write(c.T)
	file, err := os.ReadFile(filepath.Join(rules, "pipeline.yaml"))
	if err != nil {
		c.Fatal(err)
	}
	report, err := c.client.Replay(c.ctx, careful, api.ReplayRequest{Function: "evaluate", From: 1, DryRun: true, Config: string(file)})
	if err != nil || len(report.Differences) < 2 {
		c.Errorf("under stricter gates: %+v, %v", report, err)
	}
	c.Logf("replay: %s", report.Summary)
}

// back: a rollback is one change of the traffic, to a revision that is there.
func (c *cluster) back() {
	before := c.kubectl("get", "revisions", "-n", namespace, "-l", "serving.knative.dev/service="+service(careful), "-o", "name")
	began := time.Now()
	if _, err := c.client.Rollback(c.ctx, careful, events.RollbackRequested{By: "e2e", Reason: "to see it go back"}); err != nil {
		c.Fatal(err)
	}
	c.routed(careful, 1, 100)
	c.traffic(careful, "v1 100")
	c.Logf("from the request to the traffic %s", time.Since(began).Round(time.Millisecond))
	if after := c.kubectl("get", "revisions", "-n", namespace, "-l", "serving.knative.dev/service="+service(careful), "-o", "name"); len(after) > len(before) {
		c.Errorf("a revision was made:\n%s\nwere:\n%s", after, before)
	}
}

// zero: when nothing happens, no function has a pod.
func (c *cluster) zero() {
	c.until("every function is at zero", func() error {
		out, err := c.tryKubectl("get", "deployments", "-n", namespace, "-l", "serving.knative.dev/service", "-o", `jsonpath={range .items[?(@.spec.replicas>0)]}{.metadata.name} {end}`)
		if err == nil && out != "" {
			err = fmt.Errorf("%s have pods", out)
		}
		return err
	})
}

// timed: an upload, through all functions and a Job, to a version that is live.
// It logs when each event was in the log.
func (c *cluster) timed(how string, version int) {
	began := time.Now()
	c.put(direct, 400)
	c.routed(direct, version, 100)
	inLog := time.Since(began)
	c.traffic(direct, c.live(version))
	served := time.Since(began)
	if got := c.predict(direct, c.door(service(direct)), 3); got[version] != 3 {
		c.Errorf("answers by version: %v", got)
	}
	var promoted time.Duration
	var trainer float64
	for e, err := range c.client.Events(c.ctx, client.Query{Pipeline: direct, Limit: 1000}) {
		if err != nil {
			c.Fatal(err)
		}
		after := e.Time.Sub(began)
		if after < 0 {
			continue
		}
		c.Logf("%s: %6.2f s %s", how, after.Seconds(), strings.TrimPrefix(e.Type, events.TypePrefix))
		switch e.Type {
		case events.ModelPromoted{}.EventType():
			promoted = after
		case events.TrainingCompleted{}.EventType():
			d, err := events.Decode[events.TrainingCompleted](e)
			if err != nil {
				c.Fatal(err)
			}
			trainer = d.Data.Seconds
		}
	}
	c.Logf("%s: promoted after %.1f s, including the trainer's own %.2f; seen after %.1f s; the revision has the traffic after %.1f s",
		how, promoted.Seconds(), trainer, inLog.Seconds(), served.Seconds())
}

// live is the traffic of a version that is all there is, beside what can be
// gone back to.
func (c *cluster) live(version int) string {
	parts := []string{fmt.Sprintf("v%d 100", version)}
	for v := version - 1; v > 0 && version-v <= kept; v-- {
		parts = append(parts, fmt.Sprintf("v%d 0", v))
	}
	return strings.Join(parts, ", ")
}

// killed: pods end in the middle of events, and each upload is in the dataset
// all the same, once. Uploads go on while they are killed, so that some
// events are under way then.
func (c *cluster) killed() {
	knative := "serving.knative.dev/service="
	for _, victim := range [][2]string{
		{namespace, knative + "ingest"},
		{namespace, knative + "validate"},
		{namespace, knative + "train-launcher"},
		{namespace, "millrace.dev/pipeline=" + direct}, // its runs, and its model
		{namespace, knative + "evaluate"},
		{namespace, knative + "promote"},
		{"knative-eventing", "messaging.knative.dev/channel=in-memory-channel,messaging.knative.dev/role=dispatcher"},
		{namespace, "app.kubernetes.io/name=relay"},
		{namespace, "app.kubernetes.io/name=nats"},
	} {
		c.put(direct, 150)
		c.put(direct, 150)
		if open, err := c.underWay(); err != nil {
			c.Logf("what is under way cannot be seen: %v", err)
		} else {
			c.Logf("%d events are under way", len(open))
		}
		killing := make(chan error, 1)
		go func() {
			out, err := c.tryKubectl("delete", "pod", "-n", victim[0], "-l", victim[1], "--force", "--grace-period=0", "--wait=false", "--ignore-not-found")
			c.Log(victim[1], out)
			killing <- err
		}()
		for range 4 {
			c.put(direct, 150)
		}
		if err := <-killing; err != nil {
			c.Fatal(err)
		}
	}
	c.partitions(direct)
	c.quiet()
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
	c.put(careful, 400)
	c.routed(careful, 3, 10)
	c.routed(careful, 1, 100)
	for e, err := range c.client.Events(c.ctx, client.Query{Pipeline: careful, Types: []string{events.RolloutAborted{}.EventType()}}) {
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
	c.traffic(careful, "v1 100")
	set(image)
}

// conflict: traffic that another field manager owns is left alone and reported;
// the event is sent again once the manager has released it.
func (c *cluster) conflict() {
	apply := func(spec string) {
		file := filepath.Join(c.TempDir(), "service.yaml")
		text := "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: " + service(careful) + ", namespace: " + namespace + "}\n" + spec
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			c.Fatal(err)
		}
		c.kubectl("apply", "--server-side", "--field-manager=somebody", "--force-conflicts", "-f", file)
	}
	apply("spec: {traffic: [{latestRevision: true, percent: 100}]}\n")
	if _, err := c.client.Promote(c.ctx, careful, events.PromotionApproved{Version: 2, By: "e2e"}); err != nil {
		c.Fatal(err)
	}
	var letter string
	c.until("a dead letter says whose the traffic is", func() error {
		p, err := c.state(careful)
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
	c.traffic(careful, "v1 90, v2 10")
}

// admin logs in to NATS as the user that may read everything.
func (c *cluster) admin() nats.Option {
	encoded := c.kubectl("get", "secret", "nats-admin", "-n", namespace, "-o", "jsonpath={.data.seed}")
	seed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		c.Fatal(err)
	}
	key, err := nkeys.FromSeed(seed)
	if err != nil {
		c.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		c.Fatal(err)
	}
	return nats.Nkey(public, key.Sign)
}

// promises holds the log against them, when nothing is under way any more.
func (c *cluster) promises() {
	c.quiet()
	ip := c.kubectl("get", "pod", "nats-0", "-n", namespace, "-o", "jsonpath={.status.podIP}")
	log, err := checker.Connect(c.ctx, "nats://"+ip+":4222", c.admin())
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
	c.Logf("%d events, %d uploads, %d runs, %d versions, %d promotions: no promise was broken beyond those above",
		report.Events, report.Uploads, report.Runs, report.Models, report.Promotions)
	if want := c.objects[careful] + c.objects[direct]; report.Uploads != want {
		c.Errorf("%d uploads in the log, %d were made", report.Uploads, want)
	}
}
