package up

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/shared/access"
)

// The files of tokens in Options.Dir.
const (
	TokenFile  = "token"
	AccessFile = "access.json"
)

// security makes what decides about callers, and reads the certificate. It
// requires a token if other machines can connect.
func (s *system) security() (errs error) {
	o := s.options
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		errs = fmt.Errorf("the address %q is not host:port: %w", o.Listen, err)
	}
	local := access.LocalAddress(o.Listen)
	settings, err := s.access(local)
	if errs = errors.Join(errs, err); errs == nil {
		s.guard, errs = access.New(settings, access.Options{Local: local, Optional: o.Access == "", Logger: s.logger, Metrics: s.registry})
	}
	if errs == nil && !local && s.guard.Empty() {
		errs = fmt.Errorf("%s can be reached from other machines: set MILLRACE_TOKEN, MILLRACE_TOKEN_FILE or MILLRACE_ACCESS_FILE, so that not everyone may upload and promote, or listen on 127.0.0.1", o.Listen)
	}
	if o.TLSCert == "" && o.TLSKey == "" {
		if errs == nil && !local {
			s.logger.Warn("the token and the data are sent unencrypted: set --tls-cert and --tls-key, or use a proxy with TLS", "listen", o.Listen)
		}
		return errs
	}
	if o.TLSCert == "" || o.TLSKey == "" {
		return errors.Join(errs, errors.New("TLS needs both the certificate and its key: set --tls-cert and --tls-key"))
	}
	pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return errors.Join(errs, fmt.Errorf("read the certificate %s with the key %s: %w", o.TLSCert, o.TLSKey, err))
	}
	// Clients would refuse such a certificate, which the server would not notice.
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		errs = errors.Join(errs, fmt.Errorf("the certificate %s expired at %s: renew it", o.TLSCert, pair.Leaf.NotAfter.Format(time.RFC3339)))
	case now.Before(pair.Leaf.NotBefore):
		errs = errors.Join(errs, fmt.Errorf("the certificate %s is not valid before %s: wait, or correct this machine's clock", o.TLSCert, pair.Leaf.NotBefore.Format(time.RFC3339)))
	}
	s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return errs
}

// access returns the settings of the guard. If no token is set and only this
// machine can connect, it is that of the file token, which is made at the first
// start. Reading and predictions then need none.
func (s *system) access(local bool) (access.Settings, error) {
	o := s.options
	out := access.Settings{Token: o.Token, TokenFile: o.TokenFile, File: o.Access, Anonymous: o.Anonymous}
	if out.File == "" {
		out.File = filepath.Join(o.Dir, AccessFile)
	}
	given := o.Token != "" || o.TokenFile != ""
	switch {
	case o.NoToken && !local:
		return out, fmt.Errorf("--no-token is for addresses of this machine only, and %s can be reached from others", o.Listen)
	case o.NoToken && (given || len(o.Anonymous) > 0):
		return out, errors.New("--no-token is set together with MILLRACE_TOKEN, MILLRACE_TOKEN_FILE or MILLRACE_ANONYMOUS; remove one of them")
	case o.NoToken:
		s.logger.Warn("--no-token: every user and every program of this machine may do everything here, which includes running code as you", "listen", o.Listen)
		out.Anonymous = access.RoleNames
		return out, nil
	case given || !local:
		return out, nil
	}
	if len(out.Anonymous) == 0 {
		out.Anonymous = []string{access.Read.String(), access.Predict.String()}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return out, fmt.Errorf("create the folder: %w", err)
	}
	out.TokenFile = filepath.Join(o.Dir, TokenFile)
	if _, err := os.Stat(out.TokenFile); !errors.Is(err, fs.ErrNotExist) {
		return out, nil // New reports what is wrong with it
	}
	if err := access.WriteToken(out.TokenFile, access.NewToken()); err != nil {
		return out, fmt.Errorf("write the token: %w", err)
	}
	return out, nil
}

// url returns the address of the system.
func (s *system) url(l net.Listener) string {
	if s.tls != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}
