package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// Upload uploads a file under a key. Uploading the same bytes again is not a
// second upload. progress, unless nil, is called with the number of bytes sent.
func (c *Client) Upload(ctx context.Context, key, file string, progress func(sent, size int64)) (api.Uploads, error) {
	var out api.Uploads
	err := c.put(ctx, file, c.url(nil, "uploads", key), progress, &out)
	return out, err
}

// Register registers the model in a file as the next version of a pipeline.
func (c *Client) Register(ctx context.Context, pipeline, name, file, by string) (api.Registered, error) {
	var out api.Registered
	query := url.Values{}
	if by != "" {
		query.Set("by", by)
	}
	err := c.put(ctx, file, c.url(query, "api/pipelines", pipeline, "models", path.Base(name)), nil, &out)
	return out, err
}

func (c *Client) put(ctx context.Context, file, address string, progress func(sent, size int64), out any) error {
	f, err := os.Open(file)
	if err != nil {
		return &Error{Text: fmt.Sprintf("read %s: %v", file, reason(err))}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &Error{Text: file + " is not a file"}
	}
	body := &counted{Reader: f, size: info.Size(), tell: progress}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, address, body)
	if err != nil {
		return err
	}
	r.ContentLength = info.Size()
	if info.Size() == 0 {
		r.Body = http.NoBody
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return refusal(answer)
	}
	return decode(c, answer.Body, out)
}

// counted is a reader that reports how much of it has been read.
type counted struct {
	io.Reader
	read, size int64
	tell       func(sent, size int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	if c.tell != nil {
		c.tell(c.read, c.size)
	}
	return n, err
}

// reason returns a file system error without its path.
func reason(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// Asked is the answer to a request: the event that records it.
type Asked struct {
	Event string `json:"event"`
}

// Retrain requests a training.
func (c *Client) Retrain(ctx context.Context, pipeline string, d events.TrainingRequested) (Asked, error) {
	return c.ask(ctx, pipeline, "retrain", d)
}

// ReingestPlan returns what a reingest of the uploads since a time would read; all
// of them if it is "".
func (c *Client) ReingestPlan(ctx context.Context, pipeline, since string) (api.ReingestPlan, error) {
	var plan api.ReingestPlan
	query := url.Values{}
	if since != "" {
		query.Set("since", since)
	}
	err := c.Get(ctx, &plan, query, "api/pipelines", pipeline, "reingest")
	return plan, err
}

// Reingest requests that kept uploads are read again.
func (c *Client) Reingest(ctx context.Context, pipeline string, d events.ReingestRequested) (Asked, error) {
	return c.ask(ctx, pipeline, "reingest", d)
}

// Evaluate requests another evaluation of a version.
func (c *Client) Evaluate(ctx context.Context, pipeline string, d events.EvaluationRequested) (Asked, error) {
	return c.ask(ctx, pipeline, "evaluate", d)
}

// Promote approves a version.
func (c *Client) Promote(ctx context.Context, pipeline string, d events.PromotionApproved) (Asked, error) {
	return c.ask(ctx, pipeline, "promote", d)
}

// Rollback requests the end of a rollout, or the return to an earlier version.
func (c *Client) Rollback(ctx context.Context, pipeline string, d events.RollbackRequested) (Asked, error) {
	return c.ask(ctx, pipeline, "rollback", d)
}

func (c *Client) ask(ctx context.Context, pipeline, what string, d events.Data) (out Asked, err error) {
	body, header, err := jsonBody(d)
	if err != nil {
		return out, err
	}
	err = c.exchange(ctx, http.MethodPost, c.url(nil, "api/pipelines", pipeline, what), body, header, &out)
	return out, err
}

// CloseDeadLetter sends a dead letter again (retry) or drops it (drop).
func (c *Client) CloseDeadLetter(ctx context.Context, id, action, by, why string) (out Asked, err error) {
	body, header, err := jsonBody(map[string]string{"by": by, "reason": why})
	if err != nil {
		return out, err
	}
	err = c.exchange(ctx, http.MethodPost, c.url(nil, "api/deadletters", id, action), body, header, &out)
	return out, err
}
