package gateway

import (
	"errors"
	"io"
	"net/http"

	"millrace.dev/shared/artifact"
	"millrace.dev/shared/httperror"
)

// spaceEvery is after how many bytes of a body the disk is looked at.
const spaceEvery = 8 << 20

var errDiskFull = errors.New("the disk is almost full")

// fittingBody is a request's body that must leave the reserve free on the disk,
// also if its length is not announced.
type fittingBody struct {
	io.ReadCloser
	free    func() (int64, error)
	read    int64
	checked int64 // up to where there was space
}

func newFittingBody(r *http.Request, s *artifact.Store) *fittingBody {
	return &fittingBody{ReadCloser: r.Body, free: s.Free}
}

func (b *fittingBody) Read(p []byte) (int, error) {
	if b.read >= b.checked {
		b.checked = b.read + spaceEvery
		if free, err := b.free(); err == nil && free < reserve+spaceEvery {
			return 0, errDiskFull
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	return n, err
}

// noSpace is the answer to a body that does not fit.
func noSpace(what string) error {
	return httperror.New(http.StatusInsufficientStorage, "%s does not fit on the disk: %d bytes are reserved for the event log", what, reserve).
		Try("free some space, or point the artifact store to a larger disk")
}
