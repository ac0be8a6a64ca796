module millrace.dev/events

go 1.26.0
