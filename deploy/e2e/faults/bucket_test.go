package faults

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/env"
)

// bucket is a bucket of a real S3 server, which is a process of its own and
// keeps objects as files.
type bucket struct {
	// Server is the server's URL.
	Server string
	dir    string
}

// The bucket's name, and the key of who may use it unless a test has its own.
const (
	artifacts = "artifacts"
	accessKey = "millrace"
	secretKey = "millrace-secret"
)

// startBucket starts an S3 server with an empty bucket until the test ends.
func startBucket(t testing.TB, secret string) bucket {
	t.Helper()
	root, meta := t.TempDir(), t.TempDir()
	b := bucket{Server: fmt.Sprintf("http://127.0.0.1:%d", freePorts(t, 1)[0]), dir: filepath.Join(root, artifacts)}
	must(t, os.Mkdir(b.dir, 0o700))
	cmd := exec.Command(versitygw(t), "--port", strings.TrimPrefix(b.Server, "http://"), "--health", "/health", "--keep-alive", "--quiet", //nolint:gosec // it was built for this
		"posix", "--sidecar", meta, root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+accessKey, "ROOT_SECRET_ACCESS_KEY="+secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	eventually(t, "the S3 server", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Server+"/health", nil)
		must(t, err)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
	return b
}

// versitygw is the S3 server's program. It is built once and kept in Go's
// build cache.
func versitygw(t testing.TB) string {
	t.Helper()
	root, err := env.Root()
	must(t, err)
	cmd := exec.Command("go", "tool", "-n", "versitygw")
	cmd.Dir = filepath.Join(root, "deploy", "e2e", "versitygw")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	must(t, err)
	return strings.TrimSpace(string(path))
}

// options are those of an artifact store in the bucket that is asked at an URL.
func (b bucket) options(server string) string {
	return "s3://" + artifacts + "?region=us-east-1&use_path_style=true&endpoint=" + server
}

// objects are what is in the bucket, by key.
func (b bucket) objects(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	root := os.DirFS(b.dir)
	must(t, fs.WalkDir(root, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, ".") && path != "." || !e.Type().IsRegular() { // hidden: the server's own
			return err
		}
		out[path], err = fs.ReadFile(root, path)
		return err
	}))
	return out
}
