package inference

import (
	_ "embed"
	"net/http"
)

// openapi describes the paths of Routes. It is written by hand; a test compares
// it with the paths and the answers.
//
//go:embed openapi.json
var openapi []byte

func describeAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(openapi) // a client that has gone misses it
}
