// Package account tries the rights of deploy/knative/account against real NATS servers with exactly the files of the overlays.
// It has tests only.
package account
