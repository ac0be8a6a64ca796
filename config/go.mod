module millrace.dev/config

go 1.26

replace (
	millrace.dev/events => ../events
)
