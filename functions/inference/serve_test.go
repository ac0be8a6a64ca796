package inference

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestInfer(t *testing.T) {
	w, g := servedFlights(t)

	t.Run("answers as Python does", func(t *testing.T) {
		a := w.infer(g, g.rows())
		if a.Code != 200 || a.Name != "flights" || a.Version != "1" || a.Parameters["route"] != "champion" {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
		label, probabilities := a.Outputs[0], a.Outputs[1]
		if label.Name != "label" || label.Datatype != "BYTES" || fmt.Sprint(label.Shape) != fmt.Sprint([]int{g.rows()}) {
			t.Errorf("label is %+v", label)
		}
		if probabilities.Name != "probabilities" || probabilities.Datatype != "FP32" || fmt.Sprint(probabilities.Shape) != fmt.Sprint([]int{g.rows(), 2}) {
			t.Errorf("probabilities are %s %s %v", probabilities.Name, probabilities.Datatype, probabilities.Shape)
		}
		for i, want := range g.Scores {
			if got := probabilities.Data[i].(float64); math.Abs(got-want) > 1e-6 {
				t.Fatalf("probability %d is %v, Python says %v", i, got, want)
			}
		}
		for i, want := range g.Labels {
			if label.Data[i] != want {
				t.Errorf("label of row %d is %v, Python says %s", i, label.Data[i], want)
			}
		}
	})

	t.Run("echoes id and parameters", func(t *testing.T) {
		a := w.ask("POST", "/v2/models/flights/infer", g.inferBody(t, 0, 1, map[string]any{
			"id": "a\"b\\ü😀", "parameters": map[string]any{"tenant": "x", "n": 3, "ok": true, "route": "mine"},
		}))
		if a.ID != "a\"b\\ü😀" {
			t.Errorf("id is %q", a.ID)
		}
		if fmt.Sprint(a.Parameters) != "map[n:3 ok:true route:champion tenant:x]" {
			t.Errorf("parameters are %v", a.Parameters)
		}
	})

	t.Run("makes an id", func(t *testing.T) {
		a, b := w.infer(g, 1), w.infer(g, 1)
		if len(a.ID) != 32 || a.ID == b.ID {
			t.Errorf("ids are %q and %q", a.ID, b.ID)
		}
		if c := w.infer(g, 1, "X-Request-Id", "from-the-header"); c.ID != "from-the-header" {
			t.Errorf("id is %q", c.ID)
		}
	})

	t.Run("selects outputs", func(t *testing.T) {
		a := w.ask("POST", "/v2/models/flights/infer", g.inferBody(t, 0, 2, map[string]any{"outputs": []any{map[string]any{"name": "probabilities"}}}))
		if len(a.Outputs) != 1 || a.Outputs[0].Name != "probabilities" || len(a.Outputs[0].Data) != 4 {
			t.Errorf("%s", a.Raw)
		}
	})

	t.Run("takes what means the same", func(t *testing.T) {
		want := w.infer(g, 1).Outputs[1].Data
		first := func(name string) any { return g.Rows[name][0] }
		for name, body := range map[string]string{
			"KeysInAnyOrder": fmt.Sprintf(`{"inputs":[
				{"data":[%q],"shape":[1],"name":"carrier","datatype":"BYTES"},
				{"data":[[%q]],"datatype":"BYTES","shape":[1,1],"name":"origin"},
				{"name":"weekend","data":[%v],"datatype":"BOOL","shape":[1]},
				{"name":"temp","shape":[1],"datatype":"FP64","data":[%v]},
				{"name":"distance","shape":[1],"datatype":"FP32","data":[%v]},
				{"name":"hour","shape":[1],"datatype":"INT32","data":[%v]}], "id": "late"}`,
				first("carrier"), first("origin"), first("weekend"), first("temp"), first("distance"), first("hour")),
			"OtherDatatypes": fmt.Sprintf(`{"inputs":[
				{"name":"carrier","shape":[1],"datatype":"BYTES","data":["\u005a\u005A"]},
				{"name":"origin","shape":[1],"datatype":"BYTES","data":[%q]},
				{"name":"hour","shape":[1],"datatype":"FP64","data":[%v.0]},
				{"name":"distance","shape":[1],"datatype":"FP64","data":[%v]},
				{"name":"temp","shape":[1],"datatype":"FP64","data":[%v]},
				{"name":"weekend","shape":[1],"datatype":"UINT8","data":[%d]},
				{"name":"flight","shape":[1],"datatype":"INT64","data":[17]}]}`,
				first("origin"), first("hour"), first("distance"), first("temp"), map[any]int{true: 1, false: 0}[first("weekend")]),
		} {
			t.Run(name, func(t *testing.T) {
				if a := w.ask("POST", "/v2/models/flights/infer", []byte(body)); a.Code != 200 || fmt.Sprint(a.Outputs[1].Data) != fmt.Sprint(want) {
					t.Errorf("%d %s, want %v", a.Code, a.Raw, want)
				}
			})
		}
	})

	t.Run("takes missing values", func(t *testing.T) {
		a := w.ask("POST", "/v2/models/flights/infer", []byte(strings.Replace(string(g.inferBody(t, 0, 1, nil)),
			fmt.Sprintf(`"FP32","data":[%v]},{"name":"weekend"`, g.Rows["temp"][0]), `"FP32","data":[NaN]},{"name":"weekend"`, 1)))
		b := w.ask("POST", "/v2/models/flights/infer", []byte(strings.Replace(string(g.inferBody(t, 0, 1, nil)),
			fmt.Sprintf(`"FP32","data":[%v]},{"name":"weekend"`, g.Rows["temp"][0]), `"FP32","data":[null]},{"name":"weekend"`, 1)))
		if a.Code != 200 || fmt.Sprint(a.Outputs) != fmt.Sprint(b.Outputs) {
			t.Errorf("%s\n%s", a.Raw, b.Raw)
		}
	})
}

func TestPredict(t *testing.T) {
	w, g := servedFlights(t)
	want := w.infer(g, 2)
	check := func(t *testing.T, a answer) {
		t.Helper()
		if a.Code != 200 || len(a.Predictions) != 2 {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
		for i, p := range a.Predictions {
			row := p.(map[string]any)
			if row["label"] != want.Outputs[0].Data[i] || fmt.Sprint(row["probabilities"]) != fmt.Sprint(want.Outputs[1].Data[2*i:2*i+2]) {
				t.Errorf("row %d is %v, want %s", i, p, want.Raw)
			}
		}
		if a.Header.Get("X-Millrace-Version") != "1" || a.Header.Get("X-Millrace-Route") != "champion" || a.Header.Get("X-Request-Id") == "" {
			t.Errorf("headers are %v", a.Header)
		}
	}
	post := func(body any) answer {
		raw, err := json.Marshal(body)
		must(t, err)
		return w.ask("POST", "/v1/models/flights:predict", raw)
	}
	t.Run("objects", func(t *testing.T) {
		check(t, post(map[string]any{"instances": []any{g.instance(0), g.instance(1)}}))
	})
	t.Run("rows", func(t *testing.T) {
		var rows []any
		for i := range 2 {
			var row []any
			for _, f := range g.Features {
				row = append(row, g.Rows[f.Name][i])
			}
			rows = append(rows, row)
		}
		check(t, post(map[string]any{"instances": rows, "signature_name": "serving"}))
	})
	t.Run("columns", func(t *testing.T) {
		columns := map[string]any{}
		for _, f := range g.Features {
			columns[f.Name] = g.Rows[f.Name][:2]
		}
		check(t, post(map[string]any{"inputs": columns}))
	})
}

func TestRegression(t *testing.T) {
	w, g, names := servedDiabetes(t)
	check := func(t *testing.T, a answer) {
		t.Helper()
		if a.Code != 200 || len(a.Outputs) != 1 || a.Outputs[0].Name != "prediction" || fmt.Sprint(a.Outputs[0].Shape) != "[25]" {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
		for i, want := range g.Scores {
			if got := a.Outputs[0].Data[i].(float64); math.Abs(got-want) > 1e-3 {
				t.Errorf("row %d is %v, Python says %v", i, got, want)
			}
		}
	}
	t.Run("columns", func(t *testing.T) {
		check(t, w.ask("POST", "/v2/models/diabetes/infer", g.inferBody(t, 0, 25, nil)))
	})
	t.Run("matrix", func(t *testing.T) {
		var rows [][]any
		for i := range 25 {
			var row []any
			for _, name := range names {
				row = append(row, g.Rows[name][i])
			}
			rows = append(rows, row)
		}
		body, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": "input-0", "shape": []int{25, 10}, "datatype": "FP32", "data": rows}}})
		must(t, err)
		check(t, w.ask("POST", "/v2/models/diabetes/infer", body))
	})
	t.Run("V1", func(t *testing.T) {
		body, err := json.Marshal(map[string]any{"instances": []any{g.instance(0)}})
		must(t, err)
		if a := w.ask("POST", "/v1/models/diabetes:predict", body); len(a.Predictions) != 1 || math.Abs(a.Predictions[0].(float64)-g.Scores[0]) > 1e-3 {
			t.Errorf("%s", a.Raw)
		}
	})
}

func TestMistakes(t *testing.T) {
	w, g := servedFlights(t)
	good := string(g.inferBody(t, 2, 3, nil)) // UA
	replace := func(old, by string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return strings.Replace(good, old, by, 1)
	}
	hour := fmt.Sprintf(`{"name":"hour","shape":[1,1],"datatype":"INT64","data":[%v]}`, g.Rows["hour"][2])
	tensor := func(text string) string { return replace(hour, text) }
	temp := fmt.Sprintf(`"data":[%v]`, g.Rows["temp"][2])
	for _, c := range []struct {
		name, body string
		code       int
		want       string
	}{
		{"Empty", "", 400, "the body cannot be read as JSON, at byte 0: expected an object, found the end"},
		{"NoJSON", "hello", 400, "expected an object, found hello"},
		{"CutShort", good[:len(good)-4], 400, "cannot be read as JSON"},
		{"Trailing", good + "x", 400, "expected the end, found x"},
		{"NoInputs", "{}", 400, "inputs is missing: a list with one tensor for each column: carrier string, origin string"},
		{"UnknownColumn", replace(`"name":"hour"`, `"name":"our"`), 400, `there is no column "our"; version 1 of flights reads carrier string`},
		{"MissingColumn", replace(hour+",", ""), 400, "column hour (INT64) is missing; version 1 of flights reads"},
		{"WrongDatatype", tensor(`{"name":"hour","shape":[1],"datatype":"BYTES","data":["5"]}`), 400, "input hour: datatype BYTES does not fit column type int; send INT64"},
		{"UnknownDatatype", tensor(`{"name":"hour","shape":[1],"datatype":"FP16","data":[5]}`), 400, `input hour: datatype FP16 has no form in JSON; send binary data, or INT64`},
		{"Fraction", tensor(`{"name":"hour","shape":[1],"datatype":"FP32","data":[5.5]}`), 400, "column hour, row 0: 5.5 is not a whole number of 64 bits, and the column is of type int"},
		{"OutOfRange", tensor(`{"name":"hour","shape":[1],"datatype":"INT8","data":[300]}`), 400, "column hour, row 0: 300 is not a value of INT8"},
		{"TextForNumber", tensor(`{"name":"hour","shape":[1],"datatype":"INT64","data":["5"]}`), 400, `column hour, row 0: "5" is not a number, and the column is of type int`},
		{"NullForInt", tensor(`{"name":"hour","shape":[1],"datatype":"INT64","data":[null]}`), 400, "column hour, row 0: the value is missing, and the contract allows no missing value in it (nulls: 0)"},
		{"Infinite", replace(temp, `"data":[-Infinity]`), 400, "column temp, row 0: infinity is not a number that a column holds"},
		{"BeyondFP32", replace(temp, `"data":[1e308]`), 400, "column temp, row 0: the number is beyond what the model's input holds, FP32 (up to 3.4e38)"},
		{"NumberForText", replace(`"UA"`, "7"), 400, "column carrier, row 0: 7 is not a string"},
		{"NUL", replace(`"UA"`, `"U\u0000A"`), 400, "column carrier, row 0: the string has a NUL in it"},
		{"NoUTF8", replace(`"UA"`, "\"U\xff\""), 400, "is not UTF-8"},
		{"ShapeSaysMore", tensor(`{"name":"hour","shape":[2],"datatype":"INT64","data":[5]}`), 400, "input hour has 1 values, and its shape says 2"},
		{"WrongShape", tensor(`{"name":"hour","shape":[1,2],"datatype":"INT64","data":[5,6]}`), 400, "input hour has shape [1 2]; a column needs [N] or [N, 1]"},
		{"NoShape", tensor(`{"name":"hour","datatype":"INT64","data":[5]}`), 400, "input hour has no shape"},
		{"NoDatatype", tensor(`{"name":"hour","shape":[1],"data":[5]}`), 400, "input hour has no datatype"},
		{"NoName", tensor(`{"shape":[1],"datatype":"INT64","data":[5]}`), 400, "an input has no name; the columns are carrier"},
		{"NoData", tensor(`{"name":"hour","shape":[1],"datatype":"INT64"}`), 400, "input hour has no data"},
		{"Binary", tensor(`{"name":"hour","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}`), 400, "input hour has 8 bytes of binary data, and 0 are left in the body"},
		{"Twice", tensor(hour + "," + hour), 400, "input hour is given twice"},
		{"OtherRows", tensor(`{"name":"hour","shape":[2],"datatype":"INT64","data":[5,6]}`), 400, "column hour has 2 rows and column carrier has 1"},
		{"NoRows", strings.NewReplacer(`[1,1]`, `[0,1]`, `[["UA"]]`, "[]").Replace(emptied(good)), 400, "the request has no rows"},
		{"UnknownOutput", replace(`{"inputs"`, `{"outputs":[{"name":"score"}],"inputs"`), 400, `there is no output "score"; the outputs are label, probabilities`},
		{"LongID", replace(`{"inputs"`, `{"id":"`+strings.Repeat("x", 300)+`","inputs"`), 400, "the request's id has 300 bytes; at most 256 are taken"},
		{"Deep", replace(`{"inputs"`, `{"more":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,"inputs"`), 400, "nested deeper than 64"},
		{"TooManyRows", tensor(`{"name":"hour","shape":[10001],"datatype":"INT64","data":[5]}`), 413, "the request has more than 10000 rows; send them in several requests"},
		{"TooManyBytes", `{"x":"` + strings.Repeat("x", 9<<20) + `"}`, 413, "the body has more than 8388608 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := w.ask("POST", "/v2/models/flights/infer", []byte(c.body)); a.Code != c.code || !strings.Contains(a.Error, c.want) {
				t.Errorf("%d %s\nwant %d ... %s ...", a.Code, a.Raw, c.code, c.want)
			}
		})
	}
	t.Run("V1", func(t *testing.T) {
		for name, c := range map[string][2]string{
			"no instances": {`{}`, "instances is missing"},
			"scalar":       {`{"instances":[5]}`, "instance 0 is 5; it must be an object by column, or a list"},
			"short row":    {`{"instances":[["UA"]]}`, "instance 0 has 1 values; the columns are 6: carrier string"},
			"unknown":      {`{"instances":[{"carier":"UA"}]}`, `instance 0: there is no column "carier"`},
			"missing":      {`{"instances":[{"carrier":"UA"}]}`, "instance 0 lacks column origin. The columns are"},
			"twice":        {`{"instances":[{"carrier":"UA","carrier":"UA"}]}`, "instance 0 has column carrier twice"},
		} {
			if a := w.ask("POST", "/v1/models/flights:predict", []byte(c[0])); a.Code != 400 || !strings.Contains(a.Error, c[1]) {
				t.Errorf("%s: %d %s\nwant %s", name, a.Code, a.Raw, c[1])
			}
		}
	})
	t.Run("paths", func(t *testing.T) {
		for _, c := range []struct {
			method, path string
			code         int
			want         string
		}{
			{"POST", "/v2/models/flight/infer", 404, `there is no model "flight"; the models are flights`},
			{"GET", "/v2/models/flight", 404, `there is no model "flight"`},
			{"POST", "/v2/models/flights/versions/7/infer", 404, "flights has no version 7; versions that can be asked: 1"},
			{"POST", "/v2/models/flights/versions/new/infer", 404, `"new" is not a version of flights; versions that can be asked: 1`},
			{"POST", "/v1/models/flights:explain", 404, "there is nothing at POST /v1/models/flights:explain"},
			{"DELETE", "/v2/models/flights", 405, "/v2/models/flights does not take DELETE; it takes GET and HEAD"},
		} {
			if a := w.ask(c.method, c.path, []byte(good)); a.Code != c.code || !strings.Contains(a.Error, c.want) {
				t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, a.Code, a.Raw, c.code, c.want)
			}
		}
	})
}

// emptied is the request with no data in any tensor.
func emptied(body string) string {
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		panic(err)
	}
	for _, in := range m["inputs"].([]any) {
		in.(map[string]any)["data"] = []any{}
		in.(map[string]any)["shape"] = []any{0, 1}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func TestDescribe(t *testing.T) {
	w, _ := servedFlights(t)
	for path, want := range map[string]string{
		"/v2":                                 `{"extensions":["binary_tensor_data","model_repository"],"name":"millrace","version":"1"}`,
		"/v2/":                                `{"extensions":["binary_tensor_data","model_repository"],"name":"millrace","version":"1"}`,
		"/v2/health/live":                     `{"live":true}`,
		"/v2/health/ready":                    `{"live":true,"ready":true}`,
		"/v2/models":                          `{"models":["flights"]}`,
		"/v1/models":                          `{"models":["flights"]}`,
		"/v1/models/flights":                  `{"name":"flights","ready":true}`,
		"/v2/models/flights/ready":            `{"name":"flights","ready":true}`,
		"/v2/models/flights/versions/1/ready": `{"name":"flights","ready":true}`,
	} {
		if a := w.ask("GET", path, nil); a.Code != 200 || strings.TrimSpace(a.Raw) != want {
			t.Errorf("%s: %d %s, want %s", path, a.Code, a.Raw, want)
		}
	}
	a := w.ask("GET", "/v2/models/flights", nil)
	for _, want := range []string{
		`"versions":["1"]`, `{"name":"carrier","datatype":"BYTES","shape":[-1,1]}`, `{"name":"temp","datatype":"FP32","shape":[-1,1]}`,
		`{"name":"label","datatype":"BYTES","shape":[-1]}`, `{"name":"probabilities","datatype":"FP32","shape":[-1,2]}`, `"classes":"[\"false\",\"true\"]"`,
	} {
		if !strings.Contains(a.Raw, want) {
			t.Errorf("%s is not in %s", want, a.Raw)
		}
	}
}

// TestUndefinedAnswers has a model answer NaN.
func TestUndefinedAnswers(t *testing.T) {
	const yaml = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data: {columns: {x: {type: float}, y: {type: float}}}
  model: {task: regression, label: y, features: [x]}
  serve: {on_nan: "%s"}
`
	w := newWorld(t)
	w.ConfigureYAML(t, fmt.Sprintf(yaml, "error"))
	w.promote("flights", w.register("flights", "nan"))
	w.start()
	const body = `{"instances":[{"x":1}]}`
	a := w.ask("POST", "/v1/models/flights:predict", []byte(body))
	if a.Code != 422 || a.Error != "row 0: the model answered NaN or an infinite number" {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	w.ConfigureYAML(t, fmt.Sprintf(yaml, "null"))
	w.until("the row is answered without a value", func() error {
		return code(w.ask("POST", "/v1/models/flights:predict", []byte(body)), 200, `{"predictions":[null]}`)
	})
	if n := counter(t, w.f.metrics.undefined.WithLabelValues("flights", "1")); n < 2 {
		t.Errorf("%v rows are counted", n)
	}
}
