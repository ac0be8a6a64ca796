module millrace.dev/shared/table

go 1.26
