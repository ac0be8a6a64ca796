package access

import (
	"fmt"
	"slices"
	"strings"
)

// Roles is a set of roles: those that a caller has, or alternatives for the
// callers of a route.
type Roles uint8

// The roles of callers.
const (
	// Predict allows predictions and descriptions of the models.
	Predict Roles = 1 << iota
	// Upload allows uploads, removals, feedback, and events of other systems.
	Upload
	// Read allows reading the log and everything that is computed from it.
	Read
	// Operate allows the decisions of people: training, promotion, rollback,
	// registration, dead letters. It includes Read.
	Operate
	// Admin allows everything, imports included.
	Admin

	// InHandler, beside the roles of a route, means that its handler checks the
	// pipeline, which the path does not name.
	InHandler

	// Public, as the roles of a route, means that every caller may use it.
	Public Roles = 0
)

const everyRole = Predict | Upload | Read | Operate | Admin

// RoleNames lists the roles that a token can have.
var RoleNames = []string{"predict", "upload", "read", "operate", "admin"}

// ParseRoles returns the set of the named roles. It reports every mistake at once.
func ParseRoles(names []string) (Roles, error) {
	var out Roles
	var unknown []string
	for _, name := range names {
		i := slices.Index(RoleNames, strings.TrimSpace(name))
		if i < 0 {
			unknown = append(unknown, fmt.Sprintf("%.40q", name))
			continue
		}
		out |= 1 << i
	}
	if len(unknown) > 0 {
		return 0, fmt.Errorf("%s: not a role; the roles are %s", strings.Join(unknown, ", "), strings.Join(RoleNames, ", "))
	}
	return out, nil
}

// String returns the names of the roles, separated by commas.
func (r Roles) String() string {
	var out []string
	for i, name := range RoleNames {
		if r&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// all returns the roles with those that they include.
func (r Roles) all() Roles {
	switch {
	case r&Admin != 0:
		return everyRole
	case r&Operate != 0:
		return r | Read
	}
	return r
}
