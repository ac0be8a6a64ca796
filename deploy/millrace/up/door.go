package up

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"millrace.dev/shared/function"
)

// door stands before everything that is answered, whichever function answers
// it: it lets in who may come in. /healthz alone is open, and says nothing.
type door struct {
	token function.Token
	// local says that nobody but this machine can knock.
	local bool
	next  http.Handler
}

func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
	case !d.token.Admits(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="millrace"`)
		refuse(w, http.StatusUnauthorized, "this needs the installation's token",
			"send the header Authorization: Bearer <token>, or set MILLRACE_TOKEN for the command")
		return
	case d.local && !d.token.Set() && !localName(r.Host):
		// A page that a browser of this machine shows may have led a name of
		// its own here.
		refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("this is not %.120q", r.Host),
			"use http://127.0.0.1 or http://localhost, or set MILLRACE_TOKEN, with which any name will do")
		return
	}
	d.next.ServeHTTP(w, r)
}

// newDoor puts the door before next. What a page of another origin lets a
// browser send is refused: the browser's owner did not mean it.
func newDoor(token function.Token, local bool, next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "a page of another origin may not change anything here", "send the request from a program, not from a browser")
	}))
	return door{token, local, origins.Handler(next)}
}

func refuse(w http.ResponseWriter, status int, text, hint string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // who has gone away needs no answer
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}{text, hint})
}

// localAddress tells whether only this machine reaches the address.
func localAddress(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("the address %q is not host:port: %w", address, err)
	}
	return localName(host), nil
}

// localName tells whether a host, with or without a port, is this machine's
// own name for itself.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || host == "[::1]" || ip != nil && ip.IsLoopback()
}

// security reads the token and the certificate, and demands a token where
// others than this machine can knock.
func (s *system) security() (errs error) {
	o := s.options
	local, err := localAddress(o.Listen)
	token, tokenErr := function.ReadToken(o.Token, o.TokenFile)
	errs = errors.Join(err, tokenErr)
	if errs == nil && !local && !token.Set() {
		errs = fmt.Errorf("%s is reached from other machines: set MILLRACE_TOKEN or MILLRACE_TOKEN_FILE, so that not everyone may upload and promote, or listen on 127.0.0.1", o.Listen)
	}
	s.token, s.local = token, local
	if o.TLSCert == "" && o.TLSKey == "" {
		if errs == nil && !local {
			s.logger.Warn("the token and the data can be read on their way: give a certificate with --tls-cert and --tls-key, or put a proxy in front that has one", "listen", o.Listen)
		}
		return errs
	}
	if o.TLSCert == "" || o.TLSKey == "" {
		return errors.Join(errs, errors.New("TLS takes both, the certificate and its key: --tls-cert and --tls-key"))
	}
	pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return errors.Join(errs, fmt.Errorf("read the certificate %s with the key %s: %w", o.TLSCert, o.TLSKey, err))
	}
	// Who calls would refuse it, without saying so here.
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		errs = errors.Join(errs, fmt.Errorf("the certificate %s was valid until %s: renew it", o.TLSCert, pair.Leaf.NotAfter.Format(time.RFC3339)))
	case now.Before(pair.Leaf.NotBefore):
		errs = errors.Join(errs, fmt.Errorf("the certificate %s is valid from %s on: wait, or set this machine's clock", o.TLSCert, pair.Leaf.NotBefore.Format(time.RFC3339)))
	}
	s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return errs
}

// url is where all is answered.
func (s *system) url(l net.Listener) string {
	if s.tls != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}
