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
