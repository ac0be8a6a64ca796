package function

import (
	"net/http"
	"slices"
	"strings"
)

// Plain answers for a server's mux, and refuses paths that climb: the mux
// alone would lead them elsewhere without a word.
func Plain(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(strings.Split(r.URL.Path, "/"), "..") {
			http.Error(w, `a path may not have the part ".."; name what you mean from its root`, http.StatusBadRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Protocols are what every server of ours speaks: HTTP/1.1, and HTTP/2, over
// TLS or, as gRPC does on a cluster, without it by prior knowledge. So a
// function that speaks gRPC registers a handler like any other.
func Protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}
