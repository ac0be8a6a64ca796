package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"millrace.dev/events"
)

// follower reads /api/events as it grows.
type follower struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// newFollower begins behind the newest event.
func newFollower(ctx context.Context, url string) (*follower, error) {
	f, err := get(ctx, url+"/api/events?limit=1")
	if err != nil {
		return nil, err
	}
	defer f.close()
	newest, err := f.next()
	if err != nil {
		return nil, err
	}
	last, err := strconv.ParseUint(newest.Attributes["sequence"], 10, 64)
	if err != nil {
		return nil, err
	}
	return get(ctx, fmt.Sprintf("%s/api/events?follow=1&from=%d", url, last+1))
}

func get(ctx context.Context, url string) (*follower, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	return &follower{resp.Body, lines}, nil
}

func (f *follower) close() { f.body.Close() }

func (f *follower) next() (events.Envelope, error) {
	if !f.lines.Scan() {
		return events.Envelope{}, errors.Join(errors.New("the log ended"), f.lines.Err())
	}
	var e events.Envelope
	if err := json.Unmarshal(f.lines.Bytes(), &e); err != nil {
		return e, err
	}
	return e, nil
}
