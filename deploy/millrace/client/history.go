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

	"millrace.dev/deploy/millrace/replay"
	"millrace.dev/events"
	"millrace.dev/functions/gateway"
)

// Export writes a pipeline's history to w. An error says that it is not whole.
func (c *Client) Export(ctx context.Context, pipeline string, artifacts bool, w io.Writer) error {
	query := url.Values{"artifacts": {strconv.FormatBool(artifacts)}}
	answer, err := c.send(ctx, http.MethodGet, c.url(query, "api/pipelines", pipeline, "export"), nil, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewReaderSize(answer.Body, 1<<20)
	last := gateway.ExportLine("")
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c.unreachable(ctx, err)
		}
		if last = gateway.ExportLineOf(line); last == gateway.ExportFailed {
			return exportFailure(line)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	if last != gateway.ExportEnded {
		return &Error{Text: "the export broke off before its end", Hint: "is the system still running? Try again"}
	}
	return nil
}

func exportFailure(line []byte) error {
	var e events.Envelope
	var said struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(line, &e); err == nil {
		_ = json.Unmarshal(bytes.TrimSpace(e.Data), &said) // without words it is a failure still
	}
	return &Error{Text: "the export failed: " + said.Error}
}

// Import takes a pipeline's history over from an export.
func (c *Client) Import(ctx context.Context, r io.Reader) (out gateway.Imported, err error) {
	err = c.exchange(ctx, http.MethodPost, c.url(nil, "api/import"), r, http.Header{"Content-Type": {"application/x-ndjson"}}, &out)
	return out, err
}

// Replay decides over past events again, in a shadow.
func (c *Client) Replay(ctx context.Context, pipeline string, r replay.Request) (out replay.Report, err error) {
	body, header, err := jsonBody(r)
	if err != nil {
		return out, err
	}
	err = c.exchange(ctx, http.MethodPost, c.url(nil, "api/pipelines", pipeline, "replay"), body, header, &out)
	return out, err
}
