package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/deploy/knative/account"
	"millrace.dev/shared/eventlog"
)

// TestAttacks: every user tries to get past its rights through what the server does for it: answers that it sends to the reply
// subject of a request, and consumers that deliver where a program says. Within one account each of these emptied the log, deleted it or
// wrote under another function's name.
func TestAttacks(t *testing.T) {
	in := install(t, "base/nats.conf", 1)
	setup(t, in)
	admin := in.dial(t, account.Admin)
	js, err := jetstream.New(admin)
	must(t, err)
	for _, f := range receivers { // the consumers of the functions, and the relay's
		for _, name := range []string{f, "relay-" + f} {
			_, err := js.CreateConsumer(t.Context(), eventlog.Stream, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
			must(t, err)
		}
	}
	_, err = js.CreateConsumer(t.Context(), eventlog.Inbox, jetstream.ConsumerConfig{Durable: "gateway", AckPolicy: jetstream.AckExplicitPolicy})
	must(t, err)
	before := fingerprint(t, js)
	for _, user := range account.Users() {
		if user == account.Admin || user == account.System {
			continue
		}
		nc := in.dial(t, user)
		attack(t, nc, user, "LOG.API.")
		if user != account.Setup && user != account.Run && user != account.Sender && user != "relay" && user != "replay" {
			push(t, nc, user)
		}
		// What the server does on its own account is done when it has answered once more.
		<-time.After(50 * time.Millisecond)
		if after := fingerprint(t, js); after != before {
			t.Fatalf("%s has changed what is not its own:\n%s\nwas\n%s", user, after, before)
		}
	}
	// The same from within the account of the log works, which is why no program is in it.
	attack(t, in.dial(t, account.Admin), account.Admin, "$JS.API.")
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := js.Stream(t.Context(), eventlog.Stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the attacks do nothing within the account of the log either (%v): they prove nothing", err)
		}
	}
}

// fingerprint is what no user may change: the streams' configurations, the named consumers, and every subject that is not an
// attacker's own.
func fingerprint(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"EVENTS", "INBOX", "KV_STATES", "KV_ATTEMPTS", "KV_TAILS"} {
		s, err := js.Stream(t.Context(), name)
		must(t, err)
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		must(t, err)
		config, err := json.Marshal(info.Config)
		must(t, err)
		fmt.Fprintf(&b, "%s %s %s\n", name, info.Created, config)
		for subject := range info.State.Subjects {
			if strings.Contains(subject, victim) {
				fmt.Fprintf(&b, "  %s\n", subject)
			}
		}
		consumers := 0
		for c := range s.ListConsumers(t.Context()).Info() {
			if c.Config.Durable != "" {
				consumers++
				if c.Delivered.Consumer != 0 || c.NumWaiting != 0 {
					fmt.Fprintf(&b, "  the consumer %s delivered %d\n", c.Name, c.Delivered.Consumer)
				}
			}
		}
		fmt.Fprintf(&b, "  %d consumers\n", consumers)
	}
	return b.String()
}

// victim is part of each subject that no attacker has a right to.
const victim = "victim"

// attack sends requests that the user may send, with reply subjects that it may not.
func attack(t *testing.T, nc *nats.Conn, user, api string) {
	t.Helper()
	// What a direct get would copy: a record with the headers of an event, whose body is a request to the API.
	evil := nats.NewMsg("events.flights.training.requested." + user + ".evil.1")
	evil.Header = nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"forged"}, "ce-source": {"/millrace/promote"}, "ce-type": {"dev.millrace.rollout.completed.v1"}, "ce-pipeline": {"flights"}}
	evil.Data = []byte(`{"name":"EVENTS","subjects":["events.>"],"storage":"file","retention":"limits","discard":"new","max_msgs_per_subject":1,"discard_new_per_subject":true,` +
		`"deny_delete":true,"deny_purge":true,"allow_direct":true,"allow_atomic":true,"num_replicas":1,"max_age":1000000000,"duplicate_window":1000000000}`)
	must(t, nc.PublishMsg(evil))
	must(t, nc.Publish(kv(api)+"$KV.STATES."+user+".evil", evil.Data))
	must(t, nc.Publish(api+"CONSUMER.CREATE.EVENTS.spy", []byte(`{"stream_name":"EVENTS","config":{"name":"spy","deliver_policy":"new","ack_policy":"none","inactive_threshold":30000000000,"mem_storage":true}}`)))
	must(t, nc.Publish(api+"CONSUMER.CREATE.EVENTS.all", []byte(`{"stream_name":"EVENTS","config":{"name":"all","deliver_policy":"all","ack_policy":"none","inactive_threshold":30000000000,"mem_storage":true}}`)))
	requests := map[string]string{
		"events.flights.training.requested." + user + ".again.1":  "x",
		"millrace.inbox.flights":                                  "x",
		kv(api) + "$KV.STATES." + user + ".again":                 "x",
		kv(api) + "$KV.TAILS.flights.r":                           "x",
		api + "STREAM.INFO.EVENTS":                                "",
		api + "STREAM.MSG.GET.EVENTS":                             `{"seq":1}`,
		api + "DIRECT.GET.KV_STATES.$KV.STATES." + user + ".evil": "",
		api + "CONSUMER.MSG.NEXT.EVENTS.spy":                      `{"batch":1,"no_wait":true}`,
		api + "CONSUMER.MSG.NEXT.EVENTS.all":                      `{"batch":10,"no_wait":true}`,
	}
	for request, body := range requests {
		for i, reply := range []string{
			"events.flights.rollout.completed.promote." + victim + ".%d", "events.flights.dataset.validated.validate." + victim + ".%d", "millrace.inbox." + victim + "%d",
			"$KV.STATES.promote." + victim + "%d", "LOG.API.$KV.STATES.promote." + victim + "%d",
		} {
			must(t, nc.PublishRequest(request, fmt.Sprintf(reply, i), []byte(body)))
		}
		for _, api := range []string{"$JS.API.", "LOG.API."} {
			for _, call := range []string{
				"STREAM.UPDATE.EVENTS", "STREAM.DELETE.EVENTS", "STREAM.PURGE.EVENTS", "STREAM.DELETE.INBOX", "STREAM.PURGE.INBOX", "STREAM.DELETE.KV_STATES", "STREAM.CREATE.ANOTHER",
				"CONSUMER.DELETE.EVENTS.relay-promote", "CONSUMER.DELETE.EVENTS.promote", "CONSUMER.MSG.NEXT.EVENTS.relay-promote", "CONSUMER.DELETE.INBOX.gateway",
			} {
				must(t, nc.PublishRequest(request, api+call, []byte(body)))
			}
		}
	}
	must(t, nc.Flush())
}

// kv is what stands before the subjects of a KV bucket.
func kv(api string) string { return strings.TrimPrefix(api, "$JS.API.") }

// push has consumers deliver, and send their heartbeats, where the user may not write.
func push(t *testing.T, nc *nats.Conn, user string) {
	t.Helper()
	for i, to := range []string{
		"events.flights.rollout.completed.promote." + victim + ".9", "$KV.STATES.promote." + victim, "millrace.inbox." + victim, "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS",
		"$JS.API.STREAM.DELETE.KV_STATES",
	} {
		for _, heartbeat := range []string{"", `"idle_heartbeat":100000000,`} {
			name := fmt.Sprintf("push-%s-%d-%d", user, i, len(heartbeat))
			body := fmt.Sprintf(`{"stream_name":"EVENTS","config":{"name":%q,"deliver_subject":%q,%s"deliver_policy":"all","ack_policy":"none","inactive_threshold":30000000000,"mem_storage":true}}`, name, to, heartbeat)
			if _, err := nc.Request("LOG.API.CONSUMER.CREATE.EVENTS."+name, []byte(body), 5*time.Second); err != nil {
				t.Errorf("%s: no answer: %v", user, err)
			}
		}
	}
	<-time.After(300 * time.Millisecond) // three heartbeats
}
