package onnx

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The functions of ONNX Runtime's C interface by their place in it. Places never change: the interface only grows.
enum { GET_ERROR_MESSAGE = 2, RELEASE_STATUS = 93, RUN_WITH_BINDING = 133, SINCE = 8 };

typedef struct {
	void **(*get_api)(uint32_t version);
} api_base;

static void **api;

static int find_api(const char *library) {
	void *handle = dlopen(library, RTLD_NOW);
	if (handle == NULL) return 0;
	api_base *(*get_base)(void) = (api_base *(*)(void))dlsym(handle, "OrtGetApiBase");
	if (get_base == NULL) return 0;
	api = get_base()->get_api(SINCE);
	return api != NULL;
}

// run_bound returns what went wrong, to be freed, or NULL.
static char *run_bound(uintptr_t session, uintptr_t options, uintptr_t binding) {
	void *status = ((void *(*)(void *, void *, void *))api[RUN_WITH_BINDING])((void *)session, (void *)options, (void *)binding);
	if (status == NULL) return NULL;
	char *message = strdup(((const char *(*)(void *))api[GET_ERROR_MESSAGE])(status));
	((void (*)(void *))api[RELEASE_STATUS])(status);
	return message;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"
)

// The binding's RunWithBinding takes no run options, so that nothing could end such a run. Its other runs take them, but
// cost an allocation for each tensor and look every name up again. So this file calls the one function itself.

// findAPI finds the C interface of the loaded library.
func findAPI(path string) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if C.find_api(name) == 0 {
		return errors.New("the library has no function OrtGetApiBase for version 8 of the interface")
	}
	return nil
}

// bound is a run that can be repeated, and ended by its options.
type bound struct {
	session, options, binding C.uintptr_t
}

// bind returns the run of session by binding with options. All three must live as long as it is run.
func bind(session *ort.DynamicAdvancedSession, options *ort.RunOptions, binding *ort.IoBinding) (bound, error) {
	b := bound{session: handle(session, "s", "ortSession"), options: handle(options, "o"), binding: handle(binding, "o")}
	if b.session == 0 || b.options == 0 || b.binding == 0 {
		return b, fmt.Errorf("this version of the ONNX Runtime binding keeps its handles elsewhere (%v)", b)
	}
	return b, nil
}

// handle returns the C pointer in a field of a binding's type, 0 if it is not there.
func handle(of any, fields ...string) C.uintptr_t {
	v := reflect.ValueOf(of)
	for _, name := range fields {
		if v.Kind() != reflect.Pointer || v.IsNil() {
			return 0
		}
		if v = v.Elem().FieldByName(name); !v.IsValid() {
			return 0
		}
	}
	if v.Kind() != reflect.Pointer {
		return 0
	}
	return C.uintptr_t(v.Pointer())
}

func (b bound) run() error {
	message := C.run_bound(b.session, b.options, b.binding)
	if message == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(message))
	return errors.New(strings.TrimSpace(C.GoString(message)))
}
