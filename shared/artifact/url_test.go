package artifact_test

import (
	"strings"
	"testing"

	"millrace.dev/shared/artifact"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                  "the URL is empty",
		"/data":             "no scheme",
		"gs://bucket":       `no support for "gs://"; it has file://, mem://, s3://`,
		"file://data/x":     "file:///data/x",
		"file:///":          "names no folder",
		"file:///x?a=b":     "no parameter but sync=always",
		"s3://b?colour=red": "colour",
	} {
		if _, err := artifact.OpenStore(t.Context(), url, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}

func TestURLsKeepTheirSecrets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"s3://user:hunter2secret@b?colour=red",
		"s3://b?session_token=hunter2secret",
		"gs://b?key=hunter2secret",
		"file:///x?key=hunter2secret",
		"s3://b/%zz?key=hunter2secret",
		"s3://user:hunter2secret%zz@b",
		"ftp://hunter2secret@b",
	} {
		_, err := artifact.OpenStore(t.Context(), url, t.TempDir())
		if err == nil || strings.Contains(err.Error(), "hunter2secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	_, err := artifact.OpenBucket(t.Context(), "s3://b", "colour=hunter2secret")
	if err == nil || strings.Contains(err.Error(), "hunter2secret") {
		t.Errorf("bucket with options: %v", err)
	}
}
