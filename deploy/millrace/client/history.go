package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// Export writes a pipeline's history to w. After an error w is incomplete.
func (c *Client) Export(ctx context.Context, pipeline string, artifacts bool, w io.Writer) error {
	query := url.Values{"artifacts": {strconv.FormatBool(artifacts)}}
	answer, err := c.send(ctx, http.MethodGet, c.url(query, "api/pipelines", pipeline, "export"), nil, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewReaderSize(answer.Body, 1<<20)
	last := api.ExportLine("")
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c.unreachable(ctx, err)
		}
		if last = api.ExportLineOf(line); last == api.ExportFailed {
			return exportFailure(line)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	if last != api.ExportEnded {
		return &Error{Text: "the export ended early", Hint: "check that the system is still running, and try again"}
	}
	return nil
}

func exportFailure(line []byte) error {
	var e events.Envelope
	var said struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(line, &e); err == nil {
		_ = json.Unmarshal(bytes.TrimSpace(e.Data), &said) // a failure even without a message
	}
	return &Error{Text: "the export failed: " + said.Error}
}

// Import sends an export, whose history the system takes over.
func (c *Client) Import(ctx context.Context, r io.Reader) (out api.Imported, err error) {
	err = c.exchange(ctx, http.MethodPost, c.url(nil, "api/import"), r, http.Header{"Content-Type": {"application/x-ndjson"}}, &out)
	return out, err
}

// Replay replays past events; it changes nothing.
func (c *Client) Replay(ctx context.Context, pipeline string, r api.ReplayRequest) (out api.ReplayReport, err error) {
	body, header, err := jsonBody(r)
	if err != nil {
		return out, err
	}
	err = c.exchange(ctx, http.MethodPost, c.url(nil, "api/pipelines", pipeline, "replay"), body, header, &out)
	return out, err
}
