// Command millrace runs the whole of Millrace in one process, and is the
// client of a running one.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	"millrace.dev/deploy/millrace/command"
	"millrace.dev/functions/evaluate"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) == 2 && os.Args[1] == evaluate.ProbeArgument {
		return evaluate.Probe()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command.New(command.Options{
		Server: os.Getenv("MILLRACE_SERVER"), Token: token(), Version: version(),
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
	})
	up := newUp()
	up.GroupID = command.GroupRun
	deploy := newDeploy()
	deploy.GroupID = command.GroupRun
	root.AddCommand(up, deploy)
	return int(command.Run(ctx, root, os.Args[1:]))
}

// token is the one in the environment, or in the file that it names.
func token() string {
	if file := os.Getenv("MILLRACE_TOKEN_FILE"); file != "" && os.Getenv("MILLRACE_TOKEN") == "" {
		b, _ := os.ReadFile(file) // without it the server says that one is needed
		return strings.TrimSpace(string(b))
	}
	return os.Getenv("MILLRACE_TOKEN")
}

// version is the module's, or the commit's of a build from the tree.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := b.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "", ""
	for _, s := range b.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = "-" + s.Value[:min(10, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return "devel" + commit + dirty
}
