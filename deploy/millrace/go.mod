module millrace.dev/deploy/millrace

go 1.26.0

replace (
	millrace.dev/config => ../../config
	millrace.dev/events => ../../events
	millrace.dev/functions/drift-check => ../../functions/drift-check
	millrace.dev/functions/evaluate => ../../functions/evaluate
	millrace.dev/functions/gateway => ../../functions/gateway
	millrace.dev/functions/inference => ../../functions/inference
	millrace.dev/functions/ingest => ../../functions/ingest
	millrace.dev/functions/promote => ../../functions/promote
	millrace.dev/functions/train-launcher => ../../functions/train-launcher
	millrace.dev/functions/validate => ../../functions/validate
	millrace.dev/shared => ../../shared
	millrace.dev/shared/onnx => ../../shared/onnx
	millrace.dev/shared/table => ../../shared/table
	millrace.dev/triggers => ../../triggers
)

require (
	github.com/caarlos0/env/v11 v11.4.2 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.20.1 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)
