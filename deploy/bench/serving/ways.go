package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"strconv"

	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
)

// way is a protocol, with the bytes of one request in it. They are made before
// the load, so that the cores are the server's.
type way struct {
	name string
	// open opens a connection.
	open func(address string) (conversation, error)
	// numbers are the probabilities in an answer.
	numbers func(answer []byte) []float64
}

// conversation is one connection, over which the request is sent again and
// again.
type conversation interface {
	// ask sends the request and reads the answer, into answer if that is not
	// nil. The request has failed when the status is not 200.
	ask(answer *bytes.Buffer) (status int, err error)
	Close() error
}

// ways are the protocols that the server is measured by.
func (s server) ways(rows int) []way {
	all := []way{{"JSON", httpOpener(httpRequest(s.path, s.body(rows))), numbersIn}}
	if s.whole {
		all = append(all,
			way{"JSON, binary", httpOpener(binaryRequest(s.path, rows)), func(b []byte) []float64 { return tail(b, 2*rows) }},
			way{"gRPC", rpcOpener(rpcRequest(rows, false)), rpcNumbers},
			way{"gRPC, raw", rpcOpener(rpcRequest(rows, true)), rpcNumbers},
		)
	}
	if s.rpc {
		all = append(all,
			way{"gRPC, own port", ownPort(rpcOpener(rpcRequest(rows, false))), rpcNumbers},
			way{"gRPC, own port, raw", ownPort(rpcOpener(rpcRequest(rows, true))), rpcNumbers},
		)
	}
	return all
}

// ownPortAt is how far the port that gRPC has for itself is from the common one.
const ownPortAt = 1000

func ownPort(open func(string) (conversation, error)) func(string) (conversation, error) {
	return func(address string) (conversation, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		return open(net.JoinHostPort(host, strconv.Itoa(n+ownPortAt)))
	}
}

// binaryRequest has the tensors behind the JSON, and asks for the answer so.
func binaryRequest(path string, rows int) []byte {
	type input struct {
		Name       string         `json:"name"`
		Shape      []int          `json:"shape"`
		Datatype   string         `json:"datatype"`
		Parameters map[string]int `json:"parameters"`
	}
	var inputs []input
	var data []byte
	for _, t := range flights(rows) {
		raw := t.raw()
		inputs = append(inputs, input{t.Name, t.Shape, t.Datatype, map[string]int{"binary_data_size": len(raw)}})
		data = append(data, raw...)
	}
	head := encode(map[string]any{"inputs": inputs, "parameters": map[string]bool{"binary_data_output": true}})
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s%s",
		path, len(head), len(head)+len(data), head, data)
}

// raw is the tensor as bytes.
func (t tensor) raw() (b []byte) {
	for _, v := range t.Data {
		switch v := v.(type) {
		case string:
			b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		case int:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		case float64:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
		}
	}
	return b
}

// rpcRequest is a ModelInferRequest, with typed contents or with raw ones.
func rpcRequest(rows int, raw bool) []byte {
	in := &oip.ModelInferRequest{ModelName: "flights"}
	for _, t := range flights(rows) {
		tensor := &oip.ModelInferRequest_InferInputTensor{Name: t.Name, Datatype: t.Datatype, Shape: []int64{int64(rows), 1}}
		in.Inputs = append(in.Inputs, tensor)
		if raw {
			in.RawInputContents = append(in.RawInputContents, t.raw())
			continue
		}
		tensor.Contents = &oip.InferTensorContents{}
		for _, v := range t.Data {
			switch v := v.(type) {
			case string:
				tensor.Contents.BytesContents = append(tensor.Contents.BytesContents, []byte(v))
			case int:
				tensor.Contents.Int64Contents = append(tensor.Contents.Int64Contents, int64(v))
			case float64:
				tensor.Contents.Fp32Contents = append(tensor.Contents.Fp32Contents, float32(v))
			}
		}
	}
	b, err := proto.Marshal(in)
	if err != nil {
		panic(err) // of our own values
	}
	return b
}

// rpcNumbers are the probabilities of a ModelInferResponse.
func rpcNumbers(answer []byte) (all []float64) {
	out := &oip.ModelInferResponse{}
	if proto.Unmarshal(answer, out) != nil {
		return nil
	}
	for i, o := range out.GetOutputs() {
		if o.GetDatatype() != "FP32" {
			continue
		}
		if i < len(out.GetRawOutputContents()) {
			return append(all, tail(out.GetRawOutputContents()[i], len(out.GetRawOutputContents()[i])/4)...)
		}
		for _, x := range o.GetContents().GetFp32Contents() {
			all = append(all, float64(x))
		}
	}
	return all
}

// tail are the last n floats.
func tail(b []byte, n int) (all []float64) {
	if len(b) < 4*n {
		return nil
	}
	for b = b[len(b)-4*n:]; len(b) > 0; b = b[4:] {
		all = append(all, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	}
	return all
}

// numbersIn are the probabilities of an answer in JSON.
func numbersIn(answer []byte) []float64 {
	var v any
	if json.Unmarshal(answer, &v) != nil {
		return nil
	}
	return numbers(nil, v)
}

// numbers appends the numbers of lists, and of lists within objects.
func numbers(to []float64, v any) []float64 {
	switch v := v.(type) {
	case float64:
		to = append(to, v)
	case []any:
		for _, x := range v {
			to = numbers(to, x)
		}
	case map[string]any:
		for _, key := range []string{"outputs", "probabilities", "data", "predictions"} {
			to = numbers(to, v[key])
		}
	}
	return to
}

// holds says whether the numbers have those that are wanted among them.
func holds(got, want []float64) bool {
	for from := range got {
		if from+len(want) > len(got) {
			return false
		}
		same := true
		for i, w := range want {
			same = same && math.Abs(got[from+i]-w) < 1e-5
		}
		if same {
			return true
		}
	}
	return false
}

// httpRequest is a request as bytes.
func httpRequest(path string, body []byte) []byte {
	return append([]byte("POST "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)
}

// askOnce asks over a connection of its own.
func askOnce(address string, w way) (status int, answer []byte, err error) {
	c, err := w.open(address)
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	var b bytes.Buffer
	status, err = c.ask(&b)
	return status, b.Bytes(), err
}
