package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// setting is an environment variable that a program reads into a struct.
type setting struct {
	name, kind, preset, unit, meaning string
	required                          bool
}

// programs are the sections of the page, in its order: a title, what to know,
// and the folder of the structs.
var programs = []struct{ title, about, dir string }{
	{"Every function, relay and sidecar: the event log", "", "shared/eventlog"},
	{"Every function", "", "shared/function"},
	{"Every function, relay and millrace up: callers", "", "shared/access"},
	{"gateway", "", "functions/gateway"},
	{"ingest", "", "functions/ingest"},
	{"validate", "", "functions/validate"},
	{"train-launcher", "Launching and following trainings.", "functions/train-launcher"},
	{"train-launcher on a cluster", "", "functions/train-launcher/job"},
	{"sidecar", "It runs in the pod of a training; train-launcher writes its environment.", "functions/train-launcher/sidecar"},
	{"evaluate", "", "functions/evaluate"},
	{"promote", "", "functions/promote/cluster"},
	{"inference", "", "functions/inference"},
	{"drift-check", "", "functions/drift-check"},
	{"relay", "", "deploy/relay"},
}

// alone are the variables that are read one by one, each with its reader and
// its meaning.
var alone = []struct{ name, reader, meaning string }{
	{"MILLRACE_SERVER", "millrace", "The system to ask, as the flag --server."},
	{"MILLRACE_TOKEN", "millrace", "The token to send, as the flag --token; for `millrace up` the token to ask for. Without one `up` makes the file token in its folder, and the other commands find it."},
	{"MILLRACE_TOKEN_FILE", "millrace", "A file that holds that token."},
	{"MILLRACE_ACCESS_FILE", "millrace up", "A file of named tokens with roles. Without one it is access.json in its folder, if that exists."},
	{"MILLRACE_ANONYMOUS", "millrace up", "The roles of callers without a token. Without it they are predict and read if the token is the one that `up` has made, and none otherwise."},
	{"MILLRACE_NATS", "millrace up", "A NATS server in place of the embedded one, as the flag --nats."},
	{"MILLRACE_ARTIFACTS", "millrace up", "The artifact store in place of a folder, as the flag --artifacts."},
	{"GOGC", "millrace up", "The garbage collector's target. Without it `up` sets 50, which saves a quarter of the memory at rest for some 2 % more work."},
	{"MILLRACE_ONNXRUNTIME", "evaluate, inference, millrace up", "Path of libonnxruntime. Without it the library is looked for in lib/ beside the program, in ../lib, in /usr/lib/onnxruntime, and where the system's loader looks."},
	{"LD_LIBRARY_PATH", "evaluate", "Passed on to the process in which a new model is tried; nothing else of the environment is."},
	{"DYLD_LIBRARY_PATH", "evaluate", "The same on macOS."},
	{"PATH", "train-launcher", "Passed on to the trainer, behind .venv/bin of the pipeline's folder."},
	{"PYTHON", "millrace init", "The Python of the virtual environment where uv is not there. Without it that is python3."},
	{"KUBERNETES_SERVICE_HOST", "every program", "Set by Kubernetes. Logs are then JSON, and train-launcher runs trainings as Jobs."},
	{"K_SERVICE", "every program", "Set by Knative. Logs are then JSON."},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "every function", "Where traces are sent, by OTLP over HTTP. Without it no spans are made. OpenTelemetry's other OTEL_* variables are read too."},
	{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "every function", "The same for traces alone."},
	{"MILLRACE_FAILPOINT", "programs built with the tag failpoints", "name:count kills the process at that point. For crash tests only."},
	{"MILLRACE_FAILPOINT_WITHOUT", "programs built with the tag failpoints", "A promise to break: guard, record or ack-last. For crash tests only."},
	{"MILLRACE_FAILPOINT_MARK", "programs built with the tag failpoints", "A file that is created before the kill. A process that finds it is not killed."},
}

const settingsHead = `# Settings

<!-- Written by make generate from the structs that programs read their environment into, and checked by make verify. -->

Every environment variable of every program. ` + "`millrace up`" + ` runs the functions with the defaults below and is set by flags:
[millrace/commands.md](millrace/commands.md) has those of every command. On a cluster the variables come from the ConfigMap and the Secret
` + "`millrace`" + ` ([knative/base/settings.yaml](knative/base/settings.yaml)) and from each function's ` + "`service.yaml`" + `. A program that cannot start with its
settings reports all mistakes at once and ends with 1.

Durations are written as Go has them: 250ms, 30s, 5m, 24h. The functions and the relay have no flags; the runner's only arguments are
its folder and its mode, which train-launcher writes. The trainer's variables are its contract: [train-launcher](../functions/train-launcher/README.md).
Object stores also read their SDKs' variables: AWS_*, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_*.
`

// settingsPage is the whole page.
func settingsPage(root string) (string, error) {
	var files []source
	for _, folder := range []string{"functions", "shared", "deploy"} {
		more, err := shipped(root, folder)
		if err != nil {
			return "", err
		}
		files = append(files, more...)
	}
	byProgram, err := settingsIn(files)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(settingsHead)
	for _, p := range programs {
		settings := byProgram[p.dir]
		if len(settings) == 0 {
			return "", fmt.Errorf("no struct in %s has env tags: has it moved?", p.dir)
		}
		fmt.Fprintf(&b, "\n## %s\n", p.title)
		if p.about != "" {
			fmt.Fprintf(&b, "\n%s\n", p.about)
		}
		b.WriteString("\n| variable | type | default | meaning |\n|---|---|---|---|\n")
		for _, s := range settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.name, s.kind, s.shownDefault(), strings.ReplaceAll(s.meaning, "|", `\|`))
		}
	}
	if err := allRead(files); err != nil {
		return "", err
	}
	b.WriteString("\n## Read one by one\n\n| variable | read by | meaning |\n|---|---|---|\n")
	for _, s := range alone {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, s.reader, s.meaning)
	}
	return b.String(), nil
}

// settingsIn finds the fields with env tags, by the folder of their program. It
// reports every field that the page cannot explain.
func settingsIn(files []source) (map[string][]setting, error) {
	byProgram := map[string][]setting{}
	var errs []error
	for _, f := range files {
		ast.Inspect(f.file, func(n ast.Node) bool {
			s, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				if field.Tag == nil || !strings.Contains(field.Tag.Value, `env:"`) {
					continue
				}
				read, err := settingOf(field)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", f.dir, err))
					continue
				}
				dir := programOf(f.dir)
				if dir == "" {
					errs = append(errs, fmt.Errorf("%s has settings and no section: add it to programs in deploy/e2e/pages/settings.go", f.dir))
				}
				byProgram[dir] = append(byProgram[dir], read)
			}
			return true
		})
	}
	return byProgram, errors.Join(errs...)
}

// programOf is the folder of the program that a folder belongs to: the nearest
// one above it, empty for none.
func programOf(dir string) string {
	nearest := ""
	for _, p := range programs {
		if strings.HasPrefix(dir+"/", p.dir+"/") && len(p.dir) > len(nearest) {
			nearest = p.dir
		}
	}
	return nearest
}

func settingOf(field *ast.Field) (setting, error) {
	text, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return setting{}, err
	}
	tag := reflect.StructTag(text)
	name, options, _ := strings.Cut(tag.Get("env"), ",")
	s := setting{
		name: name, required: strings.Contains(options, "required"), preset: tag.Get("envDefault"), unit: tag.Get("unit"),
		meaning: oneLine(field.Doc),
	}
	switch kind := typeName(field.Type); kind {
	case "string":
		s.kind = "string"
	case "bool":
		s.kind = "true or false"
		s.preset = max(s.preset, "false")
	case "time.Duration":
		s.kind = "duration"
	case "[]string":
		s.kind = "words"
	case "int", "int64":
		s.kind = s.unit
		s.preset = max(s.preset, "0")
		if s.unit == "" {
			return s, fmt.Errorf(`%s is a number without a unit: write unit:"rows" or the like behind its env tag`, name)
		}
	default:
		return s, fmt.Errorf("%s is of type %s, which the page cannot explain", name, kind)
	}
	if s.meaning == "" {
		return s, fmt.Errorf("%s has no comment of its own, which is its meaning on the page", name)
	}
	return s, nil
}

func typeName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.SelectorExpr:
		return typeName(t.X) + "." + t.Sel.Name
	case *ast.ArrayType:
		return "[]" + typeName(t.Elt)
	}
	return fmt.Sprintf("%T", e)
}

func (s setting) shownDefault() string {
	switch {
	case s.required:
		return "**required**"
	case s.unit == "bytes":
		return s.preset + binary(s.preset)
	}
	return s.preset
}

// binary is a number of bytes as people read it: " (4 GiB)".
func binary(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1<<10 {
		return ""
	}
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.size == 0 {
			return fmt.Sprintf(" (%d %s)", n/u.size, u.name)
		}
	}
	return ""
}

// allRead reports the variables that the files read by os.Getenv and
// os.LookupEnv and that the page does not have.
func allRead(files []source) error {
	known := map[string]bool{}
	for _, s := range alone {
		known[s.name] = true
	}
	constants := map[string]string{} // by folder and name
	for _, f := range files {
		ast.Inspect(f.file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
				for i, name := range v.Names {
					if text, ok := literal(v.Values[i]); ok {
						constants[f.dir+"."+name.Name] = text
					}
				}
			}
			return true
		})
	}
	var errs []error
	for _, f := range files {
		ast.Inspect(f.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 || !slices.Contains([]string{"os.Getenv", "os.LookupEnv"}, typeName(call.Fun)) {
				return true
			}
			name, ok := literal(call.Args[0])
			if id, isName := call.Args[0].(*ast.Ident); !ok && isName {
				name, ok = constants[f.dir+"."+id.Name]
			}
			if ok && !known[name] {
				errs = append(errs, fmt.Errorf("%s reads %s, which no page has: add it to alone in deploy/e2e/pages/settings.go", f.dir, name))
			}
			return true
		})
	}
	return errors.Join(errs...)
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}
