//go:build !race

package knative_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // registers s3://

	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
)

// put uploads some rows through the gateway, as an object of its own.
func (c *cluster) put(pipeline string, rows int) {
	c.Helper()
	key, content := c.object(pipeline, rows)
	file := filepath.Join(c.TempDir(), "rows.csv")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		c.Fatal(err)
	}
	c.until("upload "+key+" is taken", func() error {
		_, err := c.client.Upload(c.ctx, key, file, nil)
		return err
	})
}

// store puts some rows into the bucket; the S3 server notifies the internal gateway of them.
func (c *cluster) store(pipeline string, rows int) {
	c.Helper()
	key, content := c.object(pipeline, rows)
	c.Setenv("AWS_ACCESS_KEY_ID", "millrace")
	c.Setenv("AWS_SECRET_ACCESS_KEY", "millrace-local")
	server := c.kubectl("get", "service", "s3", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
	b, err := blob.OpenBucket(c.ctx, "s3://"+bucket+"?region=us-east-1&use_path_style=true&disable_https=true&endpoint=http://"+server+":7070")
	if err != nil {
		c.Fatal(err)
	}
	defer b.Close()
	if err := b.WriteAll(c.ctx, key, content, nil); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) object(pipeline string, rows int) (key string, content []byte) {
	c.Helper()
	c.objects[pipeline]++
	n := c.objects[pipeline]
	return fmt.Sprintf("%s/data/%03d.csv", pipeline, n), tumours.Draw(c, rows, uint64(n)).CSV()
}

// partitions waits until the dataset has every object that was uploaded.
func (c *cluster) partitions(pipeline string) {
	c.Helper()
	c.until(fmt.Sprintf("the dataset of %s has %d partitions", pipeline, c.objects[pipeline]), func() error {
		p, err := c.state(pipeline)
		switch {
		case err != nil:
			return err
		case len(p.Dataset.Partitions) != c.objects[pipeline]:
			return fmt.Errorf("it has %d", len(p.Dataset.Partitions))
		}
		return nil
	})
}

// routed waits until a version has its part of the traffic in the log.
func (c *cluster) routed(pipeline string, version int, percent float64) {
	c.Helper()
	c.until(fmt.Sprintf("v%d of %s has %g %% in the log", version, pipeline, percent), func() error {
		return c.hasRoute(pipeline, version, percent)
	})
}

func (c *cluster) hasRoute(pipeline string, version int, percent float64) error {
	p, err := c.state(pipeline)
	if err == nil && p.Route.Percent(version) != percent {
		err = fmt.Errorf("the route is %+v, the rollout %+v, the last run %+v", p.Route, p.Rollout, p.Runs[max(0, len(p.Runs)-1):])
	}
	return err
}

// traffic waits until the model's Service has the traffic: "v1 90, v2 10".
func (c *cluster) traffic(pipeline, want string) {
	c.Helper()
	c.until("the Service of "+pipeline+" has "+want, func() error {
		out, err := c.tryKubectl("get", "ksvc", service(pipeline), "-n", namespace, "-o", "json")
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
func (c *cluster) predict(pipeline, at string, n int) map[int]int {
	c.Helper()
	models, err := client.New(at, c.token())
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

// quiet waits until nothing is under way.
func (c *cluster) quiet() {
	c.Helper()
	c.until("nothing is under way", func() error {
		open, err := c.underWay()
		if err == nil && len(open) > 0 {
			err = fmt.Errorf("%s", strings.Join(open, "; "))
		}
		return err
	})
}

func (c *cluster) underWay() ([]string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	_, err := c.ledger.Follow(ctx, &http.Client{Transport: bearer(c.token())}, c.client.Server())
	return c.ledger.Open(), err
}

// bearer sends a token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}
