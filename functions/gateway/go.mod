module millrace.dev/functions/gateway

go 1.26

replace (
	millrace.dev/config => ../../config
	millrace.dev/events => ../../events
	millrace.dev/shared => ../../shared
	millrace.dev/triggers => ../../triggers
)
