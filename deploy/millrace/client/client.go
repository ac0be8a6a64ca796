// Package client is the HTTP client of a running Millrace: uploads, queries,
// predictions and the event log, as the gateway and inference serve them.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client talks to one system. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New returns a client of the system at server, such as http://127.0.0.1:8080.
// Every request carries the token unless it is empty.
func New(server, token string) (*Client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &Error{Text: fmt.Sprintf("%q is not the address of a server", server), Hint: "write it as http://host:port"}
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}
	return &Client{base: base, token: token, http: &http.Client{Transport: transport}}, nil
}

// Token returns the token that every request carries; "" for none.
func (c *Client) Token() string { return c.token }

// Server returns the address of the system.
func (c *Client) Server() string { return c.base.String() }

// Error is a failed request, described for people.
type Error struct {
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	Text   string
	// Hint says what to do about the error.
	Hint string
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Text
	}
	return e.Text + " (" + e.Hint + ")"
}

// url returns the address of a path, whose parts it escapes, with a query.
func (c *Client) url(query url.Values, parts ...string) string {
	u := c.base.JoinPath(escaped(parts)...)
	u.RawQuery = query.Encode()
	return u.String()
}

// escaped escapes the characters that JoinPath would interpret. Slashes in a
// part still divide the path.
func escaped(parts []string) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		segments := strings.Split(p, "/")
		for k := range segments {
			segments[k] = url.PathEscape(segments[k])
		}
		out[i] = strings.Join(segments, "/")
	}
	return out
}

// send sends a request and returns an answer of status 2xx. Any other status is
// an *Error.
func (c *Client) send(ctx context.Context, method, address string, body io.Reader, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, header)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		return nil, refusal(answer)
	}
	return answer, nil
}

// unreachable returns the error of a request that got no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	dns, noHost := errors.AsType[*net.DNSError](err)
	op, atAll := errors.AsType[*net.OpError](err)
	switch {
	case noHost:
		return &Error{Text: fmt.Sprintf("there is no host %s", dns.Name), Hint: "check --server (or MILLRACE_SERVER)"}
	case atAll && op.Op == "dial":
		return &Error{
			Text: "no server answers at " + c.Server(),
			Hint: "start one: millrace up --pipelines DIR; or name another with --server (or MILLRACE_SERVER)",
		}
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &Error{Text: fmt.Sprintf("the connection to %s broke: %v", c.Server(), err), Hint: "is it still running? Try again"}
}

// maxRefusal bounds the bytes read of an error answer.
const maxRefusal = 64 << 10

// refusal reads an error answer.
func refusal(r *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRefusal))
	var said struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}
	e := &Error{Status: r.StatusCode}
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		e.Text, e.Hint = said.Error, said.Hint
	} else if e.Text = strings.TrimSpace(string(body)); e.Text == "" || strings.HasPrefix(e.Text, "<") {
		e.Text = "the server answered " + r.Status
	}
	if r.StatusCode == http.StatusUnauthorized && e.Hint == "" {
		e.Hint = "set MILLRACE_TOKEN, or --token"
	}
	return e
}

// JSON returns the body of a GET unchanged, for commands that print it.
func (c *Client) JSON(ctx context.Context, query url.Values, parts ...string) (json.RawMessage, error) {
	answer, err := c.send(ctx, http.MethodGet, c.url(query, parts...), nil, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if !json.Valid(body) {
		return nil, notMillrace(c, errors.New("not JSON"))
	}
	return body, nil
}

// Get decodes the answer to a GET into v.
func (c *Client) Get(ctx context.Context, v any, query url.Values, parts ...string) error {
	body, err := c.JSON(ctx, query, parts...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return notMillrace(c, err)
	}
	return nil
}

// notMillrace returns the error for an answer that cannot be decoded.
func notMillrace(c *Client, why error) error {
	return &Error{
		Text: fmt.Sprintf("the answer of %s is not one of this version of Millrace: %v", c.Server(), why),
		Hint: "check --server (or MILLRACE_SERVER)",
	}
}

// exchange sends a body and decodes the answer into v.
func (c *Client) exchange(ctx context.Context, method, address string, body io.Reader, header http.Header, v any) error {
	answer, err := c.send(ctx, method, address, body, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return decode(c, answer.Body, v)
}

func decode(c *Client, body io.Reader, v any) error {
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return notMillrace(c, err)
	}
	return nil
}

func jsonBody(v any) (io.Reader, http.Header, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	return bytes.NewReader(b), http.Header{"Content-Type": {"application/json"}}, nil
}

// Do sends a request and returns the body of the answer, which the caller closes.
func (c *Client) Do(ctx context.Context, method string, parts ...string) (io.ReadCloser, error) {
	return c.open(ctx, method, c.url(nil, parts...))
}

// SetAside returns the rows that were set aside of an upload, as JSON lines. The
// caller closes them.
func (c *Client) SetAside(ctx context.Context, pipeline, upload string) (io.ReadCloser, error) {
	return c.open(ctx, http.MethodGet, c.url(url.Values{"upload": {upload}}, "api/pipelines", pipeline, "set-aside"))
}

func (c *Client) open(ctx context.Context, method, address string) (io.ReadCloser, error) {
	answer, err := c.send(ctx, method, address, nil, nil)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Exchange sends a request without a body and decodes the answer into v.
func (c *Client) Exchange(ctx context.Context, method string, v any, parts ...string) error {
	return c.exchange(ctx, method, c.url(nil, parts...), nil, nil, v)
}
