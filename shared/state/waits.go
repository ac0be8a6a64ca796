package state

// Waits tells whether something in the pipeline waits for a time: a step of a
// rollout for its deadline, a wish to train for a pause in the uploads, a run
// for its end, which may have come without a word. Whoever lets the system's
// minutely tick into the log asks it first, so that a pipeline at rest adds
// nothing to a log that forgets nothing.
func (p *Pipeline) Waits() bool {
	if p.Rollout != nil && !p.Rollout.Waiting {
		return true
	}
	if p.Wish != nil && !p.Wish.Until.IsZero() {
		return true
	}
	for _, r := range p.Runs {
		if r.Status == RunStarted {
			return true
		}
	}
	return false
}
