package events

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxSummary bounds a summary, in characters.
const maxSummary = 300

// Summary says in one line, for a person, what the event says. Text from
// outside (a key, a reason) is cut and holds no control characters, so that a
// terminal may show it as it is.
func Summary(e Envelope) string {
	d, err := DecodeData(e)
	if err != nil {
		return line(foreignSummary(e.Header))
	}
	return line(summary(d))
}

func foreignSummary(h Header) string {
	s := h.Type + " from " + h.Source
	if h.Subject != "" {
		s += " about " + h.Subject
	}
	return s
}

func summary(d Data) string {
	switch d := d.(type) {
	case PipelineConfigured:
		return "configuration " + Short(d.Digest) + optional(", commit ", shortCommit(d.Commit))
	case ObjectUploaded, ObjectRemoved, PartitionIngested, PartitionRejected, PartitionRemoved, LabelsIngested, DatasetValidated:
		return dataSummary(d)
	case TrainingRequested, TrainingStarted, TrainingProgressed, TrainingCompleted, TrainingFailed, TrainingSkipped:
		return trainingSummary(d)
	case ModelRegistered, EvaluationRequested, ModelApproved, ModelRejected, ModelPromoted, ModelRolledBack:
		return modelSummary(d)
	case PromotionApproved, RollbackRequested, RolloutStarted, RolloutAdvanced, RolloutAborted, RolloutCompleted:
		return rolloutSummary(d)
	case PredictionsLogged, DriftChecked, DriftDetected:
		return trafficSummary(d)
	}
	return handlingSummary(d)
}

func dataSummary(d Data) string {
	switch d := d.(type) {
	case ObjectUploaded:
		size := d.Size
		if size == 0 {
			size = d.Content.Size
		}
		if size > 0 {
			return fmt.Sprintf("%s uploaded, %s", d.Name(), bytes(size))
		}
		return d.Name() + " uploaded"
	case ObjectRemoved:
		return d.Name() + " removed"
	case PartitionIngested:
		s := fmt.Sprintf("%s read: %s in %s", d.Object.Name(), count(d.Rows, "row"), count(int64(len(d.Fields)), "column"))
		if d.Labels {
			s += ", predictions with their labels"
		}
		return s
	case PartitionRejected:
		return d.Object.Name() + " rejected: " + problems(d.Problems)
	case PartitionRemoved:
		return fmt.Sprintf("the rows of %s leave the dataset", d.Object.Name())
	case LabelsIngested:
		s := fmt.Sprintf("%s of %s, %s matched predictions", count(d.Rows, "label"), d.Object.Name(), number(d.Matched))
		return s + optional("; ", d.Note)
	case DatasetValidated:
		s := fmt.Sprintf("snapshot %s: %s in %s", Short(d.Snapshot), count(d.Rows, "row"), count(int64(d.Partitions), "partition"))
		switch {
		case d.Added != nil && d.Removed != "":
			s += ", " + d.Added.Object.Name() + " replaced"
		case d.Added != nil:
			s += ", " + d.Added.Object.Name() + " added"
		default:
			s += ", " + optional("", d.RemovedObject) + " removed"
		}
		if n := len(d.Warnings); n > 0 {
			s += "; " + count(int64(n), "warning") + ": " + d.Warnings[0].String()
		}
		return s
	}
	return ""
}

func trainingSummary(d Data) string {
	switch d := d.(type) {
	case TrainingRequested:
		return "training asked for" + by(d.By) + optional(": ", d.Reason)
	case TrainingStarted:
		return fmt.Sprintf("run %s started on %s, %s held out (%s)",
			d.Run, count(d.TrainRows, "row"), number(d.HoldoutRows), d.Trigger) + optional(": ", d.Reason)
	case TrainingProgressed:
		var metrics []string
		for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
			metrics = append(metrics, name+" "+float(d.Metrics[name]))
		}
		return fmt.Sprintf("run %s at step %d", d.Run, d.Step) + optional(": ", strings.Join(metrics, ", "))
	case TrainingCompleted:
		return fmt.Sprintf("run %s has a model after %s", d.Run, seconds(d.Seconds))
	case TrainingFailed:
		return fmt.Sprintf("run %s failed: %s", d.Run, d.Reason) + optional(" (", d.Hint) + closing(d.Hint)
	case TrainingSkipped:
		return "not trained: " + d.Reason
	}
	return ""
}

func modelSummary(d Data) string {
	switch d := d.(type) {
	case ModelRegistered:
		return "model " + or(d.Name, Short(d.Model.Digest)) + " registered" + by(d.By)
	case EvaluationRequested:
		return fmt.Sprintf("v%d is to be judged again", d.Version) + by(d.By)
	case ModelApproved:
		return fmt.Sprintf("v%d approved: %s", d.Version, verdicts(d.Evaluation, true))
	case ModelRejected:
		return fmt.Sprintf("v%d rejected: %s", d.Version, verdicts(d.Evaluation, false))
	case ModelPromoted:
		s := fmt.Sprintf("v%d is the champion", d.Version)
		if d.Previous > 0 {
			s += fmt.Sprintf(", after v%d", d.Previous)
		}
		return s + optional(": ", d.Reason)
	case ModelRolledBack:
		return fmt.Sprintf("v%d taken out of traffic, v%d serves%s: %s", d.Version, d.To, by(d.By), d.Reason)
	}
	return ""
}

// verdicts are the reasons of the gates that passed, or failed; the
// evaluation's own reason when no gate says one.
func verdicts(d Evaluation, passed bool) string {
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

func rolloutSummary(d Data) string {
	switch d := d.(type) {
	case PromotionApproved:
		return fmt.Sprintf("v%d may go on", d.Version) + by(d.By) + optional(": ", d.Reason)
	case RollbackRequested:
		s := "rollback asked for"
		if d.To > 0 {
			s = fmt.Sprintf("rollback to v%d asked for", d.To)
		}
		return s + by(d.By) + optional(": ", d.Reason)
	case RolloutStarted:
		s := fmt.Sprintf("v%d goes live (%s)", d.Version, d.Strategy)
		if d.Waits {
			s = fmt.Sprintf("v%d waits for a person's yes (%s)", d.Version, d.Strategy)
		}
		return s + optional(": ", weights(d.Weights)) + optional("; ", d.Reason)
	case RolloutAdvanced:
		s := fmt.Sprintf("v%d at step %d", d.Version, d.Step+1)
		if d.Waits {
			s += " waits for a person's yes"
		}
		return s + optional(": ", weights(d.Weights)) + optional("; ", evidence(d.Evidence)) + optional("; ", d.Reason)
	case RolloutAborted:
		return fmt.Sprintf("v%d goes back%s: %s", d.Version, by(d.By), d.Reason) + optional("; ", weights(d.Weights)) + optional("; ", evidence(d.Evidence))
	case RolloutCompleted:
		return fmt.Sprintf("v%d has all traffic", d.Version) + optional("; ", evidence(d.Evidence)) + optional(": ", d.Reason)
	}
	return ""
}

func weights(ws []Weight) string {
	var parts []string
	for _, w := range ws {
		parts = append(parts, fmt.Sprintf("v%d %s %%", w.Version, float(w.Percent)))
	}
	return strings.Join(parts, ", ")
}

func evidence(e Evidence) string {
	if e.Requests == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %s failed, p95 %s ms", count(e.Requests, "request"), number(e.Errors), float(e.P95Ms))
}

func trafficSummary(d Data) string {
	switch d := d.(type) {
	case PredictionsLogged:
		var versions []string
		for _, v := range d.Versions {
			version := fmt.Sprintf("v%d", v.Version)
			if v.Errors > 0 {
				version += fmt.Sprintf(" (%s failed)", number(v.Errors))
			}
			versions = append(versions, version)
		}
		s := count(d.Rows, "row") + " predicted" + by(strings.Join(versions, ", "))
		if d.Mirrored {
			s += " for nobody, from mirrored requests"
		}
		if d.Dropped > 0 {
			s += fmt.Sprintf("; %s answered but not logged", count(d.Dropped, "row"))
		}
		return s
	case DriftChecked:
		return fmt.Sprintf("no drift in %s against v%d: %s", count(d.Rows, "row"), d.Version, d.Reason)
	case DriftDetected:
		return fmt.Sprintf("drift in %s against v%d: %s (%s)", count(d.Rows, "row"), d.Version, d.Reason, d.Action)
	}
	return ""
}

func handlingSummary(d Data) string {
	switch d := d.(type) {
	case ScheduleTicked:
		return fmt.Sprintf("schedule %s is due (%s)", d.Schedule, d.Action)
	case EventHandled:
		if strings.HasPrefix(d.Reason, Announced) {
			return d.Function + " " + d.Reason
		}
		return d.Function + " did nothing: " + d.Reason
	case EventDeferred:
		return fmt.Sprintf("%s waits until %s: %s", d.Function, d.Until, d.Reason)
	case DeadLetterRecorded:
		if d.Rejected {
			return fmt.Sprintf("%s refused %s: %s", d.Function, typeWords(d.Event.Type), d.Reason)
		}
		return fmt.Sprintf("%s gave %s up after %s: %s", d.Function, typeWords(d.Event.Type), count(int64(d.Attempts), "attempt"), d.Reason)
	case DeadLetterClosed:
		return "dead letter " + d.Action + by(d.By) + optional(": ", d.Reason)
	}
	return d.EventType()
}

func typeWords(name string) string {
	if noun, past := words(name); strings.HasPrefix(name, TypePrefix) {
		return noun + "." + past
	}
	return name
}

func problems(ps []Problem) string {
	if len(ps) == 0 {
		return "no reason given"
	}
	s := ps[0].String()
	if n := len(ps) - 1; n > 0 {
		s = strings.TrimSuffix(s, ".") + "; and " + count(int64(n), "more problem")
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

// optional is the text with what comes before it, or nothing.
func optional(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func closing(text string) string { return strings.Repeat(")", min(1, len(text))) }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// count is a number with its noun, which gets an s in the plural.
func count(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return number(n) + " " + noun
}

// number groups digits by three: 336,776.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func float(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

func seconds(s float64) string {
	if s < 10 {
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

func bytes(n int64) string {
	if n < 1000 {
		return count(n, "byte")
	}
	f, unit := float64(n), 0
	for f >= 1000 && unit < len(byteUnits) {
		f /= 1000
		unit++
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + byteUnits[unit-1]
}

var byteUnits = []string{"kB", "MB", "GB", "TB", "PB", "EB"}

// line makes one line of s, bounded, without control characters.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxSummary {
		return string(runes[:maxSummary-1]) + "…"
	}
	return s
}
