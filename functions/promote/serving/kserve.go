package serving

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// labelChampion is the champion that there was when an InferenceService was
// applied: the version that KServe has rolled out, if that serves.
const labelChampion = "millrace.dev/champion"

// KServe returns the next step by which the pipeline's InferenceService follows
// its route. artifacts is the URL of the artifact store.
func KServe(p *state.Pipeline, s Settings, live Object, artifacts string) Step {
	version, canary := newestOf(p, live)
	if version == 0 {
		return Step{Serves: "no version serves"}
	}
	wanted, err := inferenceService(p, s, version, canary, artifacts)
	if err != nil {
		return Step{Failed: version, Reason: err.Error()}
	}
	if !follows(live, wanted) {
		return Step{Apply: wanted, Manager: ManagerModel, Makes: version}
	}
	return standing(p, live, version, canary)
}

// all is the canary's share when it is not a canary.
const all = -1

// newestOf is the version that KServe is to have as its newest, and its share
// in whole per cents. One whose rollout was aborted stays, without traffic:
// KServe then serves the one before it, at once.
func newestOf(p *state.Pipeline, live Object) (version, canary int) {
	champion := p.Route.Champion
	if r := p.Rollout; r != nil && champion != 0 {
		return r.Version, Whole(p.Route.Percent(r.Version))
	}
	if champion == 0 {
		return heaviest(p.Route.Weights), all
	}
	there, _ := strconv.Atoi(text(live, "metadata", "labels", LabelVersion))
	if before := text(live, "metadata", "labels", labelChampion); there != 0 && there != champion && before == strconv.Itoa(champion) {
		return there, 0
	}
	return champion, all
}

func heaviest(ws []events.Weight) int {
	if len(ws) == 0 {
		return 0
	}
	return slices.MaxFunc(ws, func(a, b events.Weight) int { return cmp.Compare(a.Percent, b.Percent) }).Version
}

// inferenceService is the model's object, all of it ours.
func inferenceService(p *state.Pipeline, s Settings, version, canary int, artifacts string) (Object, error) {
	m := p.Model(version)
	if m == nil {
		return nil, fmt.Errorf("there is no version %d", version)
	}
	uri, err := storageURI(m.Model, artifacts)
	if err != nil {
		return nil, err
	}
	serve := p.Config.Spec.Serve
	model := Object{
		"modelFormat": Object{"name": m.Model.Format}, "protocolVersion": "v2", "storageUri": uri,
	}
	if len(serve.Resources) > 0 {
		requests, limits := Object{}, Object{}
		for name, q := range serve.Resources {
			requests[name], limits[name] = string(q), string(q)
		}
		model["resources"] = Object{"requests": requests, "limits": limits}
	}
	predictor := Object{
		"minReplicas": int64(serve.MinScale), "maxReplicas": int64(serve.MaxScale),
		"scaleMetric": "concurrency", "scaleTarget": int64(serve.Target),
		"serviceAccountName": "inference", "model": model,
	}
	if canary != all {
		predictor["canaryTrafficPercent"] = int64(canary)
	}
	marks := labels(p.Name)
	marks[LabelVersion], marks[labelChampion] = strconv.Itoa(version), strconv.Itoa(cmp.Or(p.Route.Champion, version))
	return Object{
		"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
		"metadata": Object{"name": p.Name, "namespace": s.Namespace, "labels": marks},
		"spec":     Object{"predictor": predictor},
	}, nil
}

// storageURI returns where KServe's storage initializer finds the model.
func storageURI(m events.Model, artifacts string) (string, error) {
	if len(m.Files) != 1 {
		return "", fmt.Errorf("the model has %d files; KServe loads one. Export it without external data, or serve it with serve.runtime: millrace", len(m.Files))
	}
	at := m.Files[0].URL
	if strings.Contains(at, "://") {
		return at, nil
	}
	u, err := url.Parse(artifacts)
	if err != nil {
		return "", errors.New("the artifact store's URL cannot be read")
	}
	switch u.Scheme {
	case "s3", "gs":
		return u.Scheme + "://" + u.Host + "/" + strings.TrimPrefix(strings.Trim(u.Path, "/")+"/", "/") + at, nil
	}
	return "", fmt.Errorf("KServe reads from s3:// and gs://, and the artifact store is %s://", u.Scheme)
}

// follows reports whether the live object has the wanted fields.
func follows(live, wanted Object) bool {
	if live == nil {
		return false
	}
	for _, name := range []string{LabelVersion, labelChampion} {
		if text(live, "metadata", "labels", name) != text(wanted, "metadata", "labels", name) {
			return false
		}
	}
	_, had := at(live, "spec", "predictor").(Object)["canaryTrafficPercent"]
	_, has := at(wanted, "spec", "predictor").(Object)["canaryTrafficPercent"]
	return had == has && number(live, "spec", "predictor", "canaryTrafficPercent") == number(wanted, "spec", "predictor", "canaryTrafficPercent") &&
		text(live, "spec", "predictor", "model", "storageUri") == text(wanted, "spec", "predictor", "model", "storageUri")
}

// standing returns how far KServe is.
func standing(p *state.Pipeline, live Object, version, canary int) Step {
	if seen := at(live, "status", "observedGeneration"); seen != nil && number(live, "status", "observedGeneration") != number(live, "metadata", "generation") {
		return Step{Waits: "KServe has not looked at the InferenceService " + p.Name + " yet"}
	}
	ready, why, _ := condition(live, "Ready")
	switch text(live, "status", "modelStatus", "transitionStatus") {
	case "BlockedByFailedLoad", "InvalidSpec":
		return Step{Failed: version, Reason: cmp.Or(text(live, "status", "modelStatus", "lastFailureInfo", "message"), why, "KServe does not load it")}
	case "InProgress":
		return Step{Waits: fmt.Sprintf("KServe is loading v%d", version)}
	}
	if ready != "True" {
		return Step{Waits: fmt.Sprintf("the InferenceService %s is not ready: %s", p.Name, cmp.Or(why, "KServe has not said why"))}
	}
	share := canary
	if canary == all {
		share = 100
	}
	return Step{Serves: fmt.Sprintf("the InferenceService %s serves v%d with %d %%", p.Name, version, share)}
}
