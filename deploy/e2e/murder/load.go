package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	"millrace.dev/deploy/e2e/murder/checker"
)

// load sends one thing after the other until ctx ends. What is not answered is
// sent again sometimes, as people do.
func (w *world) load(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		if *w.address.Load() != "" {
			w.send(ctx, rng)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rng.Int64N(int64(80 * time.Millisecond)))):
		}
	}
}

func (w *world) send(ctx context.Context, rng *rand.Rand) {
	pipeline := pipelineNames[rng.IntN(len(pipelineNames))]
	var err error
	for range 2 {
		switch n := rng.IntN(100); {
		case n < 26:
			err = w.upload(ctx, rng, pipeline)
		case n < 32:
			err = w.remove(ctx, rng, pipeline)
		case n < 62:
			err = w.predict(ctx, rng, pipeline)
		case n < 66:
			err = w.label(ctx, rng, pipeline)
		case n < 74:
			err = w.ask(ctx, rng, pipeline)
		case n < 82:
			err = w.tell(ctx, rng, pipeline)
		case n < 88:
			err = w.land(rng, pipeline)
		default:
			if m := w.landing.next(rng); m != nil {
				err = w.deliver(ctx, m)
			}
		}
		if err == nil {
			return
		}
	}
}

// do sends a request to whoever answers now. Only what was answered is looked at.
func (w *world) do(ctx context.Context, method, path string, body []byte, header http.Header) (status int, answer []byte, err error) {
	address := *w.address.Load()
	if address == "" {
		return 0, nil, errors.New("nobody answers")
	}
	req, err := http.NewRequestWithContext(ctx, method, address+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	maps.Copy(req.Header, header)
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

func (w *world) promise(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.promised = append(w.promised, ids...)
}

// keysEach bounds the objects of each kind, so that they are replaced.
const keysEach = 6

// upload sends new rows, or the same as before, or what is no good.
func (w *world) upload(ctx context.Context, rng *rand.Rand, pipeline string) error {
	key := fmt.Sprintf("%s/%d", pipeline, rng.IntN(keysEach))
	if rng.IntN(5) == 0 {
		key = fmt.Sprintf("both/%d", rng.IntN(keysEach/2))
	}
	body, ending, good, err := w.rows(rng)
	if err != nil {
		return err
	}
	key += ending
	w.mu.Lock()
	if before := w.bytes[key]; before != nil && rng.IntN(4) == 0 {
		body = before
	} else {
		w.good[hexOf(body)] = good
	}
	w.bytes[key] = body
	w.mu.Unlock()
	status, answer, err := w.do(ctx, http.MethodPut, "/uploads/"+key, body, nil)
	if err != nil || status != http.StatusCreated {
		return err
	}
	return w.uploaded(answer)
}

func (w *world) uploaded(answer []byte) error {
	var said struct{ Uploads []struct{ Event string } }
	if err := json.Unmarshal(answer, &said); err != nil {
		return err
	}
	for _, u := range said.Uploads {
		w.promise(u.Event)
	}
	return nil
}

func hexOf(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// rows are an upload's bytes: most often good ones.
func (w *world) rows(rng *rand.Rand) (body []byte, ending string, good bool, err error) {
	n := 100 + rng.IntN(60)
	switch rng.IntN(10) {
	case 0:
		return w.tumours.csv(rng, n, "size"), ".csv", false, nil
	case 1:
		return w.tumours.csv(rng, 1+rng.IntN(50)), ".csv", false, nil
	case 2:
		return fmt.Appendf(nil, "this is no table, %d", rng.Uint64()), ".parquet", false, nil
	case 3, 4, 5:
		return w.tumours.csv(rng, n), ".csv", true, nil
	}
	body, err = w.tumours.parquet(rng, n, filepath.Join(w.dir, fmt.Sprintf("upload-%016x.parquet", rng.Uint64())))
	return body, ".parquet", true, err
}

func (w *world) remove(ctx context.Context, rng *rand.Rand, pipeline string) error {
	ending := []string{".csv", ".parquet"}[rng.IntN(2)]
	status, answer, err := w.do(ctx, http.MethodDelete, fmt.Sprintf("/uploads/%s/%d%s", pipeline, rng.IntN(keysEach), ending), nil, nil)
	if err != nil || status != http.StatusOK {
		return err
	}
	return w.uploaded(answer)
}

func (w *world) predict(ctx context.Context, rng *rand.Rand, pipeline string) error {
	id := fmt.Sprintf("%016x", rng.Uint64())
	for range 1 + rng.IntN(4) {
		rows := 1 + rng.IntN(20)
		status, _, err := w.do(ctx, http.MethodPost, "/v1/models/"+pipeline+":predict", w.tumours.instances(rng, rows), http.Header{"X-Request-Id": {id}})
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			w.mu.Lock()
			w.asked = append(w.asked, fmt.Sprintf("%s %s,%d", pipeline, id, rng.IntN(rows)))
			w.mu.Unlock()
		}
	}
	return nil
}

// label sends the truth of some predictions, and of some that nobody made.
func (w *world) label(ctx context.Context, rng *rand.Rand, pipeline string) error {
	var b bytes.Buffer
	b.WriteString("request_id,row,benign\n")
	w.mu.Lock()
	for range min(200, len(w.asked)) {
		if id, ok := bytes.CutPrefix([]byte(w.asked[rng.IntN(len(w.asked))]), []byte(pipeline+" ")); ok {
			fmt.Fprintf(&b, "%s,%t\n", id, rng.IntN(2) == 0)
		}
	}
	w.mu.Unlock()
	fmt.Fprintf(&b, "nobody,%d,true\n", rng.IntN(1000))
	status, answer, err := w.do(ctx, http.MethodPut, fmt.Sprintf("/uploads/%s-labels/%d.csv", pipeline, rng.IntN(keysEach)), b.Bytes(), nil)
	if err != nil || status != http.StatusCreated {
		return err
	}
	return w.uploaded(answer)
}

// ask is a person who wants something, and presses the button twice sometimes.
func (w *world) ask(ctx context.Context, rng *rand.Rand, pipeline string) error {
	what := []string{"retrain", "promote", "rollback", "evaluate"}[rng.IntN(4)]
	body := "{}"
	switch what {
	case "promote", "evaluate":
		body = fmt.Sprintf(`{"version": %d}`, 1+rng.IntN(30))
	case "retrain":
		body = fmt.Sprintf(`{"by": "murder", "params": {"n": %d}}`, rng.IntN(50))
	}
	header := http.Header{"Idempotency-Key": {fmt.Sprint(rng.Uint64())}}
	for range 1 + rng.IntN(2) {
		status, answer, err := w.do(ctx, http.MethodPost, "/api/pipelines/"+pipeline+"/"+what, []byte(body), header)
		if err != nil || status != http.StatusAccepted {
			return err
		}
		var said struct{ Event string }
		if err := json.Unmarshal(answer, &said); err != nil {
			return err
		}
		w.promise(said.Event)
	}
	return nil
}

// tell sends a CloudEvent, a new one or one that was sent before, long ago
// perhaps.
func (w *world) tell(ctx context.Context, rng *rand.Rand, pipeline string) error {
	id := fmt.Sprintf("told-%016x", rng.Uint64())
	kind, data := "dev.millrace.training.requested.v1", fmt.Sprintf(`{"by": "told", "params": {"n": %d}}`, rng.IntN(50))
	switch rng.IntN(6) {
	case 0:
		kind, data = "dev.millrace.rollback.requested.v1", `{"by": "told"}`
	case 1:
		kind, data = "dev.millrace.promotion.approved.v1", fmt.Sprintf(`{"version": %d, "by": "told"}`, 1+rng.IntN(30))
	case 2:
		kind, data = "com.example.something.happened", fmt.Sprintf(`{"n": %d}`, rng.IntN(9))
	case 3:
		due := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
		kind, data = "dev.millrace.schedule.ticked.v1", fmt.Sprintf(`{"schedule": "told", "action": %q, "due": %q}`,
			[]string{"retrain", "drift-check", "tick", "sweep"}[rng.IntN(4)], due)
	}
	body := fmt.Appendf(nil, `{"specversion": "1.0", "id": %q, "source": "/murder", "type": %q, "pipeline": %q, "data": %s}`, id, kind, pipeline, data)
	w.mu.Lock()
	if len(w.sent) > 0 && rng.IntN(3) == 0 {
		body, id = w.sent[rng.IntN(len(w.sent))], ""
	}
	w.sent = append(w.sent, body)
	w.mu.Unlock()
	status, _, err := w.do(ctx, http.MethodPost, "/events", body, http.Header{"Content-Type": {"application/cloudevents+json"}})
	if err == nil && status == http.StatusAccepted && id != "" && kind != "dev.millrace.schedule.ticked.v1" {
		w.promise(id)
	}
	return err
}

// land puts something into the bucket, or takes it away.
func (w *world) land(rng *rand.Rand, pipeline string) error {
	body, ending, good, err := w.rows(rng)
	if err != nil {
		return err
	}
	if rng.IntN(4) == 0 {
		body = nil
	}
	return w.landing.put(rng, fmt.Sprintf("%s/%d%s", pipeline, rng.IntN(keysEach/2), ending), body, good)
}

// deliver tells of a change in the bucket.
func (w *world) deliver(ctx context.Context, m *letter) error {
	status, answer, err := w.do(ctx, http.MethodPost, "/events", m.body, http.Header{"Content-Type": {"application/json"}})
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("a notification was answered with %d: %s", status, answer)
	}
	w.landing.delivered(m)
	return nil
}

// sample keeps the states as they are now, if it is known how far they reach:
// if the log has not grown meanwhile.
func (w *world) sample(ctx context.Context, address string) {
	for _, pipeline := range pipelineNames {
		before, errBefore := w.size(ctx, address)
		b, err := w.get(ctx, address+"/api/pipelines/"+pipeline)
		after, errAfter := w.size(ctx, address)
		if errors.Join(errBefore, err, errAfter) == nil && before == after {
			w.mu.Lock()
			w.served = append(w.served, checker.Served{Pipeline: pipeline, Sequence: before, State: b})
			w.mu.Unlock()
		}
	}
}

// past keeps the states as they were at a point of the log.
func (w *world) past(ctx context.Context, address string, sequence uint64) error {
	for _, pipeline := range pipelineNames {
		b, err := w.get(ctx, fmt.Sprintf("%s/api/pipelines/%s?seq=%d", address, pipeline, sequence))
		if errors.Is(err, errNotThere) {
			continue
		}
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.served = append(w.served, checker.Served{Pipeline: pipeline, Sequence: sequence, State: b})
		w.mu.Unlock()
	}
	return nil
}

var errNotThere = errors.New("it is not there")

func (w *world) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	switch err = errors.Join(err, resp.Body.Close()); {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, errNotThere
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	return b, nil
}

// size is how many events the log has.
func (w *world) size(ctx context.Context, address string) (uint64, error) {
	b, err := w.get(ctx, address+"/api/status")
	var said struct{ Log struct{ Events uint64 } }
	if err == nil {
		err = json.Unmarshal(b, &said)
	}
	return said.Log.Events, err
}
