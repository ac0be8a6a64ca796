package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/servers"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/shared/service"
	"millrace.dev/shared/telemetry"
)

// newUp returns the command that runs the whole system in one process.
func newUp() *cobra.Command {
	o := up.Options{}
	var level string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the whole of Millrace in this process",
		Long: `Run the whole of Millrace in this process: the event log, the artifact store,
every function and one address for uploads, events, predictions and the API.

By default it listens on this machine only. Whatever changes something needs a
token, which the first start writes into the file token in --dir and the other
commands find there; predictions and queries need none (MILLRACE_ANONYMOUS=none
changes that). With another --listen address a token of your own is required
(MILLRACE_TOKEN or MILLRACE_TOKEN_FILE) and must be in every request.
"millrace token" makes more tokens, with fewer rights.
--tls-cert and --tls-key turn on TLS. Set URLs that contain a password through
MILLRACE_NATS and MILLRACE_ARTIFACTS instead of flags, which other users of the
machine can see. All data is kept in --dir; a restarted system continues from it.`,
		Example: "  millrace up --pipelines config/examples/flights\n" +
			"  MILLRACE_TOKEN_FILE=token millrace up --listen :8443 --tls-cert cert.pem --tls-key key.pem",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := service.Context(cmd.Context())
			defer stop()
			began := time.Now()
			var forget func()
			saveMemory()
			if err := service.Private(); err != nil {
				return err
			}
			o.Token, o.TokenFile = os.Getenv("MILLRACE_TOKEN"), os.Getenv("MILLRACE_TOKEN_FILE")
			o.Access, o.Anonymous = os.Getenv("MILLRACE_ACCESS_FILE"), list(os.Getenv("MILLRACE_ANONYMOUS"))
			o.NATS = cmp.Or(o.NATS, os.Getenv("MILLRACE_NATS"))
			o.Artifacts = cmp.Or(o.Artifacts, os.Getenv("MILLRACE_ARTIFACTS"))
			o.Logger = telemetry.Logger(cmd.ErrOrStderr(), level)
			o.Started = func(address string) {
				if !o.NoToken && o.Token == "" {
					var err error
					if forget, err = servers.Register(address, cmp.Or(o.TokenFile, filepath.Join(o.Dir, up.TokenFile))); err != nil {
						o.Logger.Info("the other commands cannot find the token by themselves: set MILLRACE_TOKEN_FILE", "error", err)
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "millrace is up at %s after %d ms, in %s\n", address, time.Since(began).Milliseconds(), o.Dir)
			}
			err := up.Run(ctx, o)
			if forget != nil {
				forget()
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".millrace", "folder for all data")
	f.StringArrayVar(&o.Pipelines, "pipelines", nil, "folder of one or several pipelines; may be repeated")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 chooses one")
	f.StringVar(&o.NATS, "nats", "", "URL of a NATS server with JetStream (or MILLRACE_NATS); the embedded one by default")
	f.IntVar(&o.Replicas, "log-replicas", 1, "replicas of the log in a NATS cluster, used when the log is created: 1, 3 or 5")
	f.StringVar(&o.Artifacts, "artifacts", "", "URL of an artifact store (file://, s3://, gs://, azblob://; or MILLRACE_ARTIFACTS); a folder in --dir by default")
	f.StringVar(&o.TLSCert, "tls-cert", "", "PEM file with the TLS certificate and its intermediate certificates")
	f.StringVar(&o.TLSKey, "tls-key", "", "PEM file with the private key of the certificate")
	f.BoolVar(&o.SyncAlways, "sync-always", false, "sync the embedded log to disk after each event: survives power loss, slower")
	f.BoolVar(&o.NoToken, "no-token", false, "let every user and program of this machine do everything, which includes running code as you")
	f.DurationVar(&o.Drain, "drain", 20*time.Second, "how long to wait for running handlings at shutdown")
	f.StringVar(&level, "log", "warn", "minimum level logged to standard error: debug, info, warn or error")
	return c
}

// list splits a list with commas; nil for an empty text.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// saveMemory sets GOGC to 50 unless the environment sets it: a mostly idle
// system takes a quarter less memory, for about 2 % more CPU under load.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
