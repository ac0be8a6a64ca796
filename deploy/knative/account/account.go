package account

import (
	"slices"
	"strings"
)

// Log is the account that has the log.
const Log = "MILLRACE"

// Program is a program's user of NATS.
type Program struct {
	// Name is the user's, and that of its Secret behind "nats-".
	Name string
	// About says what the program is.
	About string
	// Writes are the subjects of the account Log on which it may publish, as they are.
	Writes []string
	// Calls are requests to JetStream in the account Log, below $JS.API.
	Calls []string
	// Keys are keys of KV buckets that it may set.
	Keys []string
	// Denied are calls that a wildcard of Calls would allow.
	Denied []string
}

// Account is the name of the program's account.
func (p Program) Account() string { return strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) }

// Variable is the environment variable with the public key of a user, as the NATS server reads it.
func Variable(user string) string {
	return "NATS_" + strings.ToUpper(strings.ReplaceAll(user, "-", "_"))
}

// The users that are no program's.
const (
	// Admin may do everything in the account Log.
	Admin = "admin"
	// System is the user of the server's own account.
	System = "system"
	// Setup creates the streams: `relay setup`.
	Setup = "setup"
	// Sender is for senders outside: they publish into the inbox.
	Sender = "sender"
	// Run is for the sidecars of runs.
	Run = "run"
	// Import is for a gateway that imports.
	Import = "import"
)

// functions receive events, and so they have consumers of the log: of their own where they pull, the relay's on Knative.
var functions = []string{"drift-check", "evaluate", "ingest", "promote", "train-launcher", "validate"}

// Users returns the names of all users, sorted.
func Users() []string {
	names := []string{Admin, System}
	for _, p := range Programs() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// Programs returns every program with its rights.
func Programs() []Program {
	ps := []Program{
		function("ingest", "reads uploads into partitions; a sweep that has to leave something ticks again", ticks),
		function("validate", "checks partitions and adds them to datasets"),
		function("train-launcher", "starts and follows runs").calls("STREAM.INFO.KV_TAILS", "DIRECT.GET.KV_TAILS.$KV.TAILS.>"),
		function("evaluate", "judges new versions"),
		function("promote", "moves traffic"),
		function("drift-check", "compares what is served with what was trained on"),
		program("inference", "answers predictions and logs them", announced("inference")),
		gateway("gateway", "takes events from outside into the log, as the Services gateway and gateway-internal", announced("gateway"), ticks),
		gateway(Import, "the gateway while it imports a pipeline's history, which has the events of every function; no program is this user by default", "events.>"),
		relay(),
		program("replay", "decides over past events again, and writes nothing into the log"),
		{
			Name: Setup, About: "creates the log and what stands beside it, once: the init container of the relay",
			Calls: append(streams("STREAM.INFO.", "STREAM.CREATE."), "INFO"),
		},
		{
			Name: Run, About: "the sidecars of runs: how a run progresses and ends, and the last lines of its log. It reads nothing",
			Writes: []string{
				"events.*.training.progressed.train-launcher.>", "events.*.training.completed.train-launcher.>", "events.*.training.failed.train-launcher.>",
			},
			Keys: []string{"TAILS.>"},
		},
		{Name: Sender, About: "senders outside: into the inbox, which the gateway empties", Writes: []string{"millrace.inbox.>"}},
	}
	for i := range ps {
		ps[i].Denied = denied(ps[i])
	}
	return ps
}

// ticks are the events of schedules, which stand under a function of that name.
const ticks = "events.*.schedule.ticked.schedule.>"

// announced are the subjects of what a function emits.
func announced(function string) string { return "events.*.*.*." + function + ".>" }

// program is one that reads the log and caches its own folds.
func program(name, about string, writes ...string) Program {
	p := Program{Name: name, About: about, Writes: writes}
	p = p.calls(
		"STREAM.INFO.EVENTS", "STREAM.MSG.GET.EVENTS", "CONSUMER.CREATE.EVENTS.>", "CONSUMER.INFO.EVENTS.*", "CONSUMER.DELETE.EVENTS.*", "CONSUMER.MSG.NEXT.EVENTS.*")
	for _, bucket := range []string{"STATES", "ATTEMPTS"} {
		p = p.calls("STREAM.INFO.KV_"+bucket, "DIRECT.GET.KV_"+bucket+".$KV."+bucket+"."+name+".>")
		p.Keys = append(p.Keys, bucket+"."+name+".>")
	}
	return p
}

// function is a program that receives events.
func function(name, about string, writes ...string) Program {
	return program(name, about, append([]string{announced(name), "$JS.ACK.EVENTS." + name + ".>"}, writes...)...)
}

// gateway is a program that empties the inbox too, and shows which events are tried again.
func gateway(name, about string, writes ...string) Program {
	return program(name, about, append(writes, "$JS.ACK.INBOX.gateway.>")...).
		calls("STREAM.INFO.INBOX", "CONSUMER.CREATE.INBOX.gateway", "CONSUMER.INFO.INBOX.gateway", "CONSUMER.MSG.NEXT.INBOX.gateway").
		calls("CONSUMER.CREATE.KV_ATTEMPTS.>", "CONSUMER.INFO.KV_ATTEMPTS.*", "CONSUMER.DELETE.KV_ATTEMPTS.*", "CONSUMER.MSG.NEXT.KV_ATTEMPTS.*")
}

func relay() Program {
	p := program("relay", "sends the log to the broker; what no function takes it records as a dead letter", "events.*.deadletter.recorded.*.>")
	for _, f := range functions {
		p = p.calls("CONSUMER.RESET.EVENTS.relay-" + f)
		p.Writes = append(p.Writes, "$JS.ACK.EVENTS.relay-"+f+".>")
	}
	return p
}

func (p Program) calls(subjects ...string) Program {
	p.Calls = append(slices.Clone(p.Calls), subjects...)
	return p
}

// streams returns each of the calls for each stream of Millrace.
func streams(calls ...string) (out []string) {
	for _, stream := range []string{"EVENTS", "INBOX", "KV_STATES", "KV_ATTEMPTS", "KV_TAILS"} {
		for _, c := range calls {
			out = append(out, c+stream)
		}
	}
	return out
}

// denied are the calls to the named consumers of others: who changes, deletes or empties such a consumer keeps a function
// from hearing events.
func denied(p Program) (out []string) {
	if !slices.Contains(p.Calls, "CONSUMER.CREATE.EVENTS.>") {
		return nil
	}
	for _, f := range functions {
		for owner, consumer := range map[string]string{f: f, "relay": "relay-" + f} {
			if owner == p.Name {
				continue
			}
			out = append(out, "CONSUMER.CREATE.EVENTS."+consumer, "CONSUMER.CREATE.EVENTS."+consumer+".>", "CONSUMER.DELETE.EVENTS."+consumer, "CONSUMER.MSG.NEXT.EVENTS."+consumer)
		}
	}
	slices.Sort(out)
	return out
}
