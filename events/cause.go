package events

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
)

// causeDigits is the length of a cause: 128 bits of SHA-256 in hex.
const causeDigits = 32

// Cause is the cause made of parts: hex SHA-256, shortened, over the parts
// with their lengths, so that no two lists of parts give the same cause.
func Cause(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))[:causeDigits]
}

// CauseOf is the cause of what is emitted because of the event: over its
// source, id and type. (The type too, since senders exist whose request and
// response events share source and id.)
func CauseOf(h Header) string { return Cause("event", h.Source, h.ID, h.Type) }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func latencyBounds() []float64 {
	b := make([]float64, 73)
	for i := range b {
		b[i] = 0.1 * math.Pow(2, float64(i)/4)
	}
	return b
}
