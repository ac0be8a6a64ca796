package validate_test

import (
	"fmt"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

func TestRemovedPartition(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.validated(r.ingest("shop/a", shop(good)))
	both := r.validated(r.ingest("shop/b", shop(good, good)))
	d := r.validated(r.remove("shop/a"))
	if names := fmt.Sprint(r.manifest(d)); names != "[shop/b]" || d.Partitions != 1 || d.Rows != 2 || d.Added != nil || d.RemovedObject != "shop/a" {
		t.Errorf("manifest %s of %+v", names, d)
	}
	if p := r.profile(d.Profile); p.Rows != 2 {
		t.Errorf("profile of %d rows", p.Rows)
	}

	last := r.validated(r.remove("shop/b"))
	if last.Partitions != 0 || last.Rows != 0 || len(r.manifest(last)) != 0 {
		t.Errorf("without any partition: %+v", last)
	}
	if ds := r.State(t, pipeline).Dataset; len(ds.Partitions) != 0 || ds.Snapshot != last.Snapshot {
		t.Errorf("dataset %+v", ds)
	}

	r.validated(r.ingest("shop/b", shop(good, good)))
	if again := r.validated(r.ingest("shop/a", shop(good))); again.Snapshot != both.Snapshot || again.Profile.Digest != both.Profile.Digest {
		t.Errorf("the same data is another snapshot: %+v, before %+v", again, both)
	}
}

func TestRemovalOfWhatIsNotInTheDataset(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.rejected(r.ingest("shop/a", shop(sale{"Rome", 2, true}, sale{"Rome", -1, true})))
	if why := r.nothing(r.remove("shop/a")); !strings.Contains(why, "no partition of shop/a") {
		t.Errorf("reason %q", why)
	}
}

func TestRemovalOfTheOneBeforeARejectedOne(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	first := r.validated(r.ingest("shop/a", shop(good)))
	r.rejected(r.ingest("shop/a", shop(sale{"Rome", -1, true})))
	if ds := r.State(t, pipeline).Dataset; len(ds.Partitions) != 1 {
		t.Fatalf("a rejection emptied the dataset: %+v", ds)
	}
	if d := r.validated(r.remove("shop/a")); d.Partitions != 0 || d.Removed != first.Added.Data.Digest {
		t.Errorf("got %+v", d)
	}
}

// A removal overtakes the validation of its partition.
func TestRemovalDuringValidation(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	ingested := r.ingest("shop/a", shop(good))
	removed := r.remove("shop/a")
	before := r.State(t, pipeline)
	d := r.validated(removed)
	if d.Partitions != 0 {
		t.Errorf("got %+v", d)
	}
	// It has moved the dataset, so that a validation which began before the
	// removal is decided again.
	if after := r.State(t, pipeline); after.Dataset.Event == before.Dataset.Event {
		t.Error("the dataset has not moved")
	}
	if why := r.nothing(ingested); !strings.Contains(why, "has been removed") {
		t.Errorf("reason %q", why)
	}
}

func TestRemovalThatComesAfterTheNextUpload(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.validated(r.ingest("shop/a", shop(good)))
	late := r.remove("shop/a")
	if why := r.nothing(r.ingest("shop/a", shop(good))); !strings.Contains(why, "in the dataset already") {
		t.Errorf("reason %q", why)
	}
	if why := r.nothing(late); !strings.Contains(why, "uploaded again") {
		t.Errorf("reason %q", why)
	}
	if o := r.object("shop/a"); o.Status != state.ObjectValid {
		t.Errorf("object %+v", o)
	}
}

func TestEqualRowsUnderTwoNames(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.validated(r.ingest("shop/a", shop(good)))
	d := r.validated(r.ingest("shop/b", shop(good)))
	if d.Partitions != 2 || len(d.Warnings) != 1 || d.Warnings[0].Check != "duplicate" || !strings.Contains(d.Warnings[0].Reason, "shop/a") {
		t.Errorf("got %+v", d)
	}
	if d := r.validated(r.remove("shop/a")); fmt.Sprint(r.manifest(d)) != "[shop/b]" {
		t.Errorf("got %+v", d)
	}
	if ds := r.State(t, pipeline).Dataset; len(ds.Partitions) != 1 || ds.Partitions[0].Object.Key != "shop/b" {
		t.Errorf("dataset %+v", ds)
	}
}

func TestUnknownUpload(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	if why := r.nothing(r.announceIngested("shop/never", shop(good))); !strings.Contains(why, "no upload") {
		t.Errorf("reason %q", why)
	}
}

func TestNoConfiguration(t *testing.T) {
	t.Parallel()
	r := newEnv(t, "")
	if got := one[events.DeadLetterRecorded](t, r.handle(r.ingest("shop/a", shop(good)))); !got.Rejected {
		t.Errorf("got %+v", got)
	}
}
