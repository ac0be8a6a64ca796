package eventlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
)

// A fact is in the log once, however often it is appended.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "millrace-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	server, err := embedded.Start(ctx, embedded.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	log, err := eventlog.Open(ctx, server.Conn(), eventlog.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}

	commit := eventlog.Commit{
		Pipeline: "flights", Function: "gateway",
		Cause: events.Cause("promote", "flights", "2"), // what makes this fact this one
		Data:  []events.Data{events.PromotionApproved{Version: 2, By: "anna"}},
	}
	for range 2 {
		done, err := log.Append(ctx, commit)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("duplicate:", done.Duplicate)
	}

	for e, err := range log.Follow(ctx, eventlog.Filter{Pipeline: "flights"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Type, e.Subject)
		break // it would wait for the next one
	}
	// Output:
	// duplicate: false
	// duplicate: true
	// dev.millrace.promotion.approved.v1 flights/model/v2
}
