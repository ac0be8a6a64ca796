module millrace.dev/shared

go 1.26

replace (
	millrace.dev/events => ../events
	millrace.dev/config => ../config
	millrace.dev/triggers => ../triggers
)
