package validate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// finding is the result of checking a partition by itself: it depends only on
// the partition and the configuration.
type finding struct {
	// Profile is in the artifact store; zero for a partition that cannot be read.
	Profile events.Ref `json:"profile"`
	// Problems are its violations of the contract.
	Problems []events.Problem `json:"problems,omitempty"`

	profile *table.Profile
}

// find measures a partition and checks it against the contract, unless the
// result is cached.
func (f *F) find(ctx context.Context, p *state.Pipeline, data events.Ref) (finding, error) {
	key := events.Cause("finding", data.Digest, p.Configured.Digest)
	var known finding
	if f.findings.get(key, &known) {
		var err error
		if known.profile, err = f.profile(ctx, known.Profile); err == nil {
			return known, nil
		}
		// The store may have been emptied since; a missing profile is made again.
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
	scratch, err := f.deps.Artifacts.TempDir("validate-*")
	if err != nil {
		return finding{}, err
	}
	defer os.RemoveAll(scratch)
	var found finding
	if found.profile, found.Problems, err = Examine(ctx, path, scratch, p.Config); err != nil {
		return unreadable(err)
	}
	if found.Profile, err = f.putProfile(ctx, found.profile); err != nil {
		return finding{}, err
	}
	return found, nil
}

// Examine measures the canonical table at path and holds it against the contract
// of a pipeline. Temporary files are in the folder scratch. A file that is not a
// table is a *[table.Unreadable].
func Examine(ctx context.Context, path, scratch string, p *config.Pipeline) (*table.Profile, []events.Problem, error) {
	profile, err := table.ProfileFile(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	rules := rulesOf(p)
	broken, err := table.Check(ctx, path, profile, rules)
	if err != nil {
		return nil, nil, err
	}
	bySQL, err := duck.CheckSQLApart(ctx, path, scratch, rules.SQL)
	if err != nil {
		return nil, nil, err
	}
	return profile, problemsOf(append(broken, bySQL...), profile.Columns), nil
}

// unreadable returns the finding about a partition that is not a table, or err.
func unreadable(err error) (finding, error) {
	u, ok := errors.AsType[*table.Unreadable](err)
	if !ok {
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

// profile reads a stored profile; for a zero reference it is empty.
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
