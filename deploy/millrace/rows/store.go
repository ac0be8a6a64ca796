package rows

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// instances finds the body of a request of KServe's V1 protocol.
var instances = regexp.MustCompile(`^(\xef\xbb\xbf)?\s*\{\s*"instances"\s*:\s*\[`)

// store writes what is read to the file at path, where readers need it, and
// names it by what it is. It returns nil if there is nothing but space.
func store(in io.Reader, name, path string) (*duck.Source, error) {
	b := bufio.NewReaderSize(in, 64<<10)
	format, compression, err := source.FormatOf(name)
	known := err == nil
	if magic, _ := b.Peek(2); !known && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("the gzip file is damaged or incomplete: %w", err)
		}
		b = bufio.NewReaderSize(z, 64<<10)
	}
	head, err := b.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if len(text) == 0 && errors.Is(err, io.EOF) {
		return nil, nil
	}
	src := &duck.Source{Path: path, Name: filepath.Base(name)}
	if !known {
		format = formatOf(text)
		src.Name = "rows." + string(format)
	}
	var data io.Reader = b
	if format == source.JSON && compression == "" && instances.Match(head) {
		if data, err = members(b); err != nil {
			return nil, err
		}
	}
	return src, write(path, data)
}

// formatOf is the format of a file that begins with text.
func formatOf(text []byte) source.Format {
	switch {
	case bytes.HasPrefix(text, []byte("PAR1")):
		return source.Parquet
	case bytes.HasPrefix(text, []byte("PK\x03\x04")):
		return source.Excel
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")):
		return source.JSON
	}
	return source.CSV
}

// members returns the list under instances if r holds an object with nothing
// else, and all that r holds otherwise.
func members(r io.Reader) (io.Reader, error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(all, &body) == nil && len(body) == 1 {
		return bytes.NewReader(body["instances"]), nil
	}
	return bytes.NewReader(all), nil
}

func write(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
