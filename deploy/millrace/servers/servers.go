// Package servers lets the command find the token of a system that the same
// user has started on the same machine, as Jupyter does.
//
// `millrace up` notes in the user's cache folder where the token of its port is.
// The note is removed at the end. That of a process that was killed is not
// used, since another program may listen on its port now.
package servers

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"millrace.dev/shared/access"
)

// note says where the token of a port is.
type note struct {
	TokenFile string `json:"tokenFile"`
	PID       int    `json:"pid"`
}

// Register notes where the token of this process's system is. The server is its
// URL. The caller calls remove at the end.
func Register(server, tokenFile string) (remove func(), err error) {
	path, err := noteOf(server)
	if err != nil {
		return nil, err
	}
	if tokenFile, err = filepath.Abs(tokenFile); err != nil {
		return nil, err
	}
	b, err := json.Marshal(note{tokenFile, os.Getpid()})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil // another process may have taken the port, and the note, meanwhile
}

// Token returns the token of a system on this machine that this user has
// started; "" if none is noted. It never returns a token for another machine.
func Token(server string) string {
	path, err := noteOf(server)
	if err != nil {
		return ""
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var n note
	if json.Unmarshal(b, &n) != nil || !running(n.PID) {
		return ""
	}
	token, err := access.ReadTokenFile(n.TokenFile)
	if err != nil {
		return ""
	}
	return token
}

// noteOf returns the path of the note about a server's port.
func noteOf(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	if !access.LocalName(u.Host) || u.Port() == "" {
		return "", errors.New("it is not a port of this machine")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "millrace", "servers", u.Port()+".json"), nil
}

// running reports whether the process is there and this user's.
func running(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}
