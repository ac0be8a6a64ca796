package duck

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"millrace.dev/shared/table"
)

// Source is a file that came from outside.
type Source struct {
	Path string // where it lies
	Name string // its original key; its end tells the format: see Formats
}

// Formats are the ends of names that Convert knows.
const Formats = ".csv, .csv.gz, .tsv, .tsv.gz, .jsonl, .jsonl.gz, .ndjson, .ndjson.gz, .parquet"

// Limits bounds what one conversion may take. Zero values mean the defaults.
type Limits struct {
	Bytes     int64         // of the upload, uncompressed; 4 GiB
	Rows      int64         // 100 million
	Columns   int           // 4096
	LineBytes int64         // of one line of CSV or JSON; 1 MiB
	Memory    string        // of DuckDB, as "512MB", which is the default
	Threads   int           // GOMAXPROCS
	Timeout   time.Duration // 10 minutes
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 4 << 30
	}
	if l.Rows == 0 {
		l.Rows = 100_000_000
	}
	if l.Columns == 0 {
		l.Columns = 4096
	}
	if l.LineBytes == 0 {
		l.LineBytes = 1 << 20
	}
	if l.Memory == "" {
		l.Memory = "512MB"
	}
	if l.Threads == 0 {
		l.Threads = runtime.GOMAXPROCS(0)
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Minute
	}
	return l
}

// The formats.
const (
	formatCSV     = "csv"
	formatJSON    = "jsonl"
	formatParquet = "parquet"
)

// format returns the format that the end of a name tells.
func format(name string) (format string, gzipped bool, err error) {
	lower := strings.ToLower(name)
	lower, gzipped = strings.CutSuffix(lower, ".gz")
	switch {
	case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".tsv"):
		return formatCSV, gzipped, nil
	case strings.HasSuffix(lower, ".jsonl"), strings.HasSuffix(lower, ".ndjson"):
		return formatJSON, gzipped, nil
	case strings.HasSuffix(lower, ".parquet") && !gzipped:
		return formatParquet, false, nil
	}
	return "", false, &table.Unreadable{Name: name, Reason: "its name ends like no format that can be read", Try: "name it " + Formats}
}

// input is a source that was looked through: its limits hold, and it lies
// uncompressed at path.
type input struct {
	name   string
	path   string
	format string
	comma  byte // of CSV
}

// inspect reads src once, before DuckDB does, and holds it against lim. What is
// gzipped is uncompressed into dir.
func inspect(ctx context.Context, src Source, dir string, lim Limits) (*input, error) {
	in := &input{name: src.Name}
	var gzipped bool
	var err error
	if in.format, gzipped, err = format(src.Name); err != nil {
		return nil, err
	}
	f, err := os.Open(src.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, in.reject("the file is empty", "upload it again")
	}
	if info.Size() > lim.Bytes {
		return nil, in.reject(fmt.Sprintf("the file has %s, and at most %s are allowed", size(info.Size()), size(lim.Bytes)), "split it")
	}
	// A plain name of our own: DuckDB takes * and [ in a name for a pattern.
	in.path = filepath.Join(dir, "upload."+in.format)
	if in.format == formatParquet {
		if err := in.inspectParquet(f, info.Size()); err != nil {
			return nil, err
		}
		return in, link(src.Path, in.path)
	}
	if !gzipped {
		if err := in.inspectText(ctx, f, lim); err != nil {
			return nil, err
		}
		return in, link(src.Path, in.path)
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 64<<10))
	if err != nil {
		return nil, in.reject(fmt.Sprintf("it is not gzip, as its name says (%v)", err), "compress it again, or name it without .gz")
	}
	plain, err := os.Create(in.path)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	w := bufio.NewWriterSize(plain, 256<<10)
	if err := in.inspectText(ctx, io.TeeReader(z, w), lim); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return in, plain.Close()
}

// link makes the file at path known as name.
func link(path, name string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(abs); err != nil {
		return err
	}
	return os.Symlink(abs, name)
}

func (in *input) reject(reason, try string) *table.Unreadable {
	return &table.Unreadable{Name: in.name, Reason: reason, Try: try}
}

// parquetMagic is how a Parquet file begins and ends.
const parquetMagic = "PAR1"

func (in *input) inspectParquet(f io.ReaderAt, size int64) error {
	var head, tail [4]byte
	if size < 12 {
		return in.reject("it is too short to be a Parquet file", "upload it again")
	}
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return err
	}
	if _, err := f.ReadAt(tail[:], size-4); err != nil {
		return err
	}
	switch {
	case string(head[:]) != parquetMagic:
		return in.reject("it is not a Parquet file: it does not begin as one", "check what was uploaded")
	case string(tail[:]) != parquetMagic:
		return in.reject("the Parquet file is cut off: its end is missing", "upload it again")
	}
	return nil
}

// block is how much of a text is looked at at once.
const block = 256 << 10

// inspectText holds a text against the limits. It stops at the first thing that
// breaks one, so that a bomb is not unpacked nor an endless line read.
func (in *input) inspectText(ctx context.Context, r io.Reader, lim Limits) error {
	b := bufio.NewReaderSize(r, block)
	var bytesRead, lines, lineBytes int64
	head := &header{limit: lim.Columns}
	for {
		if lines%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		part, err := b.ReadSlice('\n')
		bytesRead += int64(len(part))
		if lineBytes == 0 && len(part) > 0 {
			lines++
		}
		lineBytes += int64(len(part))
		if bytesRead > lim.Bytes {
			return in.reject(fmt.Sprintf("uncompressed it has more than the %s that are allowed", size(lim.Bytes)), "split it")
		}
		if lines == 1 && in.format == formatCSV {
			if n := head.columns(part); n > lim.Columns {
				return in.rejectLine(1, fmt.Sprintf("the header has more than the %d columns that are allowed", lim.Columns), "leave out columns")
			}
		}
		if lineBytes > lim.LineBytes {
			return in.rejectLine(lines, fmt.Sprintf("line %d is longer than the %s that are allowed", lines, size(lim.LineBytes)), "check that lines end as they should")
		}
		if lines > lim.Rows+1 {
			return in.reject(fmt.Sprintf("it has more than the %d rows that are allowed", lim.Rows), "split it")
		}
		first, last := lineBytes == int64(len(part)), !errors.Is(err, bufio.ErrBufferFull)
		if bad := badText(part, first, last); bad != "" {
			return in.rejectLine(lines, fmt.Sprintf("line %d %s", lines, bad), "save the file as text in UTF-8")
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if bytesRead == 0 {
				return in.reject("the file is empty", "upload it again")
			}
			in.comma = head.comma()
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return in.reject(fmt.Sprintf("the gzip file is cut off after %s of text", size(bytesRead)), "upload it again")
		case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, new(flate.CorruptInputError)):
			return in.reject(fmt.Sprintf("the gzip file is damaged after %s of text", size(bytesRead)), "upload it again")
		case err != nil:
			return err
		}
		lineBytes = 0
	}
}

// badText says why a piece of a line is not text, or nothing. A piece may begin
// or end inside a character if the line is longer than the piece.
func badText(part []byte, first, last bool) string {
	if bytes.IndexByte(part, 0) >= 0 {
		return "has a zero byte: this is no text, or it is UTF-16"
	}
	if utf8.Valid(part) {
		return ""
	}
	if !first {
		for i := 1; i < utf8.UTFMax && len(part) > 0 && !utf8.RuneStart(part[0]); i++ {
			part = part[1:]
		}
	}
	if !last {
		for i := 1; i < utf8.UTFMax && i < len(part); i++ {
			if tail := part[len(part)-i:]; utf8.RuneStart(tail[0]) && !utf8.FullRune(tail) {
				part = part[:len(part)-i]
				break
			}
		}
	}
	if utf8.Valid(part) {
		return ""
	}
	return "is not UTF-8"
}

func (in *input) rejectLine(line int64, reason, try string) *table.Unreadable {
	u := in.reject(reason, try)
	u.Line = line
	return u
}

// header counts what may separate the columns in the first line of a CSV file.
type header struct {
	limit  int
	quoted bool
	counts [4]int
}

const separators = ",;\t|"

// columns takes in a piece of the line and returns how many columns there are
// so far.
func (h *header) columns(part []byte) int {
	for _, c := range part {
		if c == '"' {
			h.quoted = !h.quoted
		}
		if h.quoted {
			continue
		}
		if i := strings.IndexByte(separators, c); i >= 0 {
			if h.counts[i]++; h.counts[i] > h.limit {
				break
			}
		}
	}
	return max(h.counts[0], h.counts[1], h.counts[2], h.counts[3]) + 1
}

// comma returns the separator that is there most often.
func (h *header) comma() byte {
	best := 0
	for i, n := range h.counts {
		if n > h.counts[best] {
			best = i
		}
	}
	return separators[best]
}

// lineOf returns the line on which row, from 1, of a text begins, or 0.
func (in *input) lineOf(row int64) int64 {
	f, err := os.Open(in.path)
	if err != nil {
		return 0
	}
	defer f.Close()
	if in.format == formatCSV {
		r := csv.NewReader(bufio.NewReaderSize(f, block))
		r.Comma, r.LazyQuotes, r.ReuseRecord, r.FieldsPerRecord = rune(in.comma), true, true, -1
		for range row + 1 { // the header too
			if _, err := r.Read(); err != nil {
				return 0
			}
		}
		line, _ := r.FieldPos(0)
		return int64(line)
	}
	for line, text := range lines(f) {
		if len(bytes.TrimSpace(text)) > 0 {
			if row--; row == 0 {
				return line
			}
		}
	}
	return 0
}

// firstBadJSON returns the first line that is not JSON and what is wrong with
// it, or 0.
func (in *input) firstBadJSON() (int64, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return 0, nil
	}
	defer f.Close()
	for line, text := range lines(f) {
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return line, err
		}
	}
	return 0, nil
}

// lines yields the lines of a text, numbered from 1.
func lines(r io.Reader) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<30) // inspectText has seen that no line is too long
		for line := int64(1); s.Scan(); line++ {
			if !yield(line, s.Bytes()) {
				return
			}
		}
	}
}

// size shows a number of bytes to people.
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
