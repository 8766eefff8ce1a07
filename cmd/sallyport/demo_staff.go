//go:build unix

package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/sallyport/sallyport/internal/mariaembed"
)

//go:embed demo_staff.sql
var staffSQL string

// openStaff starts a private MariaDB with a company's staff.
func (s *stage) openStaff(ctx context.Context) (err error) {
	if s.staff, err = mariaembed.Start(ctx, mariaembed.Config{Dir: os.TempDir()}); err != nil {
		return err
	}
	owner := rand.Text()
	if _, err := s.staff.Exec(ctx, "", "CREATE DATABASE staff; CREATE USER staff@'127.0.0.1' IDENTIFIED BY '"+owner+"'; GRANT ALL ON staff.* TO staff@'127.0.0.1'"); err != nil {
		return err
	}
	if _, err := s.staff.Exec(ctx, "staff", staffSQL); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("staff.password"), []byte(owner), 0o600); err != nil {
		return err
	}
	s.StaffAddress = s.staff.Address()
	s.StaffListen, err = address("", demoStaff)
	return err
}

// closeStaff stops the database, and has the demo go on without one.
func (s *stage) closeStaff() error {
	if s.staff == nil {
		return nil
	}
	err := s.staff.Stop()
	s.staff, s.StaffListen = nil, ""
	return err
}

// clientOptions writes the files by which MariaDB's clients reach the staff as each user.
func (s *stage) clientOptions() error {
	if s.staff == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(s.StaffListen)
	if err != nil {
		return err
	}
	for name, u := range map[string]demoUser{"alice": s.Alice, "bob": s.Bob} {
		text := fmt.Sprintf("[client]\nhost=%s\nport=%s\nuser=%s\npassword=%s\nssl-ca=%s\nssl-verify-server-cert\ndefault-character-set=utf8mb4\n",
			host, port, name, u.Password, s.file("data/ca/ca.pem"))
		if err := os.WriteFile(s.file(name+".cnf"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// tourStaff has both ask the staff's database; what is refused is part of it.
func (s *stage) tourStaff(ctx context.Context) error {
	if s.staff == nil {
		return nil
	}
	for _, one := range [][2]string{
		{"alice", "SELECT id, name, email, iban FROM employees ORDER BY id LIMIT 20; SELECT COUNT(*) FROM absences; DELETE FROM employees WHERE id = 1;"},
		{"bob", "SELECT team, COUNT(*) FROM employees GROUP BY team; UPDATE employees SET team = 'support' WHERE id = 2; DELETE FROM absences;"},
	} {
		cmd := exec.CommandContext(ctx, s.staff.Client, "--defaults-file="+s.file(one[0]+".cnf"), "--force")
		cmd.Stdin = strings.NewReader(one[1])
		out, err := cmd.CombinedOutput()
		refused, failed := clientErrors(string(out))
		if len(failed) > 0 || err != nil && !refused {
			return fmt.Errorf("mariadb as %s: %w", one[0], errors.Join(err, errors.New(strings.Join(failed, "; "))))
		}
	}
	return nil
}

// clientErrors finds the errors that MariaDB's client has printed. Refusals have a number of their own.
func clientErrors(out string) (refused bool, failed []string) {
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "ERROR 1142 "):
			refused = true
		case strings.HasPrefix(line, "ERROR "):
			failed = append(failed, strings.TrimSpace(line))
		}
	}
	return refused, failed
}
