package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// libraryVariable names the library's file when it is in none of the usual places.
const libraryVariable = "MILLRACE_ONNXRUNTIME"

const libraryHint = "`make build` puts it into bin/lib; " + libraryVariable + " names it when it is elsewhere"

// library is the one piece of package state: ONNX Runtime has one environment a process, loaded at most once.
var library struct {
	sync.Mutex
	path string // "" until it is loaded
}

// Init loads libonnxruntime (1.24 or later) from libPath. With "" it takes the file that MILLRACE_ONNXRUNTIME names, or
// else the first it finds: in lib beside the executable, in lib beside the executable's folder, in
// /usr/lib/onnxruntime, then where the system's loader looks.
//
// The library is loaded once a process and stays. A second Init does nothing; it is an error when it names another
// file than the one loaded. Open calls Init(""), so only a program with an own idea of the place has to.
func Init(libPath string) error {
	library.Lock()
	defer library.Unlock()
	if strings.ContainsRune(libPath, filepath.Separator) { // a bare name is for the system's loader
		abs, err := filepath.Abs(libPath)
		if err != nil {
			return fmt.Errorf("find ONNX Runtime at %s: %w", libPath, err)
		}
		libPath = abs
	}
	if library.path != "" {
		if libPath != "" && libPath != library.path {
			return fmt.Errorf("load ONNX Runtime from %s: this process has loaded it from %s already", libPath, library.path)
		}
		return nil
	}

	candidates := []string{libPath}
	if libPath == "" {
		var err error
		if candidates, err = findLibraries(); err != nil {
			return err
		}
	}
	var errs []error
	for _, path := range candidates {
		ort.SetSharedLibraryPath(path)
		// Fatal: what goes wrong comes back as an error, the library need not also write it to stderr.
		err := ort.InitializeEnvironment(ort.WithLogLevelFatal())
		if err == nil {
			if err = findAPI(path); err != nil {
				_ = ort.DestroyEnvironment() // for the next candidate
			}
		}
		if err == nil {
			library.path = path
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return fmt.Errorf("load ONNX Runtime (1.24 or later is needed; %s): %w", libraryHint, errors.Join(errs...))
}

// Version returns the version of the loaded library, "" before Init.
func Version() string {
	library.Lock()
	defer library.Unlock()
	if library.path == "" {
		return ""
	}
	return ort.GetVersion()
}

// loadedLibrary loads the library if it isn't, and returns where it came from.
func loadedLibrary() (string, error) {
	if err := Init(""); err != nil {
		return "", err
	}
	library.Lock()
	defer library.Unlock()
	return library.path, nil
}

// findLibraries lists where libonnxruntime may be, best first. It never is empty without an error.
func findLibraries() ([]string, error) {
	if named := os.Getenv(libraryVariable); named != "" {
		path, err := filepath.Abs(named)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, fmt.Errorf("find ONNX Runtime where %s says: %w", libraryVariable, err)
		}
		return []string{path}, nil
	}

	pattern, names := "libonnxruntime.so*", []string{"libonnxruntime.so.1", "libonnxruntime.so"}
	if runtime.GOOS == "darwin" {
		pattern, names = "libonnxruntime*.dylib", []string{"libonnxruntime.dylib"}
	}
	folders := []string{"/usr/lib/onnxruntime"}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		folders = append([]string{filepath.Join(dir, "lib"), filepath.Join(dir, "..", "lib")}, folders...)
	}
	for _, folder := range folders {
		if found, _ := filepath.Glob(filepath.Join(folder, pattern)); len(found) > 0 {
			return found[:1], nil
		}
	}
	return names, nil
}
