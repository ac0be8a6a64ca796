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
	"millrace.dev/functions/gateway"
)

// Upload puts bytes under a key. The same bytes again are no second upload.
// progress, unless nil, is told how many bytes have gone.
func (c *Client) Upload(ctx context.Context, key, file string, progress func(sent, size int64)) (gateway.Uploads, error) {
	var out gateway.Uploads
	err := c.put(ctx, file, c.url(nil, "uploads", key), progress, &out)
	return out, err
}

// Register puts the model of a file into a pipeline.
func (c *Client) Register(ctx context.Context, pipeline, name, file, by string) (gateway.Registered, error) {
	var out gateway.Registered
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

// counted tells how much of it has been read.
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

// reason is an error of the file system without its path.
func reason(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// Asked is the answer to what a person asked for: the event it became.
type Asked struct {
	Event string `json:"event"`
}

// Retrain asks for a training.
func (c *Client) Retrain(ctx context.Context, pipeline string, d events.TrainingRequested) (Asked, error) {
	return c.ask(ctx, pipeline, "retrain", d)
}

// Evaluate asks to judge a version again.
func (c *Client) Evaluate(ctx context.Context, pipeline string, d events.EvaluationRequested) (Asked, error) {
	return c.ask(ctx, pipeline, "evaluate", d)
}

// Promote says yes to a version.
func (c *Client) Promote(ctx context.Context, pipeline string, d events.PromotionApproved) (Asked, error) {
	return c.ask(ctx, pipeline, "promote", d)
}

// Rollback asks to go back.
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
