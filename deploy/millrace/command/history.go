package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/shared/humanize"
)

// compressed is the file extension for zstd.
const compressed = ".zst"

func (a *app) newExport() *cobra.Command {
	var out string
	var artifacts bool
	c := &cobra.Command{
		Use:   "export PIPELINE",
		Short: "Write a pipeline's whole history into one file",
		Long: `Write a pipeline's whole history into one file: its events as CloudEvents in JSON,
one on each line, and with --artifacts the bytes that they refer to (data, models,
reports). A file whose name ends in .zst is compressed. millrace import reads it.`,
		Example: "  millrace export flights\n  millrace export flights --artifacts --out /tmp/flights.jsonl.zst\n  millrace export flights --out - | jq .type",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if out == "" {
				out = args[0] + ".jsonl" + compressed
			}
			if out == "-" {
				return cl.Export(c.Context(), args[0], artifacts, a.Out)
			}
			size, err := writeFile(out, func(w io.Writer) error { return cl.Export(c.Context(), args[0], artifacts, w) })
			if err != nil {
				return err
			}
			if a.json() {
				return a.print(map[string]any{"file": out, "bytes": size})
			}
			a.out.Line(a.out.Styled(terminal.Good, "exported"), a.out.Styled(terminal.Plain, fmt.Sprintf("  %s to %s, %s", args[0], out, humanize.Bytes(size))))
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write, - for standard output; PIPELINE.jsonl.zst by default")
	c.Flags().BoolVar(&artifacts, "artifacts", false, "include the bytes of data, models and reports, not only the events")
	return c
}

// writeFile writes a file that appears under its name only once it is complete.
func writeFile(name string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return 0, fail(Failed, "write %s: %v", name, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	var w io.WriteCloser = plainWriter{buffered}
	if strings.HasSuffix(name, compressed) {
		if w, err = zstd.NewWriter(buffered); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(write(w), w.Close()); err != nil {
		return 0, err
	}
	if err := errors.Join(buffered.Flush(), f.Chmod(0o644)); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), errors.Join(f.Close(), os.Rename(f.Name(), name))
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

func (a *app) newImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Import a pipeline's history from an export",
		Long: `Import a pipeline's history from a file that millrace export wrote; - is standard
input. The resulting state, times included, is that of the exporting system.
Imported events are history: no function handles them.

The system must not have events of the pipeline yet. Run an interrupted import
again to complete it; importing a file twice changes nothing.`,
		Example: "  millrace up --dir /tmp/copy --listen 127.0.0.1:8090 &\n  millrace import flights.jsonl.zst --server http://127.0.0.1:8090",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			in := a.In
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fail(Failed, "%v", err)
				}
				defer f.Close()
				in = f
			}
			plain, err := decompressed(in)
			if err != nil {
				return err
			}
			defer plain.Close()
			done, err := cl.Import(c.Context(), plain)
			if err != nil {
				return err
			}
			if a.json() {
				return a.print(done)
			}
			text := fmt.Sprintf("  %s, %s", done.Pipeline, humanize.Count(int64(done.Events), "event"))
			if done.New < done.Events {
				text += fmt.Sprintf("; %s of them existed already", humanize.Int(int64(done.Events-done.New)))
			}
			if done.Artifacts > 0 {
				text += ", " + humanize.Count(int64(done.Artifacts), "artifact")
			}
			if done.Missing > 0 {
				text += fmt.Sprintf(" (%s no longer existed when it was exported)", humanize.Int(int64(done.Missing)))
			}
			a.out.Line(a.out.Styled(terminal.Good, "imported"), a.out.Styled(terminal.Plain, text))
			return nil
		},
	}
}

// decompressed returns a reader of an export. It recognizes compression by the content, not by the file's name.
func decompressed(r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return io.NopCloser(in), nil
	}
	z, err := zstd.NewReader(in)
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}
