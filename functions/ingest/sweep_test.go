package ingest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"millrace.dev/events"
	"millrace.dev/functions/ingest"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"

	_ "millrace.dev/shared/artifact/s3"
)

// landing is a bucket in an S3 server of the test.
type landing struct {
	t *testing.T
	*s3mem.Backend
}

func newLanding(t *testing.T, cfg *ingest.Config) landing {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	b := landing{t, s3mem.New()}
	srv := httptest.NewServer(gofakes3.New(b.Backend).Server())
	t.Cleanup(srv.Close)
	if err := b.CreateBucket("landing"); err != nil {
		t.Fatal(err)
	}
	cfg.BucketOptions = "region=us-east-1&use_path_style=true&endpoint=" + srv.URL
	return b
}

func (b landing) put(key, content string) {
	b.t.Helper()
	if _, err := b.PutObject("landing", key, nil, strings.NewReader(content), int64(len(content)), nil); err != nil {
		b.t.Fatal(err)
	}
}

func (b landing) remove(key string) {
	b.t.Helper()
	if _, err := b.DeleteObject("landing", key); err != nil {
		b.t.Fatal(err)
	}
}

func (r env) tick(due string) events.Envelope {
	r.t.Helper()
	return r.Announce(r.t, pipeline, "gateway", events.ScheduleTicked{Schedule: "sweep", Action: "sweep", Due: due, Pipeline: pipeline})[0]
}

// keys are the keys of the events of the type T, in order.
func keys[T events.Data](t *testing.T, es []events.Envelope, key func(T) string) []string {
	t.Helper()
	var all []string
	for _, e := range es {
		if e.Type == (*new(T)).EventType() {
			all = append(all, key(functiontest.Data[T](t, e)))
		}
	}
	return all
}

func uploads(t *testing.T, es []events.Envelope) []string {
	return keys(t, es, func(d events.ObjectUploaded) string { return d.Name() })
}

func removals(t *testing.T, es []events.Envelope) []string {
	return keys(t, es, func(d events.ObjectRemoved) string { return d.Name() })
}

func TestSweep(t *testing.T) {
	cfg := settings()
	bucket := newLanding(t, &cfg)
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	bucket.put("shop/a.csv", shop)
	bucket.put("shop/deep/b.csv", shop+"Bonn,1,true\n")
	bucket.put("other/c.csv", shop)

	found := r.handle(r.tick("2026-03-01T00:00:00Z"))
	if got := fmt.Sprint(uploads(t, found)); got != "[s3://landing/shop/a.csv s3://landing/shop/deep/b.csv]" {
		t.Fatalf("the first sweep found %s", got)
	}
	part := r.ingested(found[0])
	wantRows(t, r.rows(part.Data), "city,price,sold", "Rome,2.5,true", "Oslo,1,false", "Rome,-,true")
	r.ingested(found[1])

	if why := r.nothing(r.tick("2026-03-02T00:00:00Z")); why != "nothing has changed: all 2 objects are known" {
		t.Errorf("the second sweep: %q", why)
	}

	bucket.put("shop/a.csv", "city,price,sold\nKiel,1,true\n")
	bucket.remove("shop/deep/b.csv")
	changed := r.handle(r.tick("2026-03-03T00:00:00Z"))
	if up, gone := fmt.Sprint(uploads(t, changed)), fmt.Sprint(removals(t, changed)); up != "[s3://landing/shop/a.csv]" || gone != "[s3://landing/shop/deep/b.csv]" {
		t.Errorf("the third sweep: changed %s, gone %s", up, gone)
	}
	if o := r.object("s3://landing/shop/deep/b.csv"); o.Status != state.ObjectRemoved {
		t.Errorf("object %+v", o)
	}
	if why := r.nothing(r.tick("2026-03-04T00:00:00Z")); why != "nothing has changed: all 1 objects are known" {
		t.Errorf("the fourth sweep: %q", why)
	}
	bucket.put("shop/deep/b.csv", shop)
	if back := r.handle(r.tick("2026-03-05T00:00:00Z")); fmt.Sprint(uploads(t, back)) != "[s3://landing/shop/deep/b.csv]" {
		t.Errorf("an object that came back: %v", back)
	}
}

func TestSweepAfterANotification(t *testing.T) {
	cfg := settings()
	bucket := newLanding(t, &cfg)
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	bucket.put("shop/a.csv", shop)
	listed := functiontest.Data[events.ObjectUploaded](t, r.handle(r.tick("2026-03-01T00:00:00Z"))[0])
	r.ingested(r.Announce(t, pipeline, "gateway", events.ObjectUploaded{
		Object: events.Object{Bucket: "s3://landing", Key: "shop/a.csv", ETag: `"` + listed.ETag + `"`, Size: listed.Size, Sequencer: "0A"}, By: "s3",
	})[0])
	if why := r.nothing(r.tick("2026-03-02T00:00:00Z")); !strings.Contains(why, "nothing has changed") {
		t.Errorf("reason %q", why)
	}
}

func TestSweepOfManyGoesOn(t *testing.T) {
	cfg := settings()
	bucket := newLanding(t, &cfg)
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	for i := range 501 {
		bucket.put(fmt.Sprintf("shop/%03d.csv", i), "x")
	}
	found := r.handle(r.tick("2026-03-01T00:00:00Z"))
	if n := len(uploads(t, found)); n != 500 {
		t.Fatalf("%d uploads", n)
	}
	tick := found[len(found)-1]
	if d := functiontest.Data[events.ScheduleTicked](t, tick); d.Due != "2026-03-01T00:00:00.000000001Z" || d.Action != "sweep" {
		t.Fatalf("tick %+v", d)
	}
	if got := fmt.Sprint(uploads(t, r.handle(tick))); got != "[s3://landing/shop/500.csv]" {
		t.Errorf("the rest is %s", got)
	}
}

func TestSweepOfEveryPipeline(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	d := events.ScheduleTicked{Schedule: "sweep", Action: "sweep", Due: "2026-03-01T00:00:00Z", Pipeline: events.NoPipeline}
	e := r.Announce(t, events.NoPipeline, "gateway", d)[0]
	if why := r.nothing(e); why != "1 pipelines sweep on their own" {
		t.Errorf("reason %q", why)
	}
	got := r.Events(t, pipeline, d.EventType())
	if tick := only[events.ScheduleTicked](t, got); tick.Pipeline != pipeline || tick.Due != d.Due {
		t.Errorf("tick %+v", tick)
	}
}

func TestObjectThatVanished(t *testing.T) {
	cfg := settings()
	bucket := newLanding(t, &cfg)
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	notify := func() events.Envelope {
		return r.Announce(t, pipeline, "gateway", events.ObjectUploaded{Object: events.Object{Bucket: "s3://landing", Key: "shop/a.csv"}, By: "s3"})[0]
	}
	if why := r.nothing(notify()); !strings.Contains(why, "no longer in its bucket") {
		t.Errorf("reason %q", why)
	}
	bucket.put("shop/a.csv", shop)
	r.join(r.ingested(notify()))
	bucket.remove("shop/a.csv")
	gone := r.handle(notify())
	if got := only[events.ObjectRemoved](t, gone); got.Name() != "s3://landing/shop/a.csv" {
		t.Errorf("got %+v", got)
	}
	only[events.PartitionRemoved](t, r.handle(gone[0]))
}

func TestLargeObjectOfABucket(t *testing.T) {
	cfg := settings()
	cfg.MaxBytes = 10
	bucket := newLanding(t, &cfg)
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	bucket.put("shop/a.csv", shop)
	got := only[events.PartitionRejected](t, r.handle(r.handle(r.tick("2026-03-01T00:00:00Z"))[0]))
	if !strings.Contains(got.Problems[0].Reason, "at most 10 are taken") {
		t.Errorf("problems %+v", got.Problems)
	}
}

func TestBucketThatRefusesIsTriedAgain(t *testing.T) {
	cfg := settings()
	newLanding(t, &cfg)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refuses.Close)
	cfg.BucketOptions = "region=us-east-1&use_path_style=true&endpoint=" + refuses.URL
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	if o := r.Deliver(t, r.f, ingest.Name, r.tick("2026-03-01T00:00:00Z")); o.Err == nil || len(o.Events) > 0 {
		t.Errorf("a sweep: %+v", o)
	}
	e := r.Announce(t, pipeline, "gateway", events.ObjectUploaded{Object: events.Object{Bucket: "s3://landing", Key: "shop/a.csv"}, By: "s3"})[0]
	if o := r.Deliver(t, r.f, ingest.Name, e); o.Err == nil || len(o.Events) > 0 {
		t.Errorf("an upload: %+v", o)
	}
}
