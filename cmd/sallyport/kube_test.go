package main

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// TestKubeConfig: a kubeconfig names the cluster, the gateway's authority and what prints a credential; that is the login's
// certificate, and nothing when nobody has logged in.
func TestKubeConfig(t *testing.T) {
	r := openRemote(t)
	code, _, _ := sallyport(t, "", "kube-token")
	require.Equal(t, exitNotLoggedIn, code)
	r.as(t, "bob")
	r.more = []control.Resource{{Name: "prod", Type: "kubernetes", Address: "prod.example.com:6443", User: "bob+prod"}}
	var config struct {
		Clusters []struct{ Cluster map[string]string }
		Users    []struct {
			User struct {
				Exec struct{ Args []string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, "kube-config", "prod")), &config))
	cluster := config.Clusters[0].Cluster
	require.Equal(t, "https://prod.example.com:6443", cluster["server"])
	authority, err := base64.StdEncoding.DecodeString(cluster["certificate-authority-data"])
	require.NoError(t, err)
	require.Contains(t, string(authority), "BEGIN CERTIFICATE")
	var credential struct{ Status map[string]string }
	require.NoError(t, json.Unmarshal([]byte(must(t, config.Users[0].User.Exec.Args...)), &credential))
	_, err = tls.X509KeyPair([]byte(credential.Status["clientCertificateData"]), []byte(credential.Status["clientKeyData"]))
	require.NoError(t, err)
	require.NotEmpty(t, credential.Status["expirationTimestamp"])

	code, _, errs := sallyport(t, "", "kube-config", "orders")
	require.Equal(t, exitUsage, code, errs)
	code, _, _ = sallyport(t, "", "kube-config")
	require.Equal(t, exitUsage, code)
	code, _, errs = sallyport(t, "", "connect", "prod", "--print")
	require.Equal(t, exitOK, code, errs)
}
