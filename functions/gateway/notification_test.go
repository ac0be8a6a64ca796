package gateway

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
)

var update = flag.Bool("update", false, "write the golden files anew")

// told is a notice as the golden files have it.
type told struct {
	events.Object
	Removed bool   `json:"removed,omitempty"`
	By      string `json:"by"`
	Name    string `json:"name"`
}

// TestNotifications reads what the stores send, found by its members alone,
// and compares with the golden file beside it.
func TestNotifications(t *testing.T) {
	files, err := filepath.Glob("testdata/notifications/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			as, code, err := storeArrivals("", body)
			if err != nil {
				t.Fatal(err)
			}
			got := struct {
				Notices []told `json:"notices"`
				Code    string `json:"validationCode,omitempty"`
			}{[]told{}, code}
			for _, a := range as {
				got.Notices = append(got.Notices, told{a.notice.Object, a.notice.removed, a.notice.by, a.notice.name})
			}
			golden(t, "testdata/notifications/"+name+".golden", got)
		})
	}
}

func golden(t *testing.T, file string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNoticesThatAreWrong(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:          "neither a CloudEvent nor a notification",
		`[]`:          "neither a CloudEvent nor a notification",
		`{"Records":`: "neither a CloudEvent nor a notification",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%zz"}}}]}`:         "not URL-encoded",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"a/b"},"object":{"key":""}}}]}`:          "key is missing",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a%0Ab"}}}]}`:       "control characters",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a","size":-1}}}]}`: "negative",
		`{"message":{"attributes":{}},"subscription":"s"}`:                                                            "no attribute eventType",
		`{"message":null,"subscription":"s"}`:                                                                         "has no message",
		`{"message":{"data":"%%"},"subscription":"s"}`:                                                                "no push of Pub/Sub",
		`[{"eventType":"Microsoft.Storage.BlobCreated","subject":"/x","data":{}}]`:                                    "is not /blobServices",
		`[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{}}]`:                                 "no validationCode",
	} {
		_, _, err := storeArrivals("", []byte(body))
		if err == nil || !strings.Contains(err.Error(), want) || !poison(err) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestCauseOfANotice(t *testing.T) {
	base := notice{Object: events.Object{Bucket: "s3://b", Key: "k", Version: "1", Sequencer: "2", ETag: "e"}, name: "ObjectCreated:Put", id: "x"}
	same := base
	same.id, same.ETag = "y", "f"
	if base.cause() != same.cause() {
		t.Error("the same object told of twice has two causes")
	}
	for what, change := range map[string]func(*notice){
		"key": func(n *notice) { n.Key = "l" }, "version": func(n *notice) { n.Version = "2" },
		"sequencer": func(n *notice) { n.Sequencer = "3" }, "event": func(n *notice) { n.name = "ObjectRemoved:Delete" },
	} {
		other := base
		change(&other)
		if other.cause() == base.cause() {
			t.Errorf("another %s has the same cause", what)
		}
	}
	bare := notice{Object: events.Object{Bucket: "s3://b", Key: "k"}, id: "x"}
	again := bare
	again.id = "y"
	if bare.cause() == again.cause() {
		t.Error("notices that only their ids tell apart have the same cause")
	}
}

// FuzzStoreArrivals checks that what comes out of any body is well formed.
func FuzzStoreArrivals(f *testing.F) {
	files, _ := filepath.Glob("testdata/notifications/*.json")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, store := range []string{"", "s3", "gcs", "azure"} {
			f.Add(store, body)
		}
	}
	f.Fuzz(func(t *testing.T, store string, body []byte) {
		as, _, err := storeArrivals(store, body)
		if err != nil {
			if !poison(err) {
				t.Errorf("%q is to be sent again: %v", body, err)
			}
			return
		}
		for _, a := range as {
			if err := a.notice.check(); err != nil {
				t.Errorf("%q: %v", body, err)
			}
			if a.notice.removed {
				continue
			}
			if err := a.notice.data().Validate(); err != nil {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}
