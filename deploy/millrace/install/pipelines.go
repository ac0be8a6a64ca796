package install

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"millrace.dev/config"
)

// largestConfigMap is Kubernetes's limit for a ConfigMap, in bytes.
const largestConfigMap = 1 << 20

// configMap returns the ConfigMap pipelines for the pipelines in the folders. It
// has the pipeline file of a pipeline without other files, and the bundle of any
// other. All mistakes are reported at once.
func configMap(folders []string, namespace string) ([]byte, error) {
	files, bundles := map[string]string{}, map[string][]byte{}
	var errs []error
	size := 0
	for _, folder := range folders {
		l, err := config.Load(folder)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name := l.Pipeline.Name()
		if l.Prepare == "" && len(l.Tables) == 0 {
			text, err := os.ReadFile(l.File)
			errs = append(errs, err)
			files[name+".yaml"] = string(text)
			size += len(text)
			continue
		}
		var b bytes.Buffer
		errs = append(errs, config.Bundle(l, &b))
		bundles[name+".tar.gz"] = b.Bytes()
		size += b.Len()
	}
	if size > largestConfigMap {
		errs = append(errs, fmt.Errorf("the pipelines have %d bytes; a ConfigMap takes %d: keep large tables out of them (%s)", size, largestConfigMap, filepath.Join(folders...)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata":   map[string]any{"name": "pipelines", "namespace": namespace, "labels": map[string]string{"app.kubernetes.io/part-of": "millrace"}},
		"data":       files,
		"binaryData": bundles,
	})
}
