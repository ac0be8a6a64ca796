package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// peer is a server of others and what it takes to install it.
type peer struct {
	server   server
	packages []string
	dir      string // of the programs
	model    string // folder for a model of its own form, "" if it takes ours
}

// runtimeVersions are the same for all: the library we load, and its numpy.
var runtimeVersions = []string{"onnxruntime==1.24.1", "numpy==2.4.6"}

func peers(dir, work string) []peer {
	python := func(file string) []string { return []string{"python", file} }
	mlflow := filepath.Join(work, "mlflow-model")
	return []peer{
		{server{name: "fastapi", path: inferPath, body: inferBody, command: python("fastapi_server.py")}, []string{"fastapi==0.165.0", "uvicorn==0.54.0"}, dir, ""},
		{server{name: "kserve", path: inferPath, body: inferBody, rpc: true, command: python("kserve_server.py")}, []string{"kserve==0.21.0", "setuptools==84.2.1"}, dir, ""},
		{server{name: "mlserver", path: inferPath, body: inferBody, rpc: true, command: []string{"mlserver", "start", "mlserver"}, env: []string{"MLSERVER_PARALLEL_WORKERS=0"}}, []string{"mlserver==1.7.1", "uvloop==0.21.0", "setuptools==84.2.1"}, dir, ""},
		{server{name: "litserve", path: "/predict", body: inferBody, command: python("litserve_server.py")}, []string{"litserve==0.2.19"}, dir, ""},
		{server{name: "bentoml", path: "/infer", body: inferBody, command: []string{"bentoml", "serve", "bentoml_server:Flights", "--port", "{port}"}}, []string{"bentoml==1.4.40"}, dir, ""},
		{server{name: "mlflow", path: "/invocations", body: columnsBody, command: []string{"mlflow", "models", "serve", "-m", mlflow, "--env-manager", "local", "-p", "{port}"}}, []string{"mlflow==3.17.2", "onnx==1.23.2", "pandas==2.3.3"}, dir, mlflow},
	}
}

// install makes the peer's environment, once, in the user's cache, and gives
// the server that runs in it.
func (p peer) install(model string) (server, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return server{}, err
	}
	venv := filepath.Join(cache, "millrace-bench", p.server.name)
	packages := append(append([]string{}, p.packages...), runtimeVersions...)
	stamp := filepath.Join(venv, "stamp")
	if have, err := os.ReadFile(stamp); err != nil || string(have) != fmt.Sprint(packages) {
		if err := makeVenv(venv, packages); err != nil {
			return server{}, err
		}
		if err := os.WriteFile(stamp, fmt.Append(nil, packages), 0o644); err != nil {
			return server{}, err
		}
	}
	s := p.server
	bin := filepath.Join(venv, "bin")
	s.dir = p.dir
	s.env = append([]string{"MODEL=" + model, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"}, s.env...)
	s.command = append([]string{filepath.Join(bin, s.command[0])}, s.command[1:]...)
	if p.model != "" {
		save := exec.CommandContext(context.Background(), filepath.Join(bin, "python"), p.server.name+"_save.py", p.model)
		save.Dir, save.Env = s.dir, append(os.Environ(), s.env...)
		if out, err := save.CombinedOutput(); err != nil {
			return server{}, fmt.Errorf("save the model: %w: %.500s", err, out)
		}
	}
	return s, nil
}

// makeVenv makes an environment with uv, or with Python's own tools.
func makeVenv(venv string, packages []string) error {
	python := filepath.Join(venv, "bin", "python")
	steps := [][]string{
		{"python3", "-m", "venv", "--clear", venv},
		append([]string{python, "-m", "pip", "install", "--quiet"}, packages...),
	}
	if _, err := exec.LookPath("uv"); err == nil {
		steps = [][]string{
			{"uv", "venv", "--quiet", "--clear", "--python", "python3", venv},
			append([]string{"uv", "pip", "install", "--quiet", "--python", python}, packages...),
		}
	}
	for _, step := range steps {
		if out, err := exec.CommandContext(context.Background(), step[0], step[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %.500s", step[0], err, out)
		}
	}
	return nil
}
