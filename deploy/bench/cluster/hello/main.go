// Command hello is the least that a Knative Service can be: it says that it was
// called, and answers with an event.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	seen := os.Getenv("SEEN") // who wants to know
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Ce-Id")
		if r.Header.Get("Ce-Type") == "com.example.bench.called" {
			resp, err := http.Post(seen+"?id="+id, "text/plain", http.NoBody) //nolint:gosec,noctx // its own bench
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			resp.Body.Close()
			w.WriteHeader(http.StatusNoContent)
			return
		}
		for k, v := range map[string]string{
			"Ce-Id": id, "Ce-Source": "/hello", "Ce-Specversion": "1.0", "Ce-Type": "com.example.bench.answered", "Content-Type": "application/json",
		} {
			w.Header().Set(k, v)
		}
		_, _ = w.Write([]byte("{}"))
	})
	server := &http.Server{Addr: ":" + os.Getenv("PORT"), ReadHeaderTimeout: time.Minute}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, "hello: error:", err)
		os.Exit(1)
	}
}
