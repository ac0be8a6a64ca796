package job

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/rest"

	"millrace.dev/functions/train-launcher/order"
)

// Jobs carries runs out as Jobs, one pod at a time. It is safe for concurrent use.
type Jobs struct{ *cluster }

var jobs = batchv1.SchemeGroupVersion.WithResource("jobs")

// NewJobs reaches the cluster by rest.
func NewJobs(to *rest.Config, s Settings) (*Jobs, error) {
	c, err := connect(to, s)
	return &Jobs{c}, err
}

// Launch makes the run's Job unless it is there.
func (c *Jobs) Launch(ctx context.Context, r order.Run) error {
	j, err := ForRun(c.settings, r)
	if err != nil {
		return &order.Refused{Reason: oneLine(err), Hint: "correct the pipeline's file"}
	}
	return c.make(ctx, jobs, j, j.Name, r.Key)
}

// Look tells how far the run is, from its Job and its pods.
func (c *Jobs) Look(ctx context.Context, pipeline, run string) (order.Status, error) {
	var j batchv1.Job
	found, err := c.get(ctx, jobs, Name(pipeline, run), &j)
	if err != nil || !found {
		return order.Status{}, err
	}
	pods, err := c.podsOf(ctx, pipeline, run)
	if err != nil {
		return order.Status{}, err
	}
	end, err := c.told(ctx, Ended(j.Status, pods))
	return order.Status{Found: true, Begun: Begun(pods), End: end}, err
}

// Remove deletes the run's Job and its pods.
func (c *Jobs) Remove(ctx context.Context, pipeline, run string) error {
	return c.remove(ctx, jobs, Name(pipeline, run))
}
