package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/events"
	_ "millrace.dev/shared/artifact/s3" // artifact stores s3://
)

// faultyStore is a proxy between a system and its object store that spoils some of
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
	broken    = "broken"    // 500 InternalError, and nothing done
	unheard   = "unheard"   // the connection breaks before it is done
	halved    = "halved"    // the connection breaks in the middle of its body, which the store sees, too
	unsaid    = "unsaid"    // it is done, and the connection breaks before the answer
	truncated = "truncated" // the answer's body ends in the middle
)

// newFaultyStore is in front of the store at an URL; it spoils nothing yet.
func newFaultyStore(t testing.TB, store string) *faultyStore {
	t.Helper()
	to, err := url.Parse(store)
	must(t, err)
	return &faultyStore{
		store: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Host = r.In.Host // the signature has it
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { reset(w) },
			ErrorLog:     log.New(io.Discard, "", 0),
		},
		rng:    rand.New(rand.NewPCG(1, 2)), //nolint:gosec // the same faults each time are wanted
		faults: map[string]int{},
	}
}

// next is how the next request is spoiled, "" for not at all.
func (f *faultyStore) next() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rng.Int64N(100) >= f.percent.Load() {
		return ""
	}
	kinds := []string{slow, busy, broken, unheard, halved, unsaid, truncated}
	kind := kinds[f.rng.IntN(len(kinds))]
	f.faults[kind]++
	return kind
}

func (f *faultyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch kind := f.next(); kind {
	case slow:
		<-time.After(300 * time.Millisecond)
		f.store.ServeHTTP(w, r)
	case busy:
		refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case broken:
		refuse(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	case unheard:
		reset(w)
	case halved:
		if r.ContentLength > 1 {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), iotest.ErrReader(io.ErrUnexpectedEOF)))
			f.store.ServeHTTP(httptest.NewRecorder(), r)
		}
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

// refuse answers with an error as S3 does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
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
	for name, v := range map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_EC2_METADATA_DISABLED": "true"} {
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
	b := startBucket(t, secretKey)
	f := newFaultyStore(t, b.Server)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s := env.Start(t, env.Options{
		Pipelines: []string{tumours.Pipeline{Name: "stored"}.Write(t)},
		Change:    func(o *up.Options) { o.Artifacts = b.options(server.URL) },
	})
	w := s.Watch(t, "stored")
	f.percent.Store(33)
	var promised []string
	for i := range 3 {
		event, refused := upload(t, s, fmt.Sprintf("stored/data/%d.parquet", i), rows(t, uint64(i+1)))
		promised = append(promised, event)
		t.Logf("upload %d was refused %d times", i, refused)
	}
	env.Await[events.ModelPromoted](t, w)

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
	env.Await[events.DatasetValidated](t, w)
	s.Stop(t)
	sound(t, s.LogDir, promised)
	whole(t, b.objects(t))
	t.Logf("faults: %v", f.faults)
}

// whole checks that every object is what its name says.
func whole(t testing.TB, objects map[string][]byte) {
	t.Helper()
	for key, content := range objects {
		digest := sha256.Sum256(content)
		if name, _, _ := strings.Cut(path.Base(key), "."); !strings.HasSuffix(hex.EncodeToString(digest[:]), name) {
			t.Errorf("the object %s has the digest %x", key, digest)
		}
	}
	if len(objects) < 5 {
		t.Errorf("the store has %d objects", len(objects))
	}
}
