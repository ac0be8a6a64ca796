module millrace.dev/deploy/release

go 1.26.0

require golang.org/x/mod v0.41.0

require golang.org/x/tools v0.51.0 // indirect
