package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"millrace.dev/deploy/e2e/rig"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/events"
	_ "millrace.dev/shared/artifact/s3" // artifact stores s3://
)

// faultyStore stands between a system and its object store and spoils some of
// the requests.
type faultyStore struct {
	store http.Handler
	// percent of the requests that are spoiled.
	percent atomic.Int64

	mu     sync.Mutex
	rng    *rand.Rand
	faults map[string]int
}

// The ways in which a request is spoiled.
const (
	slow      = "slow"      // it is answered late
	busy      = "busy"      // 503 SlowDown, and nothing done
	unheard   = "unheard"   // the connection breaks before it is done
	unsaid    = "unsaid"    // it is done, and the connection breaks before the answer
	truncated = "truncated" // the answer's body ends in the middle
)

// next is how the next request is spoiled, "" for not at all.
func (f *faultyStore) next() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rng.Int64N(100) >= f.percent.Load() {
		return ""
	}
	kind := []string{slow, busy, unheard, unsaid, truncated}[f.rng.IntN(5)]
	f.faults[kind]++
	return kind
}

func (f *faultyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch kind := f.next(); kind {
	case slow:
		<-time.After(300 * time.Millisecond)
		f.store.ServeHTTP(w, r)
	case busy:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
	case unheard:
		reset(w)
	case unsaid, truncated:
		answer := httptest.NewRecorder()
		f.store.ServeHTTP(answer, r)
		if kind == truncated && answer.Body.Len() > 1 {
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
			_ = http.NewResponseController(w).Flush()
		}
		reset(w)
	default:
		f.store.ServeHTTP(w, r)
	}
}

// reset breaks the connection with a RST.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// setS3 sets what the S3 client wants to know.
func setS3() {
	for name, v := range map[string]string{"AWS_ACCESS_KEY_ID": "millrace", "AWS_SECRET_ACCESS_KEY": "millrace", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(name, v); err != nil {
			panic(err)
		}
	}
}

// TestStoreFails lets a third of the requests to the object store fail while a
// model is trained and promoted, then lets the store be away altogether. It
// costs time, and nothing else.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	memory := s3mem.New()
	must(t, memory.CreateBucket("artifacts"))
	f := &faultyStore{store: gofakes3.New(memory).Server(), rng: rand.New(rand.NewPCG(1, 2)), faults: map[string]int{}} //nolint:gosec // the same faults each time are wanted
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s := rig.Start(t, rig.Options{
		Pipelines: []string{tumours.Pipeline{Name: "stored"}.Write(t)},
		Change: func(o *up.Options) {
			o.Artifacts = "s3://artifacts?region=us-east-1&use_path_style=true&endpoint=" + server.URL
		},
	})
	w := s.Watch(t, "stored")
	f.percent.Store(33)
	var promised []string
	for i := range 3 {
		event, refused := upload(t, s, fmt.Sprintf("stored/data/%d.parquet", i), rows(t, uint64(i+1)))
		promised = append(promised, event)
		t.Logf("upload %d was refused %d times", i, refused)
	}
	rig.Await[events.ModelPromoted](t, w)

	f.percent.Store(100)
	down := make(chan struct{})
	go func() {
		defer close(down)
		<-time.After(3 * time.Second)
		f.percent.Store(0)
	}()
	event, _ := upload(t, s, "stored/data/last.parquet", rows(t, 100))
	promised = append(promised, event)
	<-down
	s.Settle(t)
	rig.Await[events.DatasetValidated](t, w)
	s.Stop(t)
	sound(t, s.LogDir, promised)
	whole(t, memory, "artifacts")
	t.Logf("faults: %v", f.faults)
}

// whole checks that every object is what its name says.
func whole(t testing.TB, store gofakes3.Backend, bucket string) {
	t.Helper()
	list, err := store.ListBucket(bucket, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	must(t, err)
	for _, c := range list.Contents {
		o, err := store.GetObject(bucket, c.Key, nil)
		must(t, err)
		h := sha256.New()
		_, err = io.Copy(h, o.Contents)
		must(t, err)
		o.Contents.Close()
		digest := hex.EncodeToString(h.Sum(nil))
		if name, _, _ := strings.Cut(path.Base(c.Key), "."); !strings.HasSuffix(digest, name) {
			t.Errorf("the object %s has the digest %s", c.Key, digest)
		}
	}
	if len(list.Contents) < 5 {
		t.Errorf("the store has %d objects", len(list.Contents))
	}
}
