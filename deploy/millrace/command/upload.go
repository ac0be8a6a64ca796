package command

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table/source"
)

func (a *app) newUpload() *cobra.Command {
	var w waiting
	var name string
	c := &cobra.Command{
		Use:   "upload PIPELINE FILE...",
		Short: "Upload data or labels",
		Long: `Upload files, for example CSV, JSON lines or Parquet. PIPELINE is the folder of
the object's key, which is matched with the globs of the pipeline files: the files
of flights become flights/<file>. A file of the same name replaces the rows of the
earlier one; uploading the same bytes again changes nothing.

With --wait the command prints what follows from the upload, and ends when
nothing more does:
  0  done: in the dataset, and the model, if one was trained, serves all traffic
  3  rejected: the data broke its contract, or the model failed a gate
  4  the training failed
  5  timed out; the system continues`,
		Example: `  millrace upload flights 2013-01.parquet 2013-02.parquet --wait
  millrace upload flights-labels 2013-04.parquet
  millrace upload flights /tmp/today.csv --name 2013-06-01.csv`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if name != "" && len(args) > 2 {
				return usage(c, "--name is for one file, but %d are given", len(args)-1)
			}
			return a.upload(c.Context(), args[0], args[1:], name, w)
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the object; the file's name by default")
	w.flags(c, "wait until the data is in the dataset, and for the model if one is trained")
	return c
}

func (a *app) upload(ctx context.Context, folder string, files []string, name string, w waiting) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var all []api.Upload
	for _, file := range files {
		key := folder + "/" + source.FolderName(file)
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
		return a.print(api.Uploads{Uploads: all})
	}
	for _, u := range all {
		a.showUpload(u)
	}
	return nil
}

func (a *app) uploadOne(ctx context.Context, c *client.Client, key, file string) ([]api.Upload, error) {
	done, err := c.Upload(ctx, key, file, func(sent, size int64) {
		a.err.Progress(fmt.Sprintf("%s: %s of %s", key, humanize.Bytes(sent), humanize.Bytes(size)))
	})
	a.err.Done()
	return done.Uploads, err
}

func (a *app) showUpload(u api.Upload) {
	text, tone := "uploaded", terminal.Good
	if u.Duplicate {
		text, tone = "there already", terminal.Faint
	}
	a.out.Line(a.out.Styled(tone, text), a.out.Styled(terminal.Plain, fmt.Sprintf("  %s, %s, for %s", u.Key, humanize.Bytes(u.Size), u.Pipeline)),
		a.out.Styled(terminal.Faint, "  "+u.Event))
}

func (a *app) waitForUploads(ctx context.Context, c *client.Client, uploads []api.Upload, timeout time.Duration) error {
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
		targets = append(targets, target{
			what: u.Key, pipeline: u.Pipeline, event: u.Event, chain: wait.New(u.Event, wait.Served), duplicate: u.Duplicate,
		})
		if u.Duplicate {
			a.err.Line(a.err.Styled(terminal.Faint, "there already"), a.err.Styled(terminal.Plain, "  "+u.Key+", for "+u.Pipeline+": nothing new is started; what its upload led to:"))
		}
	}
	if err := a.watch(ctx, c, from, targets, timeout); err != nil {
		return err
	}
	return a.conclude(targets)
}

func (a *app) newRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove PIPELINE NAME...",
		Short: "Remove uploads from the dataset",
		Long: `Remove uploads from the dataset: the next snapshot does not have their rows.
Earlier snapshots keep them, and the models trained on them stay.`,
		Example: "  millrace remove flights 2013-01.parquet",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			var all []api.Upload
			for _, name := range args[1:] {
				var out api.Uploads
				if err := cl.Exchange(c.Context(), http.MethodDelete, &out, "uploads", args[0]+"/"+name); err != nil {
					return err
				}
				all = append(all, out.Uploads...)
			}
			if a.json() {
				return a.print(api.Uploads{Uploads: all})
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
