package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Profile returns the profile of a pipeline's dataset, as package table stores
// it, and the number of its partitions. An *Error of status 404 says that there
// is no such pipeline, or no data.
func (c *Client) Profile(ctx context.Context, pipeline string) (profile []byte, partitions int, err error) {
	answer, err := c.send(ctx, http.MethodGet, c.url(nil, "api/pipelines", pipeline, "profile"), nil, http.Header{"Accept": {"application/octet-stream"}})
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	if profile, err = io.ReadAll(answer.Body); err != nil {
		return nil, 0, c.unreachable(ctx, err)
	}
	const header = "Millrace-Partitions"
	if partitions, err = strconv.Atoi(answer.Header.Get(header)); err != nil || partitions < 1 {
		return nil, 0, notMillrace(c, fmt.Errorf("%s is %q", header, answer.Header.Get(header)))
	}
	return profile, partitions, nil
}
