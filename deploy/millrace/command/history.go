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
)

// compressed is the ending of a file that is compressed with zstd.
const compressed = ".zst"

func (a *app) newExport() *cobra.Command {
	var out string
	var artifacts bool
	c := &cobra.Command{
		Use:   "export PIPELINE",
		Short: "Write a pipeline's whole history into one file",
		Long: `Write a pipeline's whole history into one file: its events as CloudEvents, a JSON
a line, and with --artifacts the bytes that they refer to (data, models, reports).
A file whose name ends in .zst is compressed. millrace import takes it over.`,
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
			a.out.Line(a.out.Styled(terminal.Good, "exported"), a.out.Styled(terminal.Plain, fmt.Sprintf("  %s to %s, %s", args[0], out, terminal.Bytes(size))))
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "the file to write, - for the standard output; PIPELINE.jsonl.zst by default")
	c.Flags().BoolVar(&artifacts, "artifacts", false, "with the bytes of data, models and reports, and not only the events")
	return c
}

// writeFile writes a file that appears under its name when it is whole.
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
		Short: "Take over a pipeline's history from an export",
		Long: `Take over a pipeline's history from a file that millrace export wrote; - is the
standard input. The state is then the same as there, with its times. What was
imported is history: no function handles any of it again.

The system must have nothing of the pipeline. An import that broke off goes on
when it is run again, and a second one changes nothing.`,
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
			text := fmt.Sprintf("  %s, %s", done.Pipeline, terminal.Count(int64(done.Events), "event"))
			if done.New < done.Events {
				text += fmt.Sprintf(" of which %s were here already", terminal.Number(int64(done.Events-done.New)))
			}
			if done.Artifacts > 0 {
				text += ", " + terminal.Count(int64(done.Artifacts), "artifact")
			}
			if done.Missing > 0 {
				text += fmt.Sprintf(" (%s were gone when it was exported)", terminal.Number(int64(done.Missing)))
			}
			a.out.Line(a.out.Styled(terminal.Good, "imported"), a.out.Styled(terminal.Plain, text))
			return nil
		},
	}
}

// decompressed reads an export, compressed or not, whatever it is called.
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
