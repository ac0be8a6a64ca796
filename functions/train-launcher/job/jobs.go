package job

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/rest"

	"millrace.dev/functions/train-launcher/runspec"
)

// Jobs runs trainings as Jobs, one pod at a time. It is safe for concurrent use.
type Jobs struct{ *cluster }

var jobs = batchv1.SchemeGroupVersion.WithResource("jobs")

// NewJobs returns the Jobs of a cluster.
func NewJobs(to *rest.Config, s Settings) (*Jobs, error) {
	c, err := connect(to, s)
	return &Jobs{c}, err
}

// Launch creates the run's Job and its Secret unless they exist.
func (c *Jobs) Launch(ctx context.Context, r runspec.Run) error {
	j, err := ForRun(c.settings, r)
	if err != nil {
		return &runspec.Refused{Reason: oneLine(err), Hint: "correct the pipeline's file"}
	}
	owner, err := c.make(ctx, jobs, j, j.Name, r.Key)
	if err != nil {
		return err
	}
	return c.giveCredentials(ctx, r, owner)
}

// Poll returns how far the run is, from its Job and its pods.
func (c *Jobs) Poll(ctx context.Context, pipeline, run string) (runspec.Status, error) {
	var j batchv1.Job
	found, err := c.get(ctx, jobs, Name(pipeline, run), &j)
	if err != nil || !found {
		return runspec.Status{}, err
	}
	pods, err := c.podsOf(ctx, pipeline, run)
	if err != nil {
		return runspec.Status{}, err
	}
	end, err := c.withLog(ctx, Ended(j.Status, pods))
	return runspec.Status{Found: true, Begun: Begun(pods), End: end}, err
}

// Remove deletes the run's Job and its pods.
func (c *Jobs) Remove(ctx context.Context, pipeline, run string) error {
	return c.remove(ctx, jobs, Name(pipeline, run))
}
