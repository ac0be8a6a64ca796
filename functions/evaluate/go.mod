module millrace.dev/functions/evaluate

go 1.26

replace (
	millrace.dev/config => ../../config
	millrace.dev/events => ../../events
	millrace.dev/shared => ../../shared
	millrace.dev/triggers => ../../triggers
	millrace.dev/shared/table => ../../shared/table
	millrace.dev/shared/onnx => ../../shared/onnx
)
