package serving

import (
	"cmp"
	"strings"
	"time"
)

// revision is a revision of a model's Service and its status.
type revision struct {
	name    string
	version int
	created string
	// ready is the condition's status: True, False or Unknown, since when, and
	// why not.
	ready string
	since time.Time
	why   string
}

func revisionOf(o Object, version int) *revision {
	r := &revision{name: text(o, "metadata", "name"), version: version, created: text(o, "metadata", "creationTimestamp")}
	r.ready, r.why, r.since = condition(o, "Ready")
	return r
}

func (r *revision) better(than *revision) bool {
	if (r.ready == "True") != (than.ready == "True") {
		return r.ready == "True"
	}
	return r.created > than.created
}

// lookAgain returns when to look again at a revision that is starting: most are
// ready within seconds, and each look is an event in the log.
func (r *revision) lookAgain(now time.Time) time.Duration {
	made, err := time.Parse(time.RFC3339, r.created)
	if err != nil {
		return 0
	}
	return min(now.Sub(made)/2, 30*time.Second)
}

// condition returns the status of an object's condition, its reason, and since when.
func condition(o Object, kind string) (status, why string, since time.Time) {
	for _, c := range list(o, "status", "conditions") {
		if text(c, "type") != kind {
			continue
		}
		since, _ = time.Parse(time.RFC3339, text(c, "lastTransitionTime"))
		why = text(c, "reason")
		if message := text(c, "message"); message != "" && message != why {
			why = cmp.Or(why, kind) + ": " + message
		}
		return text(c, "status"), why, since
	}
	return "", "", time.Time{}
}

// refusal returns why Knative creates no revision of the Service's template, if
// it reports that. Reports about other revisions are ignored.
func refusal(service Object) string {
	status, why, _ := condition(service, "ConfigurationsReady")
	if status == "False" && strings.Contains(why, text(service, "spec", "template", "metadata", "name")) {
		return why
	}
	return ""
}
