module millrace.dev/deploy/millrace

go 1.26

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
