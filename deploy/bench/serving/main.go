// Command serving measures inference against what else serves an ONNX model:
// each server in turn on the same cores, with the same model, requests and
// load. The model is trained by Millrace, which then serves it with its
// prediction log on. Every server's answers are held against the bare
// handler's before it is timed. What cannot be installed is named and left out.
//
//	make bench-serving
//	go run ./deploy/bench/serving [-d 10s] [-only millrace,fastapi] [-soak 1h [-rate 5000]]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

type options struct {
	duration    time.Duration
	soak        time.Duration
	rate        float64
	connections int
	port        int
	only        string
	root        string
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "d", 10*time.Second, "how long to load each server")
	flag.DurationVar(&o.soak, "soak", 0, "load Millrace alone for so long at 70 % of its maximum, and print what it holds as CSV")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second of a soak, instead of 70 % of the maximum")
	flag.IntVar(&o.connections, "connections", 8, "connections")
	flag.IntVar(&o.port, "port", 18080, "first port")
	flag.StringVar(&o.only, "only", "", "names of servers, with commas between them; bare is always there")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "serving: error:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	var err error
	if o.root, err = os.Getwd(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "millrace-serving-")
	if err != nil {
		return err
	}
	model := filepath.Join(work, "model.onnx")
	ours, err := train(o, work, model)
	if err != nil {
		return fmt.Errorf("train the model (its files are in %s): %w", work, err)
	}
	bare := filepath.Join(work, "bare")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", bare, "./deploy/bench/serving/bare").CombinedOutput(); err != nil {
		return fmt.Errorf("build the bare handler: %w: %s", err, out)
	}
	servers := []server{
		{name: "bare", command: []string{bare}, path: inferPath, body: inferBody, env: []string{"MODEL=" + model, "MILLRACE_ONNXRUNTIME=" + library(o.root)}},
		ours,
		alone(o, work),
	}
	if o.soak > 0 {
		return errors.Join(soak(o, servers[0], ours, work), os.RemoveAll(work))
	}
	for _, p := range peers(filepath.Join(o.root, "deploy/bench/serving/peers"), work) {
		if !o.wants(p.server.name) {
			continue
		}
		s, err := p.install(model)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", p.server.name, err)
			continue
		}
		servers = append(servers, s)
	}
	var all []measured
	wants := map[int][]float64{}
	for i, s := range servers {
		if s.name != "bare" && !o.wants(s.name) {
			continue
		}
		m, err := measure(o, s, o.port+1+i, filepath.Join(work, s.name+".log"), wants)
		if err != nil {
			if s.name == "bare" || s.name == "millrace" {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", s.name, err)
			continue
		}
		all = append(all, m...)
	}
	fmt.Printf("%d cores, %d connections, %s each\n", runtime.GOMAXPROCS(0), o.connections, o.duration)
	return errors.Join(report(os.Stdout, all), os.RemoveAll(work))
}

func (o options) wants(name string) bool {
	return o.only == "" || strings.Contains(","+o.only+",", ","+name+",")
}

const inferPath = "/v2/models/flights/infer"

func library(root string) string {
	if named := os.Getenv("MILLRACE_ONNXRUNTIME"); named != "" {
		return named
	}
	found, _ := filepath.Glob(filepath.Join(root, "bin/lib/libonnxruntime*"))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// train brings three months of flights into a Millrace of its own and gives
// the server that continues with it.
func train(o options, work, model string) (server, error) {
	example := filepath.Join(o.root, "config/examples/flights")
	python := filepath.Join(example, ".venv/bin/python")
	pipeline := filepath.Join(work, "flights")
	if err := copyExample(example, pipeline); err != nil {
		return server{}, err
	}
	if err := change(filepath.Join(pipeline, "pipeline.yaml"), model); err != nil {
		return server{}, err
	}
	data := filepath.Join(work, "data")
	if out, err := exec.CommandContext(context.Background(), python, filepath.Join(example, "data.py"), "--out", data, "--months", "1-3").CombinedOutput(); err != nil {
		return server{}, fmt.Errorf("make the data: %w: %s", err, out)
	}
	millrace := filepath.Join(o.root, "bin/millrace")
	ours := server{
		name: "millrace", path: inferPath, body: inferBody, whole: true, rpc: true,
		command: []string{millrace, "up", "--dir", filepath.Join(work, "state"), "--pipelines", pipeline, "--listen", "127.0.0.1:{port}"},
	}
	return ours, first(o, ours, work, millrace, data)
}

// copyExample copies what a training needs.
func copyExample(from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"pipeline.yaml", "train.py"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o644); err != nil {
			return err
		}
	}
	return os.Symlink(filepath.Join(from, ".venv"), filepath.Join(to, ".venv"))
}

// first has the model trained and rolled out.
func first(o options, ours server, work, millrace, data string) error {
	up, err := ours.launch(o.port, filepath.Join(work, "train.log"))
	if err != nil {
		return err
	}
	defer up.stop()
	files, err := filepath.Glob(filepath.Join(data, "flights/*.parquet"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no data was made in %s (%w)", data, err)
	}
	upload := append([]string{"upload", "--server", "http://" + up.address, "flights"}, files...)
	var out []byte
	for range 100 { // until it listens
		if out, err = exec.CommandContext(context.Background(), millrace, upload...).CombinedOutput(); err == nil {
			return ours.await(up, nil, 10*time.Minute)
		}
		<-time.After(100 * time.Millisecond)
	}
	return fmt.Errorf("upload: %w: %s", err, out)
}

// change makes the example's pipeline the benchmark's: nine columns, 200
// trees, whatever the data is worth.
func change(path, model string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(raw)
	for _, c := range [][2]string{
		{`features: \[.*\]`, "features: [carrier, origin, dest, hour, distance, temp, humid, wind_speed, visib]"},
		{`trees: \d+`, "trees: 200"},
		{`command: \[python, train.py\]`, `command: [sh, -c, 'python train.py && cp "$$MILLRACE_OUTPUT/model.onnx" ` + model + `']`},
		{`after: \{rows: \d+\}`, "after: {rows: 70000}"},
		{`(?s)gates:.*promote:`, "gates: [{metric: roc_auc, min: 0.5}]\n  promote:"},
		{`(?s)strategy: canary.*monitor:`, "strategy: direct\n  monitor:"},
		{`every: \{rows: \d+\}`, "every: {rows: 1000000000}"}, // drift is another function's work
		{`on_drift: retrain`, "on_drift: notify"},
	} {
		pattern := regexp.MustCompile(c[0])
		if !pattern.MatchString(text) {
			return fmt.Errorf("%s has no %s", path, c[0])
		}
		text = pattern.ReplaceAllString(text, c[1])
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// measure starts a server and loads it with small and large requests.
func measure(o options, s server, port int, log string, wants map[int][]float64) ([]measured, error) {
	if s.beside != nil {
		end, err := s.beside()
		if err != nil {
			return nil, err
		}
		defer end()
	}
	r, err := s.start(port, log, wants[1], 2*time.Minute)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	var all []measured
	for _, rows := range []int{1, 100} {
		for _, w := range s.ways(rows) {
			m, err := measureWay(o, s, r, w, rows, wants)
			if err != nil {
				return nil, fmt.Errorf("%s, %d rows: %w", w.name, rows, err)
			}
			all = append(all, m)
		}
	}
	return all, nil
}

func measureWay(o options, s server, r *running, w way, rows int, wants map[int][]float64) (m measured, err error) {
	status, body, err := askOnce(r.address, w)
	if err != nil || status != 200 {
		return m, fmt.Errorf("%d %.300s (%w)", status, body, err)
	}
	if s.name == "bare" {
		wants[rows] = w.numbers(body)
	} else if !holds(w.numbers(body), wants[rows]) {
		return m, fmt.Errorf("answers differ from the bare handler's: %.300q", body)
	}
	if _, err := load(r.address, w, o.connections, o.duration/4); err != nil { // to warm up
		return m, err
	}
	before := r.usage()
	l, err := load(r.address, w, o.connections, o.duration)
	if err != nil {
		return m, err
	}
	after := r.usage()
	return measured{s.name, w.name, rows, l, (after.cpu - before.cpu) / time.Duration(max(1, len(l.latencies))), r.started, after.rss}, nil
}
