// Package kit assembles the protocol of Kubernetes with everything that belongs to it: handlers, and how kubectl is
// told of a cluster.
package kit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/kubernetes"
	"github.com/sallyport/sallyport/proxy"
)

// Protocol returns the protocol of Kubernetes for an assembly.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "kubernetes", DefaultPort: 6443, TLS: true, Anonymous: true,
		Kinds:    []proxy.Kind{proxy.KindConnect, proxy.KindRequest, proxy.KindExec, proxy.KindShell, proxy.KindForward},
		Settings: func() any { return &kubernetes.Settings{} },
		Hosts: func(settings any) []string {
			s, _ := settings.(kubernetes.Settings)
			return s.Hosts
		},
		Open:   open,
		Client: client,
		Exec:   execute,
		Links: func(e protocol.Endpoint) []protocol.Link {
			return []protocol.Link{{For: "url", Text: address(e)}}
		},
	}
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	shared := &kubernetes.Shared{}
	return &protocol.Service{
		Handler: func(resource string) (proxy.Handler, error) {
			if a.Gateway == nil {
				return nil, fmt.Errorf("serving %s: the assembly has no gateway", Protocol().Name)
			}
			h := &kubernetes.Handler{
				Resource: resource, TLS: a.TLS, Domain: a.Domain, Resources: a.Resources, KnowsCertificate: a.KnowsCertificate, Log: a.Log, Shared: shared,
				Ports: a.Ports(Protocol().Name),
			}
			if a.Bearers != nil { // a nil of the one interface is not a nil of the other
				h.Bearers = a.Bearers
			}
			return h, nil
		},
		Operation: func(_ context.Context, t proxy.Target, text string) (proxy.Op, error) {
			return kubernetes.Operation(t, text)
		},
		Reach: kubernetes.Reach,
		Close: shared.Close,
	}, nil
}

func address(e protocol.Endpoint) string { return "https://" + net.JoinHostPort(e.Host, e.Port) }

// flags have kubectl use an endpoint, whatever the user's own kubeconfig says.
func flags(e protocol.Endpoint) []string {
	list := []string{"--kubeconfig=" + os.DevNull, "--server=" + address(e)}
	if e.CA != "" {
		list = append(list, "--certificate-authority="+e.CA)
	}
	if e.Proof != nil {
		list = append(list, "--client-certificate="+e.Proof.Certificate, "--client-key="+e.Proof.Key)
	}
	return list
}

// client runs kubectl. Without arguments it says what there is.
func client(e protocol.Endpoint) (*protocol.Command, error) {
	args := e.Args
	if len(args) == 0 {
		args = []string{"api-resources"}
	}
	return &protocol.Command{Program: "kubectl", Args: append(flags(e), args...)}, nil
}

// execute reads one path.
func execute(e protocol.Endpoint, x protocol.Execution) (*protocol.Command, error) {
	if x.CSV || x.File != "" || x.Text == "" || x.Text[0] != '/' {
		return nil, errors.New("reading from a cluster: want one path such as /api/v1/namespaces/default/pods")
	}
	return &protocol.Command{Program: "kubectl", Args: append(append(flags(e), e.Args...), "get", "--raw", x.Text)}, nil
}

// Config is a kubeconfig for an endpoint, in JSON, which is YAML too. program and args are what prints a credential; authority are the
// certificates by which the gateway is known, in PEM, or empty for the system's.
func Config(name string, e protocol.Endpoint, authority []byte, program string, args []string) ([]byte, error) {
	cluster := map[string]any{"server": address(e)}
	if len(authority) > 0 {
		cluster["certificate-authority-data"] = base64.StdEncoding.EncodeToString(authority)
	}
	return json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": cluster}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
		"users": []any{map[string]any{"name": name, "user": map[string]any{"exec": map[string]any{
			"apiVersion": credentialVersion, "command": program, "args": args, "interactiveMode": "Never",
			"installHint": "The program sallyport is not on the path.",
		}}}},
	}, "", "  ")
}

const credentialVersion = "client.authentication.k8s.io/v1"

// Credential is what kubectl reads of a program that prints credentials: a certificate with its key, in PEM, and when it ends, as
// RFC 3339 has it.
func Credential(certificate, key []byte, ends string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": credentialVersion, "kind": "ExecCredential",
		"status": map[string]any{"clientCertificateData": string(certificate), "clientKeyData": string(key), "expirationTimestamp": ends},
	})
}
