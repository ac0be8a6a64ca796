package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// patience is how long an answer may take.
const patience = 30 * time.Second

// httpConversation is HTTP/1.1. It reads no more of an answer than it must.
type httpConversation struct {
	net.Conn
	request []byte
	r       *bufio.Reader
}

func httpOpener(request []byte) func(string) (conversation, error) {
	return func(address string) (conversation, error) {
		c, err := dial(address)
		if err != nil {
			return nil, err
		}
		return &httpConversation{c, request, bufio.NewReaderSize(c, 64<<10)}, nil
	}
}

func dial(address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", address)
}

func (h *httpConversation) ask(body *bytes.Buffer) (status int, err error) {
	if err := h.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := h.Write(h.request); err != nil {
		return 0, err
	}
	r := h.r
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("no status in %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		case "Transfer-Encoding":
			chunked = true
		}
	}
	w := io.Discard
	if body != nil {
		w = body
	}
	if !chunked {
		_, err = io.CopyN(w, r, int64(length))
		return status, err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			return 0, err
		}
		if _, err := io.CopyN(w, r, n); err != nil {
			return 0, err
		}
		if _, err := r.Discard(2); err != nil {
			return 0, err
		}
		if n == 0 {
			return status, nil
		}
	}
}
