// Command millrace runs the whole of Millrace in one process, and is the
// client of a running one.
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	"millrace.dev/deploy/millrace/command"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/version"
)

func main() { os.Exit(run()) }

func run() int {
	if code, was := apart.Main(up.Tasks...); was {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(command.Options{
		Server: os.Getenv("MILLRACE_SERVER"), Token: token(), Version: version.Read(),
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
	})
	return int(command.Run(ctx, root, os.Args[1:]))
}

// newRoot returns the command with all its subcommands.
func newRoot(o command.Options) *cobra.Command {
	root := command.New(o)
	for _, c := range []*cobra.Command{newUp(), newDeploy()} {
		c.GroupID = command.GroupRun
		root.AddCommand(c)
	}
	return root
}

// token returns the token in the environment, or in the file that it names.
func token() string {
	if file := os.Getenv("MILLRACE_TOKEN_FILE"); file != "" && os.Getenv("MILLRACE_TOKEN") == "" {
		b, _ := os.ReadFile(file) // without a token the server answers that one is required
		return strings.TrimSpace(string(b))
	}
	return os.Getenv("MILLRACE_TOKEN")
}
