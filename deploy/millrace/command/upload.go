package command

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/functions/gateway"
)

func (a *app) newUpload() *cobra.Command {
	var w waiting
	var name string
	c := &cobra.Command{
		Use:   "upload PIPELINE FILE...",
		Short: "Upload data or labels",
		Long: `Upload files: csv, csv.gz, jsonl or parquet. PIPELINE is the folder of the
object's key, which the globs of the pipeline files are matched with: the files
of flights become flights/<file>. A file of the same name replaces its rows; the
same bytes again change nothing.

With --wait it tells what comes of them, and ends when nothing more does:
  0  done: joined the dataset, and the model that was trained, if one was, is live
  3  rejected: the data broke its contract, or the model its gates
  4  the training failed
  5  timed out; the system goes on`,
		Example: `  millrace upload flights 2013-01.parquet 2013-02.parquet --wait
  millrace upload flights-labels 2013-04.parquet
  millrace upload flights /tmp/today.csv --name 2013-06-01.csv`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if name != "" && len(args) > 2 {
				return usage(c, "--name is for one file, and %d are given", len(args)-1)
			}
			return a.upload(c.Context(), args[0], args[1:], name, w)
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the object, if not the file's")
	w.flags(c, "wait until the data is in the dataset, and for the model if one is trained")
	return c
}

func (a *app) upload(ctx context.Context, folder string, files []string, name string, w waiting) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var all []gateway.Upload
	for _, file := range files {
		key := folder + "/" + filepath.Base(file)
		if name != "" {
			key = folder + "/" + name
		}
		done, err := a.uploadOne(ctx, c, key, file)
		if err != nil {
			return err
		}
		all = append(all, done...)
	}
	if w.wait {
		return a.waitForUploads(ctx, c, all, w.timeout)
	}
	if a.json() {
		return a.print(gateway.Uploads{Uploads: all})
	}
	for _, u := range all {
		a.showUpload(u)
	}
	return nil
}

func (a *app) uploadOne(ctx context.Context, c *client.Client, key, file string) ([]gateway.Upload, error) {
	done, err := c.Upload(ctx, key, file, func(sent, size int64) {
		a.err.Progress(fmt.Sprintf("%s: %s of %s", key, terminal.Bytes(sent), terminal.Bytes(size)))
	})
	a.err.Done()
	return done.Uploads, err
}

func (a *app) showUpload(u gateway.Upload) {
	text, tone := "uploaded", terminal.Good
	if u.Duplicate {
		text, tone = "there already", terminal.Faint
	}
	a.out.Line(a.out.Styled(tone, text), a.out.Styled(terminal.Plain, fmt.Sprintf("  %s, %s, for %s", u.Key, terminal.Bytes(u.Size), u.Pipeline)),
		a.out.Styled(terminal.Faint, "  "+u.Event))
}

func (a *app) waitForUploads(ctx context.Context, c *client.Client, uploads []gateway.Upload, timeout time.Duration) error {
	var targets []target
	from := uint64(0)
	for _, u := range uploads {
		at, err := c.Sequence(ctx, u.Pipeline, u.Event)
		if err != nil {
			return err
		}
		if from == 0 || at < from {
			from = at
		}
		targets = append(targets, target{what: u.Key, pipeline: u.Pipeline, event: u.Event, chain: wait.New(u.Event, wait.Served)})
	}
	if err := a.watch(ctx, c, from, targets, timeout); err != nil {
		return err
	}
	return a.conclude(targets)
}

func (a *app) newRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove PIPELINE NAME...",
		Short: "Take uploads out of the dataset",
		Long: `Take uploads out of the dataset: the next snapshot is without their rows. The
past keeps them, and so do the models that were trained on them.`,
		Example: "  millrace remove flights 2013-01.parquet",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			var all []gateway.Upload
			for _, name := range args[1:] {
				var out gateway.Uploads
				if err := cl.Exchange(c.Context(), http.MethodDelete, &out, "uploads", args[0]+"/"+name); err != nil {
					return err
				}
				all = append(all, out.Uploads...)
			}
			if a.json() {
				return a.print(gateway.Uploads{Uploads: all})
			}
			for _, u := range all {
				text := "removed"
				if u.Duplicate {
					text = "removed before"
				}
				a.out.Line(a.out.Styled(terminal.Good, text), a.out.Styled(terminal.Plain, "  "+u.Key+" of "+u.Pipeline))
			}
			return nil
		},
	}
	return c
}
