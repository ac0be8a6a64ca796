package state_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/state"
)

// The state of a pipeline is a fold over its events.
func ExampleStore_Load() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "millrace-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler)
	server, err := embedded.Start(ctx, embedded.Options{Dir: dir, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	log, err := eventlog.Open(ctx, server.Conn(), eventlog.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	states, err := state.NewStore(ctx, log, quiet)
	if err != nil {
		fmt.Println(err)
		return
	}

	file := events.Ref{URL: "file:///models/first.onnx", Digest: "sha256:" + strings.Repeat("0", 64), Size: 533}
	model := events.Model{Format: "onnx", Digest: file.Digest, Files: []events.File{{Name: "model.onnx", Ref: file}}}
	_, err = log.Append(ctx, eventlog.Commit{
		Pipeline: "flights", Function: "gateway", Cause: events.Cause("register", "first"),
		Data: []events.Data{events.ModelRegistered{Name: "first", Model: model, By: "anna"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := states.Load(ctx, "flights")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range p.Models {
		fmt.Printf("version %d: %s\n", m.Version, m.State)
	}
	// Output:
	// version 1: candidate
}
