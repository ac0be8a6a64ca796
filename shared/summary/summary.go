// Package summary says in one line what an event means, for consoles, logs and lists.
package summary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"millrace.dev/events"
	"millrace.dev/shared/humanize"
)

// maxLength bounds a summary, in characters.
const maxLength = 300

// Of returns what the event says, in one line of at most 300 characters. An event of a type that this build does not
// know is described by its attributes. Text from outside, such as a key or a reason, is cut and stripped of control
// characters, so that the line is safe to print on a terminal.
func Of(e events.Envelope) string {
	d, err := events.DecodeData(e)
	if err != nil {
		return line(foreign(e.Header))
	}
	return line(known(d))
}

func foreign(h events.Header) string {
	s := h.Type + " from " + h.Source
	if h.Subject != "" {
		s += " about " + h.Subject
	}
	return s
}

func known(d events.Data) string {
	switch d := d.(type) {
	case events.PipelineConfigured:
		return "configuration " + events.Short(d.Digest) + optional(", commit ", shortCommit(d.Commit))
	case events.ObjectUploaded, events.ObjectRemoved, events.PartitionIngested, events.PartitionRejected, events.PartitionRemoved, events.LabelsIngested, events.DatasetValidated, events.DatasetLate,
		events.ReingestRequested, events.ReingestProgressed:
		return ofData(d)
	case events.TrainingRequested, events.TrainingStarted, events.TrainingProgressed, events.TrainingCompleted, events.TrainingFailed, events.TrainingSkipped:
		return ofTraining(d)
	case events.ModelRegistered, events.EvaluationRequested, events.ModelApproved, events.ModelRejected, events.ModelPromoted, events.ModelRolledBack:
		return ofModel(d)
	case events.PromotionApproved, events.RollbackRequested, events.RolloutStarted, events.RolloutAdvanced, events.RolloutAborted, events.RolloutCompleted:
		return ofRollout(d)
	case events.PredictionsLogged, events.DriftChecked, events.DriftDetected:
		return ofTraffic(d)
	}
	return ofHandling(d)
}

func ofData(d events.Data) string {
	switch d := d.(type) {
	case events.ObjectUploaded:
		size := d.Size
		if size == 0 {
			size = d.Content.Size
		}
		if size > 0 {
			return fmt.Sprintf("%s uploaded, %s", d.Name(), humanize.Bytes(size))
		}
		return d.Name() + " uploaded"
	case events.ObjectRemoved:
		return d.Name() + " removed"
	case events.PartitionIngested:
		s := fmt.Sprintf("%s read: %s in %s", d.Object.Name(), humanize.Count(d.Rows, "row"), humanize.Count(len(d.Fields), "column"))
		if d.Labels {
			s += ", predictions with their labels"
		}
		if n := d.SetAside.Rows; n > 0 {
			s += fmt.Sprintf("; %s set aside: %s", humanize.Count(n, "row"), problems(d.SetAside.Problems))
		}
		return s
	case events.PartitionRejected:
		return d.Object.Name() + " rejected: " + problems(d.Problems)
	case events.PartitionRemoved:
		return fmt.Sprintf("the rows of %s were removed from the dataset", d.Object.Name())
	case events.ReingestRequested:
		return ofReingestRequest(d)
	case events.ReingestProgressed:
		return ofReingest(d)
	case events.LabelsIngested:
		s := fmt.Sprintf("%s of %s, %s matched predictions", humanize.Count(d.Rows, "label"), d.Object.Name(), humanize.Int(d.Matched))
		return s + optional("; ", d.Note)
	case events.DatasetValidated:
		s := fmt.Sprintf("snapshot %s: %s in %s", events.Short(d.Snapshot), humanize.Count(d.Rows, "row"), humanize.Count(d.Partitions, "partition"))
		switch {
		case d.Added != nil && d.Removed != "":
			s += ", " + d.Added.Object.Name() + " replaced"
		case d.Added != nil:
			s += ", " + d.Added.Object.Name() + " added"
		default:
			s += ", " + optional("", d.RemovedObject) + " removed"
		}
		if d.Superseded > 0 {
			s += fmt.Sprintf("; %s superseded by newer ones", humanize.Count(d.Superseded, "row"))
		}
		return s + warnings(d.Warnings)
	case events.DatasetLate:
		return "data is late: " + d.Reason
	}
	return ""
}

func ofReingestRequest(d events.ReingestRequested) string {
	s := "reading kept uploads again"
	if d.Since != "" {
		s += " since " + d.Since
	}
	if d.Stop {
		s += " is to stop"
	} else {
		s += " requested"
	}
	return s + optional(" by ", d.By) + optional(": ", d.Reason)
}

func ofReingest(d events.ReingestProgressed) string {
	s := fmt.Sprintf("%s of %s read again", humanize.Int(d.Done), humanize.Count(d.Files, "upload"))
	if d.Rejected > 0 {
		s += fmt.Sprintf(", %s rejected", humanize.Int(d.Rejected))
	}
	return s + optional("; the last: ", d.Last) + optional("; ", d.Note)
}

// warnings tells how many there are, and the first.
func warnings(all []events.Problem) string {
	if len(all) == 0 {
		return ""
	}
	return "; " + humanize.Count(len(all), "warning") + ": " + all[0].String()
}

func ofTraining(d events.Data) string {
	switch d := d.(type) {
	case events.TrainingRequested:
		return "training requested" + by(d.By) + optional(": ", d.Reason)
	case events.TrainingStarted:
		return fmt.Sprintf("run %s started on %s, %s held out (%s)",
			d.Run, humanize.Count(d.TrainRows, "row"), humanize.Int(d.HoldoutRows), d.Trigger) + optional(": ", d.Reason) + warnings(d.Warnings)
	case events.TrainingProgressed:
		var metrics []string
		for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
			metrics = append(metrics, name+" "+humanize.Metric(d.Metrics[name]))
		}
		return fmt.Sprintf("run %s at step %d", d.Run, d.Step) + optional(": ", strings.Join(metrics, ", "))
	case events.TrainingCompleted:
		return fmt.Sprintf("run %s completed after %s", d.Run, humanize.Seconds(d.Seconds))
	case events.TrainingFailed:
		return fmt.Sprintf("run %s failed: %s", d.Run, d.Reason) + optional("; ", d.Hint)
	case events.TrainingSkipped:
		return "not trained: " + d.Reason
	}
	return ""
}

func ofModel(d events.Data) string {
	switch d := d.(type) {
	case events.ModelRegistered:
		return "model " + cmp.Or(d.Name, events.Short(d.Model.Digest)) + " registered" + by(d.By)
	case events.EvaluationRequested:
		return fmt.Sprintf("evaluation of v%d requested", d.Version) + by(d.By)
	case events.ModelApproved:
		return fmt.Sprintf("v%d approved: %s", d.Version, verdicts(d.Evaluation, true))
	case events.ModelRejected:
		return fmt.Sprintf("v%d rejected: %s", d.Version, verdicts(d.Evaluation, false))
	case events.ModelPromoted:
		s := fmt.Sprintf("v%d is the champion", d.Version)
		if d.Previous > 0 {
			s += fmt.Sprintf(", after v%d", d.Previous)
		}
		return s + optional(": ", d.Reason)
	case events.ModelRolledBack:
		return fmt.Sprintf("v%d rolled back to v%d%s: %s", d.Version, d.To, by(d.By), d.Reason)
	}
	return ""
}

// verdicts joins the reasons of the gates that passed, or of those that failed. Without any it is the reason of the
// evaluation.
func verdicts(d events.Evaluation, passed bool) string {
	var reasons []string
	for _, v := range d.Verdicts {
		if v.Passed == passed && v.Reason != "" {
			reasons = append(reasons, strings.TrimSuffix(v.Reason, "."))
		}
	}
	if len(reasons) == 0 {
		return d.Reason
	}
	return strings.Join(reasons, "; ")
}

func ofRollout(d events.Data) string {
	switch d := d.(type) {
	case events.PromotionApproved:
		return fmt.Sprintf("promotion of v%d approved", d.Version) + by(d.By) + optional(": ", d.Reason)
	case events.RollbackRequested:
		s := "rollback requested"
		if d.To > 0 {
			s = fmt.Sprintf("rollback to v%d requested", d.To)
		}
		return s + by(d.By) + optional(": ", d.Reason)
	case events.RolloutStarted:
		s := fmt.Sprintf("rollout of v%d started (%s)", d.Version, d.Strategy)
		if d.Waits {
			s = fmt.Sprintf("v%d waits for approval (%s)", d.Version, d.Strategy)
		}
		return s + optional(": ", weights(d.Weights)) + optional("; ", d.Reason)
	case events.RolloutAdvanced:
		s := fmt.Sprintf("v%d at step %d", d.Version, d.Step+1)
		if d.Waits {
			s += " waits for approval"
		}
		return s + optional(": ", weights(d.Weights)) + optional("; ", evidence(d.Evidence)) + optional("; ", d.Reason)
	case events.RolloutAborted:
		return fmt.Sprintf("rollout of v%d aborted%s: %s", d.Version, by(d.By), d.Reason) + optional("; ", weights(d.Weights)) + optional("; ", evidence(d.Evidence))
	case events.RolloutCompleted:
		return fmt.Sprintf("v%d has all traffic", d.Version) + optional("; ", evidence(d.Evidence)) + optional(": ", d.Reason)
	}
	return ""
}

func weights(ws []events.Weight) string {
	var parts []string
	for _, w := range ws {
		parts = append(parts, fmt.Sprintf("v%d %s %%", w.Version, humanize.Number(w.Percent)))
	}
	return strings.Join(parts, ", ")
}

func evidence(e events.Evidence) string {
	if e.Requests == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %s failed, p95 %s ms", humanize.Count(e.Requests, "request"), humanize.Int(e.Errors), humanize.Number(e.P95Ms))
}

func ofTraffic(d events.Data) string {
	switch d := d.(type) {
	case events.PredictionsLogged:
		var versions []string
		for _, v := range d.Versions {
			version := fmt.Sprintf("v%d", v.Version)
			if v.Errors > 0 {
				version += fmt.Sprintf(" (%s failed)", humanize.Int(v.Errors))
			}
			versions = append(versions, version)
		}
		s := humanize.Count(d.Rows, "row") + " predicted" + by(strings.Join(versions, ", "))
		if d.Mirrored {
			s += ", from mirrored requests"
		}
		if d.Dropped > 0 {
			s += fmt.Sprintf("; %s answered but not logged", humanize.Count(d.Dropped, "row"))
		}
		return s
	case events.DriftChecked:
		return fmt.Sprintf("no drift in %s against v%d: %s", humanize.Count(d.Rows, "row"), d.Version, d.Reason)
	case events.DriftDetected:
		return fmt.Sprintf("drift in %s against v%d: %s (%s)", humanize.Count(d.Rows, "row"), d.Version, d.Reason, d.Action)
	}
	return ""
}

func ofHandling(d events.Data) string {
	switch d := d.(type) {
	case events.ScheduleTicked:
		return fmt.Sprintf("schedule %s is due (%s)", d.Schedule, d.Action)
	case events.EventHandled:
		if strings.HasPrefix(d.Reason, events.Announced) {
			return d.Function + " " + d.Reason
		}
		return d.Function + " did nothing: " + d.Reason
	case events.EventDeferred:
		return fmt.Sprintf("%s waits until %s: %s", d.Function, d.Until, d.Reason)
	case events.DeadLetterRecorded:
		if d.Rejected {
			return fmt.Sprintf("%s rejected %s: %s", d.Function, typeWords(d.Event.Type), d.Reason)
		}
		return fmt.Sprintf("%s gave up on %s after %s: %s", d.Function, typeWords(d.Event.Type), humanize.Count(d.Attempts, "attempt"), d.Reason)
	case events.DeadLetterClosed:
		return "dead letter " + d.Action + by(d.By) + optional(": ", d.Reason)
	}
	return d.EventType()
}

func typeWords(name string) string {
	if t := (events.Type{Name: name}); strings.HasPrefix(name, events.TypePrefix) {
		return t.Noun() + "." + t.Past()
	}
	return name
}

func problems(ps []events.Problem) string {
	if len(ps) == 0 {
		return "no reason given"
	}
	s := ps[0].String()
	if n := len(ps) - 1; n > 0 {
		s = strings.TrimSuffix(s, ".") + "; and " + humanize.Count(n, "more problem")
	}
	return s
}

func shortCommit(c string) string {
	hash, dirty, _ := strings.Cut(c, "-")
	hash = hash[:min(len(hash), 10)]
	if dirty != "" {
		hash += "-" + dirty
	}
	return hash
}

func by(who string) string { return optional(" by ", who) }

// optional returns the text with a prefix, or nothing when the text is empty.
func optional(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// line makes s one line of bounded length without control characters.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxLength {
		return string(runes[:maxLength-1]) + "…"
	}
	return s
}
