package inference

import (
	_ "embed"
	"net/http"
)

// openapi describes what Routes answers. It is written by hand: a test holds
// it against the paths and the answers.
//
//go:embed openapi.json
var openapi []byte

func describeAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(openapi) // whoever does not listen any more misses it
}
