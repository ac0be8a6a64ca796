module millrace.dev/functions/validate

go 1.26

replace (
	millrace.dev/config => ../../config
	millrace.dev/events => ../../events
	millrace.dev/shared => ../../shared
	millrace.dev/triggers => ../../triggers
	millrace.dev/shared/table => ../../shared/table
)
