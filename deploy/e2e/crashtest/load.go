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

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/shared/access"
)

// load sends one request after the other until ctx ends. It sometimes repeats an
// unanswered request, as people do.
func (in *instance) load(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		if *in.address.Load() != "" {
			in.send(ctx, rng)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rng.Int64N(int64(80 * time.Millisecond)))):
		}
	}
}

func (in *instance) send(ctx context.Context, rng *rand.Rand) {
	pipeline := pipelineNames[rng.IntN(len(pipelineNames))]
	var err error
	for range 2 {
		switch n := rng.IntN(100); {
		case n < 26:
			err = in.upload(ctx, rng, pipeline)
		case n < 32:
			err = in.remove(ctx, rng, pipeline)
		case n < 62:
			err = in.predict(ctx, rng, pipeline)
		case n < 66:
			err = in.label(ctx, rng, pipeline)
		case n < 74:
			err = in.ask(ctx, rng, pipeline)
		case n < 82:
			err = in.post(ctx, rng, pipeline)
		case n < 88:
			err = in.change(rng, pipeline)
		default:
			if m := in.bucket.next(rng); m != nil {
				err = in.deliver(ctx, m)
			}
		}
		if err == nil {
			return
		}
	}
}

// do sends a request to the running process.
func (in *instance) do(ctx context.Context, method, path string, body []byte, header http.Header) (status int, answer []byte, err error) {
	address := *in.address.Load()
	if address == "" {
		return 0, nil, errors.New("no instance is up")
	}
	req, err := http.NewRequestWithContext(ctx, method, address+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	maps.Copy(req.Header, header)
	token, err := access.ReadTokenFile(filepath.Join(in.home(), up.TokenFile))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := in.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

func (in *instance) promise(ids ...string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.promised = append(in.promised, ids...)
}

// keysEach bounds the objects of each kind, so that they are replaced.
const keysEach = 6

// upload sends new rows, the same rows again, or invalid ones.
func (in *instance) upload(ctx context.Context, rng *rand.Rand, pipeline string) error {
	key := fmt.Sprintf("%s/%d", pipeline, rng.IntN(keysEach))
	if rng.IntN(5) == 0 {
		key = fmt.Sprintf("both/%d", rng.IntN(keysEach/2))
	}
	body, ending, good, err := in.rows(rng)
	if err != nil {
		return err
	}
	key += ending
	in.mu.Lock()
	if before := in.bytes[key]; before != nil && rng.IntN(4) == 0 {
		body = before
	} else {
		in.good[hexOf(body)] = good
	}
	in.bytes[key] = body
	in.mu.Unlock()
	status, answer, err := in.do(ctx, http.MethodPut, "/uploads/"+key, body, nil)
	if err != nil || status != http.StatusCreated {
		return err
	}
	return in.uploaded(answer)
}

func (in *instance) uploaded(answer []byte) error {
	var answered struct{ Uploads []struct{ Event string } }
	if err := json.Unmarshal(answer, &answered); err != nil {
		return err
	}
	for _, u := range answered.Uploads {
		in.promise(u.Event)
	}
	return nil
}

func hexOf(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// rows returns an upload's bytes, mostly valid ones.
func (in *instance) rows(rng *rand.Rand) (body []byte, ending string, good bool, err error) {
	n := 100 + rng.IntN(60)
	switch rng.IntN(10) {
	case 0:
		return in.tumours.csv(rng, n, "size"), ".csv", false, nil
	case 1:
		return in.tumours.csv(rng, 1+rng.IntN(50)), ".csv", false, nil
	case 2:
		return fmt.Appendf(nil, "this is not a table, %d", rng.Uint64()), ".parquet", false, nil
	case 3, 4, 5:
		return in.tumours.csv(rng, n), ".csv", true, nil
	}
	body, err = in.tumours.parquet(rng, n, filepath.Join(in.dir, fmt.Sprintf("upload-%016x.parquet", rng.Uint64())))
	return body, ".parquet", true, err
}

func (in *instance) remove(ctx context.Context, rng *rand.Rand, pipeline string) error {
	ending := []string{".csv", ".parquet"}[rng.IntN(2)]
	status, answer, err := in.do(ctx, http.MethodDelete, fmt.Sprintf("/uploads/%s/%d%s", pipeline, rng.IntN(keysEach), ending), nil, nil)
	if err != nil || status != http.StatusOK {
		return err
	}
	return in.uploaded(answer)
}

func (in *instance) predict(ctx context.Context, rng *rand.Rand, pipeline string) error {
	id := fmt.Sprintf("%016x", rng.Uint64())
	for range 1 + rng.IntN(4) {
		rows := 1 + rng.IntN(20)
		status, _, err := in.do(ctx, http.MethodPost, "/v1/models/"+pipeline+":predict", in.tumours.instances(rng, rows), http.Header{"X-Request-Id": {id}})
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			in.mu.Lock()
			in.asked = append(in.asked, fmt.Sprintf("%s %s,%d", pipeline, id, rng.IntN(rows)))
			in.mu.Unlock()
		}
	}
	return nil
}

// label sends the labels of some predictions, and one of an unknown prediction.
func (in *instance) label(ctx context.Context, rng *rand.Rand, pipeline string) error {
	var b bytes.Buffer
	b.WriteString("request_id,row,benign\n")
	in.mu.Lock()
	for range min(200, len(in.asked)) {
		if id, ok := bytes.CutPrefix([]byte(in.asked[rng.IntN(len(in.asked))]), []byte(pipeline+" ")); ok {
			fmt.Fprintf(&b, "%s,%t\n", id, rng.IntN(2) == 0)
		}
	}
	in.mu.Unlock()
	fmt.Fprintf(&b, "nobody,%d,true\n", rng.IntN(1000))
	status, answer, err := in.do(ctx, http.MethodPut, fmt.Sprintf("/uploads/%s-labels/%d.csv", pipeline, rng.IntN(keysEach)), b.Bytes(), nil)
	if err != nil || status != http.StatusCreated {
		return err
	}
	return in.uploaded(answer)
}

// ask sends a request to the API, sometimes twice.
func (in *instance) ask(ctx context.Context, rng *rand.Rand, pipeline string) error {
	what := []string{"retrain", "promote", "rollback", "evaluate"}[rng.IntN(4)]
	body := "{}"
	switch what {
	case "promote", "evaluate":
		body = fmt.Sprintf(`{"version": %d}`, 1+rng.IntN(30))
	case "retrain":
		body = fmt.Sprintf(`{"by": "crashtest", "params": {"n": %d}}`, rng.IntN(50))
	}
	header := http.Header{"Idempotency-Key": {fmt.Sprint(rng.Uint64())}}
	for range 1 + rng.IntN(2) {
		status, answer, err := in.do(ctx, http.MethodPost, "/api/pipelines/"+pipeline+"/"+what, []byte(body), header)
		if err != nil || status != http.StatusAccepted {
			return err
		}
		var answered struct{ Event string }
		if err := json.Unmarshal(answer, &answered); err != nil {
			return err
		}
		in.promise(answered.Event)
	}
	return nil
}

// post sends a CloudEvent: a new one, or one that was sent before.
func (in *instance) post(ctx context.Context, rng *rand.Rand, pipeline string) error {
	id := fmt.Sprintf("posted-%016x", rng.Uint64())
	kind, data := "dev.millrace.training.requested.v1", fmt.Sprintf(`{"by": "posted", "params": {"n": %d}}`, rng.IntN(50))
	switch rng.IntN(6) {
	case 0:
		kind, data = "dev.millrace.rollback.requested.v1", `{"by": "posted"}`
	case 1:
		kind, data = "dev.millrace.promotion.approved.v1", fmt.Sprintf(`{"version": %d, "by": "posted"}`, 1+rng.IntN(30))
	case 2:
		kind, data = "com.example.something.happened", fmt.Sprintf(`{"n": %d}`, rng.IntN(9))
	case 3:
		due := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
		kind, data = "dev.millrace.schedule.ticked.v1", fmt.Sprintf(`{"schedule": "posted", "action": %q, "due": %q}`,
			[]string{"retrain", "drift-check", "tick", "sweep"}[rng.IntN(4)], due)
	}
	body := fmt.Appendf(nil, `{"specversion": "1.0", "id": %q, "source": "/crashtest", "type": %q, "pipeline": %q, "data": %s}`, id, kind, pipeline, data)
	in.mu.Lock()
	if len(in.sent) > 0 && rng.IntN(3) == 0 {
		body, id = in.sent[rng.IntN(len(in.sent))], ""
	}
	in.sent = append(in.sent, body)
	in.mu.Unlock()
	status, _, err := in.do(ctx, http.MethodPost, "/events", body, http.Header{"Content-Type": {"application/cloudevents+json"}})
	if err == nil && status == http.StatusAccepted && id != "" && kind != "dev.millrace.schedule.ticked.v1" {
		in.promise(id)
	}
	return err
}

// change puts an object into the bucket, or removes one.
func (in *instance) change(rng *rand.Rand, pipeline string) error {
	body, ending, good, err := in.rows(rng)
	if err != nil {
		return err
	}
	if rng.IntN(4) == 0 {
		body = nil
	}
	return in.bucket.put(rng, fmt.Sprintf("%s/%d%s", pipeline, rng.IntN(keysEach/2), ending), body, good)
}

// deliver sends a notification of the bucket.
func (in *instance) deliver(ctx context.Context, n *notification) error {
	status, answer, err := in.do(ctx, http.MethodPost, "/events", n.body, http.Header{"Content-Type": {"application/json"}})
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("a notification was answered with %d: %s", status, answer)
	}
	in.bucket.delivered(n)
	return nil
}

// sample records the current states. It drops a state if the log has grown
// meanwhile, since its sequence is unknown then.
func (in *instance) sample(ctx context.Context, address string) {
	for _, pipeline := range pipelineNames {
		before, errBefore := in.size(ctx, address)
		b, err := in.get(ctx, address+"/api/pipelines/"+pipeline)
		after, errAfter := in.size(ctx, address)
		if errors.Join(errBefore, err, errAfter) == nil && before == after {
			in.mu.Lock()
			in.served = append(in.served, checker.Served{Pipeline: pipeline, Sequence: before, State: b})
			in.mu.Unlock()
		}
	}
}

// past records the states at a point of the log.
func (in *instance) past(ctx context.Context, address string, sequence uint64) error {
	for _, pipeline := range pipelineNames {
		b, err := in.get(ctx, fmt.Sprintf("%s/api/pipelines/%s?seq=%d", address, pipeline, sequence))
		if errors.Is(err, errNotThere) {
			continue
		}
		if err != nil {
			return err
		}
		in.mu.Lock()
		in.served = append(in.served, checker.Served{Pipeline: pipeline, Sequence: sequence, State: b})
		in.mu.Unlock()
	}
	return nil
}

var errNotThere = errors.New("it is not there")

func (in *instance) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := in.client.Do(req)
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
func (in *instance) size(ctx context.Context, address string) (uint64, error) {
	b, err := in.get(ctx, address+"/api/status")
	var answered struct{ Log struct{ Events uint64 } }
	if err == nil {
		err = json.Unmarshal(b, &answered)
	}
	return answered.Log.Events, err
}
