module millrace.dev/shared/onnx

go 1.26.0

require github.com/yalue/onnxruntime_go v1.27.0

require millrace.dev/shared v0.0.0

require (
	github.com/landlock-lsm/go-landlock v0.11.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	kernel.org/pub/linux/libs/security/libcap/psx v1.2.78 // indirect
)

replace (
	millrace.dev/config => ../../config
	millrace.dev/events => ../../events
	millrace.dev/shared => ../
	millrace.dev/triggers => ../../triggers
)
