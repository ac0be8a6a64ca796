package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/shared/httperror"
)

// Options configure a Guard beside its settings.
type Options struct {
	// Local means that only this machine can reach the port. Callers without a
	// token must then use a local host name, since a web page can point its own
	// host name to this machine.
	Local bool
	// Optional means that the access file need not exist.
	Optional bool
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
}

// Guard decides which callers may do what. It is safe for concurrent use.
type Guard struct {
	settings  Settings
	optional  bool
	anonymous Roles
	local     bool
	logger    *slog.Logger
	refusals  *refusals

	table   atomic.Pointer[table]
	reading sync.Mutex
	checked atomic.Int64 // when the files were looked at last, in nanoseconds
}

// table is what the files say.
type table struct {
	// callers by the SHA-256 digest of their token. To find a digest by trying,
	// an attacker would have to invert SHA-256: a map need not compare in
	// constant time.
	callers map[[sha256.Size]byte]Caller
	// stamps say which versions of the files were read.
	stamps [2]stamp
}

// stamp identifies a version of a file. A Secret that is mounted changes the
// file that its link leads to.
type stamp struct {
	path string
	time time.Time
	size int64
	mode fs.FileMode
}

// stampOf returns the version of a file now; the zero value if it does not exist.
func stampOf(path string) stamp {
	if path == "" {
		return stamp{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{path, info.ModTime(), info.Size(), info.Mode()}
}

// recheck is how often the files are looked at.
const recheck = time.Second

// New returns a guard of the settings. The error names every mistake in them.
func New(s Settings, o Options) (*Guard, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	anonymous, err := ParseRoles(s.anonymous())
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Guard{settings: s, optional: o.Optional, anonymous: anonymous.all(), local: o.Local, logger: o.Logger}
	if g.refusals, err = newRefusals(o.Logger, o.Metrics); err != nil {
		return nil, err
	}
	t, err := g.read()
	if err != nil {
		return nil, err
	}
	g.table.Store(t)
	g.checked.Store(time.Now().UnixNano())
	return g, nil
}

// Open returns a guard that admits every caller to everything.
func Open() *Guard {
	g, err := New(Settings{Anonymous: RoleNames}, Options{})
	if err != nil {
		panic(err) // the settings are constant
	}
	return g
}

// Empty reports whether no token is configured.
func (g *Guard) Empty() bool { return len(g.current().callers) == 0 }

// Anonymous returns the roles of callers without a token.
func (g *Guard) Anonymous() Roles { return g.anonymous }

// installation is the name of the token that has every role.
const installation = "installation"

// read reads the files.
func (g *Guard) read() (*table, error) {
	s := g.settings
	t := &table{callers: map[[sha256.Size]byte]Caller{}, stamps: [2]stamp{stampOf(s.TokenFile), stampOf(s.File)}}
	token := s.Token
	if s.TokenFile != "" {
		var err error
		if token, err = ReadTokenFile(s.TokenFile); err != nil {
			return nil, err
		}
	}
	if token != "" {
		t.callers[sha256.Sum256([]byte(token))] = Caller{Name: installation, Kind: APIKey, Roles: Admin, anonymous: g.anonymous}
	}
	if s.File == "" {
		return t, nil
	}
	f, err := ReadFile(s.File)
	if errors.Is(err, fs.ErrNotExist) && g.optional {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	for _, k := range f.Tokens {
		var sum [sha256.Size]byte
		_, _ = hex.Decode(sum[:], []byte(strings.TrimPrefix(k.Digest, "sha256:"))) // Validate has checked it
		t.callers[sum] = g.granted(k.Grant)
	}
	return t, nil
}

func (g *Guard) granted(a Grant) Caller {
	roles, _ := ParseRoles(a.Roles) // Validate has checked them
	return Caller{Name: a.Name, Kind: APIKey, Roles: roles, Pipelines: a.Pipelines, anonymous: g.anonymous}
}

// current returns what the files say, and reads them again if they have changed.
func (g *Guard) current() *table {
	t := g.table.Load()
	now := time.Now().UnixNano()
	if last := g.checked.Load(); now-last < int64(recheck) || !g.checked.CompareAndSwap(last, now) {
		return t
	}
	g.reading.Lock()
	defer g.reading.Unlock()
	stamps := [2]stamp{stampOf(g.settings.TokenFile), stampOf(g.settings.File)}
	if t = g.table.Load(); stamps == t.stamps {
		return t
	}
	read, err := g.read()
	if err != nil {
		g.logger.Error("the tokens cannot be read again; those read before stay valid", "error", err)
		read = &table{t.callers, stamps}
	} else {
		g.logger.Info("the tokens were read again", "tokens", len(read.callers))
	}
	g.table.Store(read)
	return read
}

// Caller returns who sent a request with these headers. A caller without a
// token, or with a wrong one, is anonymous; err then says why.
func (g *Guard) Caller(_ context.Context, h http.Header) (Caller, error) {
	anonymous := Caller{Kind: Unauthenticated, anonymous: g.anonymous}
	scheme, word, _ := strings.Cut(h.Get("Authorization"), " ")
	word = strings.TrimSpace(word)
	t := g.current()
	switch {
	case len(t.callers) == 0:
		return anonymous, refuse(causeNoToken, httperror.New(http.StatusUnauthorized, "this installation has no token, so that nobody may do this").
			Try("set MILLRACE_TOKEN, MILLRACE_TOKEN_FILE or MILLRACE_ACCESS_FILE for the server"))
	case !strings.EqualFold(scheme, "bearer") || word == "":
		return anonymous, refuse(causeNoToken, httperror.Unauthorized())
	}
	c, ok := t.callers[sha256.Sum256([]byte(word))]
	if !ok {
		return anonymous, refuse(causeWrong, httperror.New(http.StatusUnauthorized, "the token is not one of this installation").
			Try("was it revoked, or is it another installation's?"))
	}
	return c, nil
}

// Admit returns the caller of a request that needs one of the roles, for the
// pipeline. The error is the answer to a request that is refused.
func (g *Guard) Admit(ctx context.Context, need Roles, h http.Header, pipeline string) (Caller, error) {
	c, err := g.Caller(ctx, h)
	if err == nil {
		err = c.Check(need, pipeline)
	}
	return c, err
}

// Refused counts and logs a refusal, and returns the answer to it, for a wrong
// token after a pause.
func (g *Guard) Refused(ctx context.Context, err error, method, path, remote string) *httperror.Error {
	return g.refusals.answer(ctx, err, method, path, remote)
}
