package testserver

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// versity is the S3 server of the tests, which scripts/install builds.
const versity = "versitygw-v1.8.0/versitygw"

// S3Server is a running Versity S3 Gateway: on loopback, with its files in a folder
// of its own. It keeps versions and knows Object Lock.
type S3Server struct {
	Endpoint             string // http://127.0.0.1:PORT
	AccessKey, SecretKey string
	Dir                  string // its buckets are folders of it
}

func findVersity() (string, bool) {
	if p, err := exec.LookPath("versitygw"); err == nil {
		return p, true
	}
	var caches []string
	if dir, err := os.UserCacheDir(); err == nil {
		caches = append(caches, dir)
	}
	if dir, err := os.UserHomeDir(); err == nil {
		caches = append(caches, filepath.Join(dir, ".cache"))
	}
	for _, dir := range caches {
		p := filepath.Join(dir, "sallyport", versity)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, true
		}
	}
	return "", false
}

// S3 starts a server for one test.
func S3(t testing.TB) *S3Server {
	t.Helper()
	program, ok := findVersity()
	if !ok {
		Missing(t, "versitygw, an S3 server")
	}
	root := t.TempDir()
	s := &S3Server{Dir: filepath.Join(root, "buckets"), AccessKey: "AKIATESTTESTTESTTEST", SecretKey: "wJalrXUtnFEMI-K7MDENG-bPxRfiCYtestSECRET"}
	versions, metadata := filepath.Join(root, "versions"), filepath.Join(root, "metadata")
	for _, dir := range []string{s.Dir, versions, metadata} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	address := FreeAddress(t)
	s.Endpoint = "http://" + address
	cmd := exec.Command(program, "--port", address, "--health", "/healthy", "--keep-alive", "--quiet", "posix",
		"--versioning-dir", versions, "--sidecar", metadata, s.Dir) // not every file system has attributes for the metadata
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-exited
		}
	})
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-exited:
			t.Fatal(fmt.Errorf("versitygw did not start: %s", log.String()))
		default:
		}
		resp, err := http.Get(s.Endpoint + "/healthy")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return s
		}
	}
	t.Fatal("versitygw does not answer")
	return nil
}
