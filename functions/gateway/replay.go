package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"millrace.dev/shared/httperror"
)

const (
	replayPath = "/api/pipelines/{pipeline}/replay"
	resolvConf = "/etc/resolv.conf"
)

// replayURL is where requests for replays are passed on to. Knative routes by
// full host name, so that the short name of a Service is completed by the
// namespace's search domain, from resolv.conf.
func replayURL(address, resolvConf string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" {
		return nil, fmt.Errorf("MILLRACE_REPLAY is %q; it must be http://host or http://host:port", address)
	}
	host, port := u.Hostname(), u.Port()
	if strings.ContainsAny(host, ".:") || host == "localhost" {
		return u, nil
	}
	file, err := os.Open(resolvConf)
	if err != nil {
		return u, nil // not on Kubernetes: the name is complete
	}
	defer file.Close()
	if domain := serviceDomain(file); domain != "" {
		u.Host = strings.TrimSuffix(host+"."+domain+":"+port, ":")
	}
	return u, nil
}

// serviceDomain returns the search domain of a pod's namespace, such as
// millrace.svc.cluster.local; "" if the file names no such domain.
func serviceDomain(resolvConf io.Reader) string {
	lines := bufio.NewScanner(resolvConf)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] != "search" {
			continue
		}
		for _, domain := range fields[1:] {
			if _, rest, ok := strings.Cut(domain, "."); ok && strings.HasPrefix(rest, "svc.") {
				return domain
			}
		}
	}
	return ""
}

// forwardReplay passes requests for replays on to their own program: a replay
// runs functions that this one must not link, and takes its time and memory.
func (f *F) forwardReplay(target *url.URL) handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = target.Host
		},
	}
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		p := *proxy
		p.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, cause error) {
			err = httperror.New(http.StatusBadGateway, "the replay does not answer at %s: %v", target.Host, cause).
				Try("is the Service replay deployed? See deploy/replay")
		}
		p.ServeHTTP(w, r)
		return err
	}
}
