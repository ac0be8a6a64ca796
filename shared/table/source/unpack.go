package source

import (
	"archive/zip"
	"bufio"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"millrace.dev/shared/table"
)

// input is a file whose name and size were looked at.
type input struct {
	src         Source
	format      Format
	compression string
	lim         Limits
	opts        *Options
	of          string // whose rows they are, if not the file's
}

// inspect looks at the name and the size of src.
func inspect(src Source, opts *Options, lim Limits) (*input, error) {
	in := &input{src: src, lim: lim, opts: opts}
	var err error
	if in.format, in.compression, err = FormatOf(src.Name); err != nil {
		return nil, err
	}
	info, err := os.Stat(src.Path)
	switch {
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, in.reject("the file is empty", "write its rows into it")
	case info.Size() > lim.Bytes:
		return nil, in.reject(fmt.Sprintf("the file has %s, and at most %s are allowed", size(info.Size()), size(lim.Bytes)), "split it")
	}
	if in.format == "" {
		if in.format, err = in.memberFormat(); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (in *input) reject(reason, try string) *table.Unreadable {
	return &table.Unreadable{Name: in.src.Name, Reason: reason, Try: try}
}

func (in *input) rejectLine(line int64, reason, try string) *table.Unreadable {
	u := in.reject(reason, try)
	u.Line = line
	return u
}

// member returns the only file of a zip archive.
func (in *input) member() (*zip.ReadCloser, *zip.File, error) {
	z, err := zip.OpenReader(in.src.Path)
	if err != nil {
		return nil, nil, in.reject(fmt.Sprintf("it is not a zip archive, as its name says (%v)", err), "compress it again, or name it without .zip")
	}
	var files []*zip.File
	for _, f := range z.File {
		base := filepath.Base(f.Name)
		if !f.FileInfo().IsDir() && !strings.HasPrefix(f.Name, "__MACOSX/") && !strings.HasPrefix(base, ".") {
			files = append(files, f)
		}
	}
	if len(files) != 1 {
		many := in.reject(fmt.Sprintf("the zip archive has %d files, and must have one", len(files)), "upload each file by itself")
		return nil, nil, errors.Join(many, z.Close())
	}
	return z, files[0], nil
}

func (in *input) memberFormat() (Format, error) {
	z, f, err := in.member()
	if err != nil {
		return "", err
	}
	defer z.Close()
	format, compression, err := FormatOf(f.Name)
	if err != nil || compression != "" || format == "" {
		return "", in.reject(fmt.Sprintf("the extension of %q in the zip archive is not a format that can be read", f.Name), "name it "+Formats)
	}
	return format, nil
}

// unpacked is the bytes of a file without its compression.
type unpacked struct {
	io.Reader
	closers []io.Closer
}

func (u *unpacked) Close() error {
	var errs []error
	for _, c := range u.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// open returns the bytes of the file without its compression. Reading past the
// limit, or what is damaged, is a *table.Unreadable.
func (in *input) open(ctx context.Context) (*unpacked, error) {
	u := &unpacked{}
	if in.compression == ".zip" {
		z, f, err := in.member()
		if err != nil {
			return nil, err
		}
		r, err := f.Open()
		if err != nil {
			return nil, errors.Join(in.reject(fmt.Sprintf("%q in the zip archive cannot be read (%v)", f.Name, err), "compress it again"), z.Close())
		}
		u.Reader, u.closers = r, []io.Closer{r, z}
	} else {
		f, err := os.Open(in.src.Path)
		if err != nil {
			return nil, err
		}
		u.closers = []io.Closer{f}
		if err := in.decompress(u, f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	u.Reader = &bounded{in: in, ctx: ctx, r: u.Reader}
	return u, nil
}

func (in *input) decompress(u *unpacked, f *os.File) error {
	b := bufio.NewReaderSize(f, 256<<10)
	var err error
	switch in.compression {
	case "":
		u.Reader = f
	case ".gz":
		u.Reader, err = gzip.NewReader(b)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20)); err == nil {
			u.Reader, u.closers = z, append([]io.Closer{z.IOReadCloser()}, u.closers...)
		}
	case ".bz2":
		u.Reader = bzip2.NewReader(b)
	case ".xz":
		u.Reader, err = xz.NewReader(b)
	}
	if err != nil {
		return in.notCompressed(err)
	}
	return nil
}

// kinds are the names of the compressions.
var kinds = map[string]string{".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}

func (in *input) notCompressed(err error) error {
	kind := kinds[in.compression]
	return in.reject(fmt.Sprintf("it is not %s, as its name says (%v)", kind, err), "compress it again, or name it without "+in.compression)
}

// bounded reads up to a limit, and turns what a decompressor says into an
// answer about the file.
type bounded struct {
	in  *input
	ctx context.Context
	r   io.Reader
	n   int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > b.in.lim.Bytes {
		return 0, b.in.reject(fmt.Sprintf("uncompressed it has more than the %s that are allowed", size(b.in.lim.Bytes)), "split it")
	}
	if err == nil || errors.Is(err, io.EOF) || b.in.compression == "" {
		return n, err
	}
	kind := kinds[b.in.compression]
	switch {
	case errors.As(err, new(*os.PathError)):
		return n, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, b.in.reject(fmt.Sprintf("the %s file is cut off after %s of text", kind, size(b.n)), "write or copy it again")
	case b.n == 0 && !errors.As(err, new(flate.CorruptInputError)) && !errors.Is(err, gzip.ErrChecksum):
		return n, b.in.notCompressed(err)
	}
	return n, b.in.reject(fmt.Sprintf("the %s file is damaged after %s of text", kind, size(b.n)), "write or copy it again")
}

// Plain returns the path of the file without compression: a new file in the
// folder dir if it is compressed.
func Plain(ctx context.Context, src Source, lim Limits, dir string) (string, error) {
	in, err := inspect(src, &Options{}, lim.WithDefaults())
	if err != nil || in.compression == "" {
		return src.Path, err
	}
	u, err := in.open(ctx)
	if err != nil {
		return "", err
	}
	defer u.Close()
	f, err := os.CreateTemp(dir, "plain-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, u)
	return f.Name(), errors.Join(err, f.Close())
}

// Size shows a number of bytes to people.
func Size(n int64) string { return size(n) }

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
