// Package account says what each program of an installation may do in NATS. [Programs] is the one table: accounts.conf, which
// every overlay's NATS includes, is generated from it.
//
// # An account for each program
//
// The log and what stands beside it are in the account MILLRACE. Every program has an account of its own, which imports from
// there the subjects that it needs, by name, and one user with an nkey. Rights of users within one account would not do: a
// server sends its answers to the reply subject of a request without asking whose right it is. With the right to fetch from one
// consumer, and the reply subject $JS.API.STREAM.DELETE.EVENTS, anyone deletes the log; with a direct get, anyone writes
// under the name of any function. Between accounts an answer comes out in the account that asked, where such a subject
// leads nowhere. An inbox is private for the same reason.
//
// # Who emits what
//
// A subject of the log names the function (events.<pipeline>.<noun>.<past>.<function>.<cause>.<n>), so the server itself
// enforces who emits what. No program may create, change, empty or delete a stream, except that `relay setup`, an init
// container of the relay, may create those of Millrace: the right to create a stream of any configuration includes copying into the
// log. The user admin, whose seed no program has, may do everything.
//
// # Static users, no JWTs
//
// The rights are text in the repository: reviewed, applied and rolled back like every manifest, and the same in a NATS server
// of your own. With JWTs (operator mode) each change of rights would be a token to be signed again with a key that somebody
// has to keep. What we gave up: runs share one user. It may write how runs progress and end, and read nothing.
package account

//go:generate go run ./generate ../base/accounts.conf
