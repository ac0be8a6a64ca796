package validate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"millrace.dev/events"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// finding is what a partition is by itself: it follows from the partition and
// the configuration alone, whatever else the dataset holds.
type finding struct {
	// Profile is in the artifact store; zero for a partition that cannot be read.
	Profile events.Ref `json:"profile"`
	// Problems are what it breaks of the contract.
	Problems []events.Problem `json:"problems,omitempty"`

	profile *table.Profile
}

// find measures a partition and holds it against the contract, unless that has
// been done before.
func (f *F) find(ctx context.Context, p *state.Pipeline, data events.Ref) (finding, error) {
	key := events.Cause("finding", data.Digest, p.Configured.Digest)
	var known finding
	if f.findings.get(key, &known) {
		var err error
		if known.profile, err = f.profile(ctx, known.Profile); err == nil {
			return known, nil
		}
		// The store may have been emptied since; what is not there is made again.
		f.deps.Logger.WarnContext(ctx, "profile of a known partition is gone", slog.String("partition", data.Digest), slog.Any("error", err))
	}
	found, err := f.measure(ctx, p, data)
	if err != nil {
		return finding{}, fmt.Errorf("partition %s: %w", data.Short(), err)
	}
	return found, f.findings.put(key, found)
}

func (f *F) measure(ctx context.Context, p *state.Pipeline, data events.Ref) (finding, error) {
	path, err := f.deps.Artifacts.Path(ctx, data)
	if err != nil {
		return finding{}, err
	}
	var found finding
	if found.profile, err = table.ProfileFile(ctx, path); err != nil {
		return unreadable(err)
	}
	if found.Profile, err = f.putProfile(ctx, found.profile); err != nil {
		return finding{}, err
	}
	rules := rulesOf(p.Config)
	broken, err := table.Check(ctx, path, found.profile, rules)
	if err != nil {
		return unreadable(err)
	}
	scratch, err := f.deps.Artifacts.TempDir("validate-*")
	if err != nil {
		return finding{}, err
	}
	defer os.RemoveAll(scratch)
	bySQL, err := duck.CheckSQL(ctx, path, scratch, rules.SQL)
	if err != nil {
		return finding{}, err
	}
	found.Problems = problemsOf(append(broken, bySQL...), found.profile.Columns)
	return found, nil
}

// unreadable is the finding about a partition that is no table, or err.
func unreadable(err error) (finding, error) {
	var u *table.Unreadable
	if !errors.As(err, &u) {
		return finding{}, err
	}
	reason := u.Reason
	if u.Try != "" {
		reason += "; " + u.Try
	}
	return finding{profile: &table.Profile{}, Problems: []events.Problem{{Check: "readable", Column: u.Column, Reason: reason}}}, nil
}

// maxProfileBytes bounds a stored profile: 4096 columns of 100,000 values would
// be larger, and no longer a profile.
const maxProfileBytes = 1 << 30

// profile reads a stored profile; a zero reference is an empty one.
func (f *F) profile(ctx context.Context, ref events.Ref) (*table.Profile, error) {
	p := new(table.Profile)
	if ref.IsZero() {
		return p, nil
	}
	b, err := f.deps.Artifacts.Bytes(ctx, ref, maxProfileBytes)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", ref.Short(), err)
	}
	if err := p.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("profile %s: %w", ref.Short(), err)
	}
	return p, nil
}

func (f *F) putProfile(ctx context.Context, p *table.Profile) (events.Ref, error) {
	b, err := p.MarshalBinary()
	if err != nil {
		return events.Ref{}, err
	}
	return f.deps.Artifacts.PutBytes(ctx, b, ".profile")
}
