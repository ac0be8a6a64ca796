package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"millrace.dev/deploy/knative/account"
	"millrace.dev/triggers"
)

// The users by what they are. The table of the product is not asked: this is what it is held against.
var (
	receivers = []string{"drift-check", "evaluate", "ingest", "promote", "train-launcher", "validate"}
	readers   = append([]string{"gateway", "import", "inference", "relay", "replay"}, receivers...)
	nobody    = []string{}
)

// right is a request and who may send it.
type right struct {
	subject string
	who     []string
}

func rights() (rs []right) {
	add := func(who []string, subjects ...string) {
		for _, s := range subjects {
			rs = append(rs, right{s, who})
		}
	}
	for _, f := range append([]string{"gateway", "inference"}, receivers...) {
		add([]string{f}, "events.flights.dataset.validated."+f+".c.1", "events.flights.rollout.advanced."+f+".c.2")
		add([]string{f, "relay"}, "events.flights.deadletter.recorded."+f+".c.1")
	}
	add(nobody, "events.flights.dataset.validated.relay.c.1", "events.flights.dataset.validated.replay.c.1", "events.flights.dataset.validated.somebody.c.1", "events.x", "hello")
	add([]string{"gateway", "ingest"}, "events.flights.schedule.ticked.schedule.c.1")
	for _, past := range []string{"progressed", "completed", "failed"} {
		add([]string{"run", "train-launcher"}, "events.flights.training."+past+".train-launcher.c.1")
	}
	add([]string{"train-launcher"}, "events.flights.training.started.train-launcher.c.1")
	add([]string{"sender"}, "millrace.inbox.flights")
	for _, api := range []string{"LOG.API.", "$JS.API."} {
		in := func(who []string) []string { // $JS.API is that of the program's own account, which has no JetStream
			if api == "$JS.API." {
				return nobody
			}
			return who
		}
		add(in([]string{"setup"}), api+"INFO")
		add(nobody, api+"STREAM.NAMES", api+"STREAM.LIST", api+"ACCOUNT.PURGE.MILLRACE", api+"META.LEADER.STEPDOWN", api+"SERVER.REMOVE", api+"STREAM.CREATE.ANOTHER", api+"STREAM.INFO.ANOTHER")
		for _, stream := range []string{"EVENTS", "INBOX", "KV_STATES", "KV_ATTEMPTS", "KV_TAILS"} {
			add(in([]string{"setup"}), api+"STREAM.CREATE."+stream)
			for _, call := range []string{"UPDATE", "DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE"} {
				add(nobody, api+"STREAM."+call+"."+stream)
			}
			add(nobody, api+"CONSUMER.NAMES."+stream, api+"CONSUMER.LIST."+stream, api+"CONSUMER.DURABLE.CREATE."+stream+".x", api+"CONSUMER.CREATE."+stream, api+"DIRECT.GET."+stream,
				api+"CONSUMER.PAUSE."+stream+".promote", api+"CONSUMER.UNPIN."+stream+".promote", api+"CONSUMER.LEADER.STEPDOWN."+stream+".promote")
			if stream != "EVENTS" {
				who := nobody
				if stream == "KV_ATTEMPTS" {
					who = in([]string{"gateway", "import"})
				}
				add(nobody, api+"STREAM.MSG.GET."+stream)
				add(who, api+"CONSUMER.CREATE."+stream+".x", api+"CONSUMER.DELETE."+stream+".x", api+"CONSUMER.MSG.NEXT."+stream+".x")
			}
		}
		add(in(readers), api+"STREAM.MSG.GET.EVENTS", api+"CONSUMER.CREATE.EVENTS.some.events.>", api+"CONSUMER.INFO.EVENTS.some", api+"CONSUMER.MSG.NEXT.EVENTS.some", api+"CONSUMER.DELETE.EVENTS.some")
		add(in(append([]string{"setup"}, readers...)), api+"STREAM.INFO.EVENTS", api+"STREAM.INFO.KV_STATES", api+"STREAM.INFO.KV_ATTEMPTS")
		add(in([]string{"setup", "gateway", "import"}), api+"STREAM.INFO.INBOX")
		add(in([]string{"setup", "train-launcher"}), api+"STREAM.INFO.KV_TAILS")
		for _, call := range []string{"CONSUMER.CREATE", "CONSUMER.INFO", "CONSUMER.MSG.NEXT"} {
			add(in([]string{"gateway", "import"}), api+call+".INBOX.gateway")
		}
		for _, f := range receivers {
			for _, call := range []string{"CREATE.EVENTS.%s", "CREATE.EVENTS.%s.events.>", "DELETE.EVENTS.%s", "MSG.NEXT.EVENTS.%s"} {
				add(in([]string{f}), api+"CONSUMER."+fmt.Sprintf(call, f))
				add(in([]string{"relay"}), api+"CONSUMER."+fmt.Sprintf(call, "relay-"+f))
			}
			add(in([]string{"relay"}), api+"CONSUMER.RESET.EVENTS.relay-"+f)
			add(nobody, api+"CONSUMER.RESET.EVENTS."+f)
		}
		for _, p := range readers {
			for _, bucket := range []string{"STATES", "ATTEMPTS"} {
				add(in([]string{p}), api+"DIRECT.GET.KV_"+bucket+".$KV."+bucket+"."+p+".x")
			}
		}
		add(in([]string{"train-launcher"}), api+"DIRECT.GET.KV_TAILS.$KV.TAILS.flights.r1")
	}
	for _, f := range receivers {
		add([]string{f}, "$JS.ACK.EVENTS."+f+".1.1.1.1.0")
		add([]string{"relay"}, "$JS.ACK.EVENTS.relay-"+f+".1.1.1.1.0")
	}
	add([]string{"gateway", "import"}, "$JS.ACK.INBOX.gateway.1.1.1.1.0")
	for _, p := range readers {
		add([]string{p}, "LOG.API.$KV.STATES."+p+".x", "LOG.API.$KV.ATTEMPTS."+p+".x")
		add(nobody, "$KV.STATES."+p+".x", "$KV.ATTEMPTS."+p+".x")
	}
	add([]string{"run"}, "LOG.API.$KV.TAILS.flights.r1")
	add(nobody, "$KV.TAILS.flights.r1", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.MILLRACE.INFO", "_INBOX.x")
	return rs
}

// TestRights tries every right of every user against a server with the files of the base: what a user may not is refused by
// the server, what it may reaches the log's account.
func TestRights(t *testing.T) {
	in := install(t, "base/nats.conf", 1)
	setup(t, in)
	users := account.Users()
	tried := 0
	for _, user := range users {
		if user == account.Admin || user == account.System {
			continue
		}
		nc := in.dial(t, user)
		for _, r := range rights() {
			may := slices.Contains(r.who, user) || user == account.Import && strings.HasPrefix(r.subject, "events.")
			if got := allowed(t, nc, r.subject); got != may {
				t.Errorf("%s: %s: allowed %t, want %t", user, r.subject, got, may)
			}
			tried++
		}
		for _, subject := range []string{"events.>", ">", "$JS.>", "LOG.API.>", "millrace.inbox.>", "_R_.>", "$KV.>", "$SYS.>"} {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			must(t, nc.Flush())
			if err := nc.LastError(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("Subscription to %q", subject)) {
				t.Errorf("%s may subscribe to %s", user, subject)
			}
			tried++
		}
	}
	t.Logf("%d rights of %d users were tried", tried, len(users)-2)
}

// allowed reports whether the server takes a message of the user to the subject.
func allowed(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	must(t, nc.Publish(subject, []byte("x")))
	must(t, nc.FlushTimeout(10*time.Second))
	err := nc.LastError()
	return err == nil || !strings.Contains(err.Error(), fmt.Sprintf("Publish to %q", subject))
}

// TestStrangers: who has no key of a user is not let in.
func TestStrangers(t *testing.T) {
	in := install(t, "base/nats.conf", 1)
	stranger := in.seeds["promote"]
	other := install(t, "base/nats.conf", 1)
	for name, options := range map[string][]nats.Option{"nobody": nil, "a password": {nats.UserInfo("millrace", "millrace")}} {
		if nc, err := nats.Connect(other.url, options...); err == nil {
			nc.Close()
			t.Errorf("%s is let in", name)
		}
	}
	other.seeds["promote"] = stranger
	s := other.settings("promote")
	s.Seed = "SU-no-seed"
	if _, _, err := s.Open(t.Context(), "x", nil); err == nil || strings.Contains(err.Error(), "no-seed") {
		t.Errorf("a bad seed: %v", err)
	}
}

// TestEveryFunctionHasAUser: the table names the functions that receive events, as the triggers do.
func TestEveryFunctionHasAUser(t *testing.T) {
	ts, _, err := triggers.Embedded()
	must(t, err)
	var names []string
	for _, tr := range ts {
		if len(tr.Types) > 0 {
			names = append(names, tr.Function)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, receivers) {
		t.Errorf("the triggers name %q, the rights %q", names, receivers)
	}
}
