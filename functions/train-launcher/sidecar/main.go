package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/telemetry"
)

// Settings are what the sidecar reads from its environment.
type Settings struct {
	eventlog.Server

	// URL of the artifact store.
	Artifacts string `env:"MILLRACE_ARTIFACTS,required"`
	// The reference of the run's spec, as JSON. train-launcher sets it.
	Spec string `env:"MILLRACE_ORDER,required"`
	// The pod's number among those of its run, 0 for the first. Kubernetes sets
	// it.
	Rank int `env:"JOB_COMPLETION_INDEX" envDefault:"0" unit:"number"`
	// What is logged on standard error: debug, info, warn or error.
	Log string `env:"MILLRACE_LOG" envDefault:"info"`
}

// How long the sidecar pauses before it retries.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// Main runs the sidecar as a program, args being the run's folder. It ends with
// SIGTERM and returns the exit code.
func Main(args []string, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: sidecar FOLDER\nIt is part of the pod of a run; the folder is shared with the runner.")
		return 2
	}
	settings, err := env.ParseAs[Settings]()
	var ref events.Ref
	if err == nil {
		err = json.Unmarshal([]byte(settings.Spec), &ref)
	}
	if err != nil {
		fmt.Fprintf(stderr, "sidecar: error: the environment: %v\n", err)
		return 1
	}
	logger := telemetry.Logger(stderr, settings.Log).With("component", "sidecar")
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := serve(ctx, settings, ref, runner.Folder(args[0]), logger)
		if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
			return 0
		}
		if err != nil {
			logger.ErrorContext(ctx, "trying again", "error", err, "after", pause.String())
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 1
		}
	}
}

// serve connects and serves the folder until ctx ends.
func serve(ctx context.Context, s Settings, ref events.Ref, folder runner.Folder, logger *slog.Logger) (err error) {
	// Fetched files are in the run's own folder, which the runner shares.
	artifacts, err := artifact.OpenStore(ctx, s.Artifacts, filepath.Join(string(folder), "fetched"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, artifacts.Close()) }()
	log, nc, err := s.OpenToAnnounce(ctx, "millrace-sidecar", logger)
	if err != nil {
		return err
	}
	defer nc.Close()
	sidecar := Sidecar{Artifacts: artifacts, Log: log, Logger: logger, Spec: ref, Folder: folder, Second: s.Rank > 0}
	return sidecar.Run(ctx)
}
