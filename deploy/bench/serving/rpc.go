package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rpcConversation is gRPC, one call at a time: the frames of HTTP/2 that a
// client of gRPC would send, made before.
type rpcConversation struct {
	net.Conn
	frames  bytes.Buffer // of one call
	out     *http2.Framer
	in      *http2.Framer
	headers []byte
	message []byte
	stream  uint32
	// window is how many bytes the server accepts before it extends the window.
	window int64
	status int
}

const largestFrame = 16 << 10

func rpcOpener(message []byte) func(string) (conversation, error) {
	return func(address string) (conversation, error) {
		c, err := dial(address)
		if err != nil {
			return nil, err
		}
		r := &rpcConversation{Conn: c, stream: 1, window: 65535, headers: rpcHeaders(address)}
		r.message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
		r.out = http2.NewFramer(&r.frames, nil)
		r.in = http2.NewFramer(nil, bufio.NewReaderSize(c, 64<<10))
		r.in.SetReuseFrames()
		r.in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		r.frames.WriteString(http2.ClientPreface)
		err = errors.Join(
			r.out.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}),
			r.out.WriteWindowUpdate(0, 1<<30),
		)
		return r, err
	}
}

func rpcHeaders(address string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0) // the same bytes each time
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/inference.GRPCInferenceService/ModelInfer"}, {":authority", address},
		{"content-type", "application/grpc"}, {"user-agent", "millrace-bench"}, {"te", "trailers"},
	} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			panic(err) // a buffer takes all
		}
	}
	return b.Bytes()
}

func (r *rpcConversation) ask(body *bytes.Buffer) (int, error) {
	if err := r.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	for r.window < int64(len(r.message)) {
		if _, err := r.read(nil); err != nil {
			return 0, err
		}
	}
	err := r.out.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream, BlockFragment: r.headers, EndHeaders: true})
	for left := r.message; len(left) > 0 && err == nil; {
		part := left[:min(len(left), largestFrame)]
		left = left[len(part):]
		err = r.out.WriteData(r.stream, len(left) == 0, part)
	}
	if err != nil {
		return 0, err
	}
	r.window -= int64(len(r.message))
	if err := r.flush(); err != nil {
		return 0, err
	}
	r.status = 0
	for {
		switch ended, err := r.read(body); {
		case err != nil:
			return 0, err
		case ended:
			r.stream += 2
			if body != nil && body.Len() >= 5 {
				body.Next(5) // whether it is compressed, and its length
			}
			return r.status, nil
		}
	}
}

func (r *rpcConversation) flush() error {
	_, err := r.Write(r.frames.Bytes())
	r.frames.Reset()
	return err
}

// read reads a frame, and says whether the call's answer has ended with it.
func (r *rpcConversation) read(body *bytes.Buffer) (ended bool, err error) {
	if r.frames.Len() > 0 {
		if err := r.flush(); err != nil {
			return false, err
		}
	}
	f, err := r.in.ReadFrame()
	if err != nil {
		return false, err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, r.out.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, r.out.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			r.window += int64(f.Increment)
		}
	case *http2.DataFrame:
		if body != nil {
			body.Write(f.Data())
		}
		return f.StreamEnded(), r.out.WriteWindowUpdate(0, max(1, uint32(len(f.Data()))))
	case *http2.MetaHeadersFrame:
		for _, h := range f.Fields {
			switch {
			case h.Name == "grpc-status" && h.Value == "0":
				r.status = 200
			case h.Name == "grpc-message" && body != nil:
				_, _ = io.WriteString(body, h.Value) // a buffer takes all
			}
		}
		return f.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		return false, fmt.Errorf("the server ended the call: %s", f.ErrCode)
	case *http2.GoAwayFrame:
		return false, fmt.Errorf("the server ends the connection: %s", f.ErrCode)
	}
	return false, nil
}
