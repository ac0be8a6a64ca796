module millrace.dev/triggers

go 1.26

replace (
	millrace.dev/events => ../events
)
