package main

import (
	"cmp"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/up"
	"millrace.dev/shared/telemetry"
)

// newUp is the command that runs everything in one process.
func newUp() *cobra.Command {
	o := up.Options{}
	var level string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the whole of Millrace in this process",
		Long: `Run the whole of Millrace in this process: the event log, the artifact store,
every function and one address for uploads, events, predictions and questions.

It listens on this machine only, unless --listen says otherwise; then a token
is required (MILLRACE_TOKEN or MILLRACE_TOKEN_FILE), and goes with every request.
With --tls-cert and --tls-key all is answered over TLS. URLs that hold a password
are better given by MILLRACE_NATS and MILLRACE_ARTIFACTS than by flags, which
other users of the machine can see. Everything is kept in --dir, and goes on
where it was when it is started again.`,
		Example: "  millrace up --pipelines config/examples/flights\n" +
			"  MILLRACE_TOKEN_FILE=token millrace up --listen :8443 --tls-cert cert.pem --tls-key key.pem",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			began := time.Now()
			saveMemory()
			o.Token, o.TokenFile = os.Getenv("MILLRACE_TOKEN"), os.Getenv("MILLRACE_TOKEN_FILE")
			o.NATS = cmp.Or(o.NATS, os.Getenv("MILLRACE_NATS"))
			o.Artifacts = cmp.Or(o.Artifacts, os.Getenv("MILLRACE_ARTIFACTS"))
			o.Logger = telemetry.Logger(cmd.ErrOrStderr(), level, false)
			o.Started = func(address string) {
				fmt.Fprintf(cmd.OutOrStdout(), "millrace is up at %s after %d ms, in %s\n", address, time.Since(began).Milliseconds(), o.Dir)
			}
			return up.Run(ctx, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".millrace", "folder for everything that is kept")
	f.StringArrayVar(&o.Pipelines, "pipelines", nil, "folder of a pipeline, or of pipelines; may be repeated")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 chooses one")
	f.StringVar(&o.NATS, "nats", "", "URL of a NATS server with JetStream (or MILLRACE_NATS); the embedded one by default")
	f.IntVar(&o.Replicas, "log-replicas", 1, "on how many servers of a NATS cluster to keep the log, when it is made: 1, 3 or 5")
	f.StringVar(&o.Artifacts, "artifacts", "", "URL of an artifact store (file://, s3://, gs://, azblob://; or MILLRACE_ARTIFACTS); a folder in --dir by default")
	f.StringVar(&o.TLSCert, "tls-cert", "", "PEM file with the certificate for TLS, and those that lead to its authority")
	f.StringVar(&o.TLSKey, "tls-key", "", "PEM file with the certificate's key")
	f.BoolVar(&o.SyncAlways, "sync-always", false, "write the embedded log through to the disk at each event: survives power loss, is slower")
	f.DurationVar(&o.Drain, "drain", 20*time.Second, "how long to wait at the end for what is being handled")
	f.StringVar(&level, "log", "warn", "what to log on standard error: debug, info, warn or error")
	return c
}

// saveMemory has garbage collected when it is half of what lives, not as much:
// a system that is mostly at rest takes a quarter less memory, for some 2 % more
// of the processor under load. GOGC says otherwise.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
