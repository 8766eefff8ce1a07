package pgembed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const inChild = "PGEMBED_TEST_CHILD"

// A server does not outlive the process that started it, even one that was
// killed and could not stop it.
func TestServerEndsWithItsProcess(t *testing.T) {
	if os.Getenv(inChild) != "" {
		s, err := Start(context.Background(), Config{Dir: os.Getenv(inChild)})
		require.NoError(t, err)
		fmt.Println("address", s.Address())
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells children that their parent is gone")
	}
	if _, err := Find(); errors.Is(err, ErrNotInstalled) {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is not installed: CI must have it")
		}
		t.Skip("SKIPPED, NOT TESTED: PostgreSQL is not installed")
	}
	dir, err := os.MkdirTemp("", "pgembed-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755)) // the server runs as another user
	child := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithItsProcess$")
	child.Env = append(os.Environ(), inChild+"="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		address, _ = strings.CutPrefix(lines.Text(), "address ")
	}
	require.NotEmpty(t, address)
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	c.Close()
	require.NoError(t, child.Process.Kill())
	child.Wait()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, 20*time.Second, 20*time.Millisecond)
}
