package main

import (
	"encoding/json"
	"strings"
)

type tensor struct {
	Name     string `json:"name"`
	Shape    []int  `json:"shape"`
	Datatype string `json:"datatype"`
	Data     []any  `json:"data"`
}

var (
	carriers = []string{"UA", "AA", "B6", "DL", "EV", "MQ", "US", "WN"}
	origins  = []string{"EWR", "JFK", "LGA"}
	dests    = []string{"ORD", "ATL", "LAX", "BOS", "MCO", "CLT", "SFO", "FLL", "MIA", "DCA"}
)

// flights makes rows that look like the data, the same each time.
func flights(rows int) []tensor {
	tensors := []tensor{
		{Name: "carrier", Datatype: "BYTES"}, {Name: "origin", Datatype: "BYTES"}, {Name: "dest", Datatype: "BYTES"},
		{Name: "hour", Datatype: "INT64"}, {Name: "distance", Datatype: "FP32"}, {Name: "temp", Datatype: "FP32"},
		{Name: "humid", Datatype: "FP32"}, {Name: "wind_speed", Datatype: "FP32"}, {Name: "visib", Datatype: "FP32"},
	}
	for i := range rows {
		values := []any{
			carriers[i*5%len(carriers)], origins[i*7%len(origins)], dests[i*3%len(dests)], 5 + i*11%18,
			float64(200 + i*137%2400), 25.5 + float64(i*13%50), 40.25 + float64(i*17%55), 3.5 + float64(i*5%20), float64(1 + i*3%10),
		}
		for k := range tensors {
			tensors[k].Data = append(tensors[k].Data, values[k])
		}
	}
	for k := range tensors {
		tensors[k].Shape = []int{rows, 1}
	}
	return tensors
}

// inferBody is a request of the Open Inference Protocol.
func inferBody(rows int) []byte { return encode(map[string]any{"inputs": flights(rows)}) }

// columnsBody is a request of MLflow's: a list of lists for each column, and
// numbers that are seen to be floats, which is what the model takes.
func columnsBody(rows int) []byte {
	columns := map[string][][]any{}
	for _, t := range flights(rows) {
		for _, v := range t.Data {
			if number := string(encode(v)); t.Datatype != "BYTES" && !strings.Contains(number, ".") {
				v = json.RawMessage(number + ".0")
			}
			columns[t.Name] = append(columns[t.Name], []any{v})
		}
	}
	return encode(map[string]any{"inputs": columns})
}

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own values
	}
	return raw
}
