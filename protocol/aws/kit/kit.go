// Package kit assembles accounts of AWS with everything that belongs to them: handlers, the key that people's keys are derived
// from, and how the AWS command line is told of an account.
package kit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/aws"
	"github.com/sallyport/sallyport/proxy"
)

// Protocol returns accounts of AWS for an assembly.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "aws", DefaultPort: 443, TLS: true, Anonymous: true,
		Kinds:    []proxy.Kind{proxy.KindConnect, proxy.KindRequest},
		Settings: func() any { return &aws.Settings{} },
		Hosts:    hosts,
		Open:     open,
		Client:   client,
		Exec:     execute,
		Links:    links,
	}
}

// hosts are the names of an account, and those of the buckets below them.
func hosts(settings any) (list []string) {
	s, _ := settings.(aws.Settings)
	list = append(list, s.Hosts...)
	for _, h := range s.Hosts {
		if net.ParseIP(strings.Trim(h, "[]")) == nil {
			list = append(list, "*."+h)
		}
	}
	return list
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	keys := a.Keys
	if keys == nil {
		keys = protocol.KeyFiles(a.Dir)
	}
	ring, shared := &aws.Keyring{KeyOf: keys}, &aws.Shared{}
	return &protocol.Service{
		Handler: func(resource string) (proxy.Handler, error) {
			if a.Gateway == nil {
				return nil, fmt.Errorf("serving %s: the assembly has no gateway", Protocol().Name)
			}
			h := &aws.Handler{
				Resource: resource, TLS: a.TLS, Domain: a.Domain, Resources: a.Resources, KnowsCertificate: a.KnowsCertificate, Keys: ring, Log: a.Log, Shared: shared,
			}
			if a.Bearers != nil { // a nil of the one interface is not a nil of the other
				h.Bearers = a.Bearers
			}
			return h, nil
		},
		Operation: func(_ context.Context, _ proxy.Target, text string) (proxy.Op, error) { return aws.Operation(text) },
		Reach:     aws.Reach,
		Close:     shared.Close,
	}, nil
}

// address is the endpoint that clients are told.
func address(e protocol.Endpoint) string {
	if e.Port == "443" {
		return "https://" + e.Host
	}
	return "https://" + net.JoinHostPort(e.Host, e.Port)
}

// profile is what the account is called in the files of the AWS command line.
const profile = "sallyport"

// client starts the AWS command line, which gets its keys from the program that runs.
func client(e protocol.Endpoint) (*protocol.Command, error) {
	if e.Proof == nil || e.Dir == "" {
		return nil, errors.New("the AWS command line gets its keys by a login: log in first")
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(e.Dir, "aws-"+e.Resource+".ini")
	if err := os.WriteFile(file, Config(e, program, e.Alias), 0o600); err != nil {
		return nil, err
	}
	args := []string{"--profile", profile, "--endpoint-url", address(e)}
	if e.CA != "" {
		args = append(args, "--ca-bundle", e.CA)
	}
	if len(e.Args) == 0 {
		args = append(args, "sts", "get-caller-identity")
	}
	return &protocol.Command{
		Program: "aws", Args: append(args, e.Args...), Env: []string{"AWS_CONFIG_FILE=" + file, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull},
	}, nil
}

// Config is a config file of the AWS command line and SDKs for an endpoint. program prints keys, by the login of that name.
func Config(e protocol.Endpoint, program, login string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "[profile %s]\nendpoint_url = %s\n", profile, address(e))
	if e.CA != "" {
		fmt.Fprintf(&b, "ca_bundle = %s\n", e.CA)
	}
	fmt.Fprintf(&b, "credential_process = %q aws-credentials %s --profile %s\n", program, e.Resource, login)
	return []byte(b.String())
}

// execute runs one command of the AWS command line, such as "s3 ls".
func execute(e protocol.Endpoint, x protocol.Execution) (*protocol.Command, error) {
	if x.CSV || x.File != "" || strings.TrimSpace(x.Text) == "" {
		return nil, errors.New("running the AWS command line: want a command without quotes, such as \"s3 ls\"; start the AWS command line itself for every other one")
	}
	if strings.ContainsAny(x.Text, `'"\`) {
		return nil, errors.New("running the AWS command line: quotes are not read; start the AWS command line itself for such a command")
	}
	e.Args = append(e.Args, strings.Fields(x.Text)...)
	return client(e)
}

func links(e protocol.Endpoint) []protocol.Link {
	return []protocol.Link{{For: "endpoint", Text: address(e)}}
}
