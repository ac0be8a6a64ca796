package trainlauncher

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// ingredients are what a run's result follows from.
type ingredients struct {
	// config is the digest of the configuration, code that of the trainer's
	// files, split the rule of the split.
	config, code, split string
	// partitions are those that are trained on, in order.
	partitions []events.DatasetPartition
	params     map[string]any
	// newest are all partitions of the snapshot by age, if newer rows supersede
	// others.
	newest []events.DatasetPartition
}

// key is the digest of the ingredients, each behind its length: equal
// ingredients are one run.
func (in ingredients) key() (string, error) {
	params, err := json.Marshal(in.params) // sorts names
	if err != nil {
		return "", fmt.Errorf("write the parameters: %w", err)
	}
	h := sha256.New()
	part := func(name, value string) { fmt.Fprintf(h, "%s %d\n%s\n", name, len(value), value) }
	part("split", in.split)
	part("config", in.config)
	part("code", in.code)
	part("params", string(params))
	for _, p := range in.partitions {
		part("partition", p.Data.Digest)
	}
	for _, p := range in.newest {
		part("by age", p.Data.Digest)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// again returns the key of the nth repetition of a failed run: what made it fail
// (a missing package, memory) need not be in its ingredients.
func again(key string, n int) string {
	if n == 0 {
		return key
	}
	sum := sha256.Sum256([]byte(key + " again " + strconv.Itoa(n)))
	return hex.EncodeToString(sum[:])
}

// runID returns the id of a run, from the beginning of its key.
func runID(key string) string { return "r" + key[:12] }

// free is the key under which the ingredients of key can start: their own, or
// when that run failed the next repetition's. If a run with this key is
// running or has given a model, free returns it as twin and no key.
func free(p *state.Pipeline, key string) (_ string, twin *state.Run) {
	for n := 0; ; n++ {
		k := again(key, n)
		switch run := p.RunByKey(k); {
		case run == nil:
			return k, nil
		case run.Status != state.RunFailed:
			return "", run
		}
	}
}

// same is the decision not to run because twin has the same ingredients.
func same(p *state.Pipeline, pl *plan, twin *state.Run) decision {
	d := skip(pl.trigger, "the same config, data, parameters and code as run %s, which is under way", twin.Run)
	if twin.Version != 0 {
		d = skip(pl.trigger, "the same config, data, parameters and code as run %s, which gave v%d", twin.Run, twin.Version)
	}
	d.skip.Run = twin.Run
	model := p.Model(twin.Version)
	coming := model == nil || model.State == state.Candidate || model.State == state.Canary
	switch {
	case pl.quiet:
		return restWith(p, "%s", d.skip.Reason)
	case pl.waits && !coming:
		// The model is there and has not helped: only other data can.
		return pl.pend(d)
	}
	return d
}

// effectiveParams returns the pipeline's parameters, overridden by those of the
// request.
func effectiveParams(p *config.Pipeline, asked map[string]any) map[string]any {
	params := maps.Clone(p.Spec.Train.Params)
	if params == nil {
		params = map[string]any{}
	}
	maps.Copy(params, asked)
	return params
}

// trainerCode returns the digest of the trainer's files. errNoTrainer says that
// the pipeline's folder is missing, so that a retry is of no use.
func trainerCode(dir string) (string, error) {
	if dir == "" {
		return "", fmt.Errorf("%w: the pipeline was configured without a folder", errNoTrainer)
	}
	_, digest, err := config.TrainerFiles(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("%w: %w", errNoTrainer, err)
	}
	return digest, err
}

var errNoTrainer = errors.New("the trainer is not on this machine")
