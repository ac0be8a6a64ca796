package serving

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
)

// at returns the value at a path of an object, nil if the path does not exist.
func at(o any, path ...string) any {
	for _, name := range path {
		m, _ := o.(Object)
		o = m[name]
	}
	return o
}

func text(o any, path ...string) string {
	s, _ := at(o, path...).(string)
	return s
}

func list(o any, path ...string) []any {
	l, _ := at(o, path...).([]any)
	return l
}

func number(o any, path ...string) int64 {
	switch n := at(o, path...).(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// member returns the object that is a member of o, and creates it if it is missing.
func member(o Object, name string) Object {
	m, ok := o[name].(Object)
	if !ok {
		m = Object{}
		o[name] = m
	}
	return m
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case Object:
		c := maps.Clone(v)
		for name, m := range c {
			c[name] = deepCopy(m)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, m := range v {
			c[i] = deepCopy(m)
		}
		return c
	}
	return v
}

// digest returns the hex SHA-256 of v as JSON, with sorted members.
func digest(v any) string {
	b, _ := json.Marshal(v) // made of maps, lists and scalars
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
