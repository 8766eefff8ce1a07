package smtp_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/devtool"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/smtp"
)

// TestMailpit: a real server takes the mails, and reads them as they are meant.
func TestMailpit(t *testing.T) {
	program := devtool.Build(t, "maildev")
	dir := t.TempDir()
	pair := reviewtest.Certificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, b, 0o600))
		return file
	}
	s := &reviewtest.SMTP{Address: testserver.FreeAddress(t), TLS: reviewtest.Trust(pair)}
	api := testserver.FreeAddress(t)
	var log bytes.Buffer
	cmd := exec.Command(
		program, "--smtp", s.Address, "--listen", api, "--database", filepath.Join(dir, "mails.db"), "--disable-version-check", "--smtp-require-starttls",
		"--smtp-tls-cert", write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw})),
		"--smtp-tls-key", write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"--smtp-auth-file", write("users", []byte("gateway:"+secret+"\n")), "--smtp-disable-rdns",
	)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	ask := func(path string, to any) error {
		resp, err := http.Get("http://" + api + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, resp.Status)
		}
		return json.NewDecoder(resp.Body).Decode(to)
	}
	var list struct {
		Total    int
		Messages []struct{ ID, MessageID string }
	}
	require.Eventually(t, func() bool { return ask("/api/v1/messages", &list) == nil }, 30*time.Second, 20*time.Millisecond)

	n := open(t, config(s))
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	require.NoError(t, n.Notify(t.Context(), reviewtest.Hostile()))
	require.Eventually(t, func() bool { return ask("/api/v1/messages", &list) == nil && list.Total == 2 }, 30*time.Second, 20*time.Millisecond)
	var m struct {
		From          struct{ Name, Address string }
		To, Cc, Bcc   []struct{ Name, Address string }
		Subject, Text string
		HTML          string
		Attachments   []any
	}
	for _, one := range list.Messages {
		require.NoError(t, ask("/api/v1/message/"+one.ID, &m))
		require.Equal(t, "gateway@example.com", m.From.Address)
		require.Len(t, m.To, 1)
		require.Equal(t, "oncall@example.com", m.To[0].Address)
		require.Empty(t, m.Cc)
		require.Empty(t, m.Bcc)
		require.Empty(t, m.Attachments)
		require.NotContains(t, m.HTML, "<script>")
		require.Contains(t, m.Text, `show "4jzq7nbkw2"`)
	}
	require.Equal(t, "alice asks for access to orders", m.Subject, "the first one is listed last")
	require.Contains(t, m.Text, "INC-4711")

	c := config(s)
	c.Password = proxy.NewSecret("another")
	require.ErrorContains(t, open(t, c).Notify(t.Context(), reviewtest.Notice("b", review.Asked)), "smtp: AUTH: the server answers 535")
	c = config(s)
	c.Security, c.Username, c.Password = smtp.Plaintext, "", proxy.Secret{}
	require.Error(t, open(t, c).Notify(t.Context(), reviewtest.Notice("b", review.Asked)), "it wants STARTTLS")
}
