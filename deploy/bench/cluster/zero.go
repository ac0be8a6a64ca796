package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// account is where a pod finds what it may say to the API server.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// atZero waits until the Knative Services have no pod.
func (b *bench) atZero(ctx context.Context, services ...string) error {
	pem, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return fmt.Errorf("this runs in a pod only: %w", err)
	}
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	namespace, err := os.ReadFile(account + "namespace")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("the cluster's certificate cannot be read")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, Timeout: 10 * time.Second}
	url := fmt.Sprintf("https://%s/api/v1/namespaces/%s/pods?labelSelector=serving.knative.dev/service+in+(%s)",
		os.Getenv("KUBERNETES_SERVICE_HOST"), namespace, strings.Join(services, ","))
	for deadline := time.Now().Add(5 * time.Minute); ; {
		var pods struct {
			Items []json.RawMessage `json:"items"`
		}
		if err := get(ctx, client, url, string(token), &pods); err != nil {
			return fmt.Errorf("list the pods: %w", err)
		}
		if len(pods.Items) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s have %d pods still", strings.Join(services, " and "), len(pods.Items))
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func get(ctx context.Context, client *http.Client, url, token string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server answers %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
