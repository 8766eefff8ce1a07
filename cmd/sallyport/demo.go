//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/mariaembed"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/sshembed"
)

//go:embed demo.sql
var shopSQL string

//go:embed demo.yaml
var demoConfig string

// stage is the demo's parts: a private PostgreSQL with a small shop's data and a private MariaDB with its
// staff, where they are installed, a machine that is reached by SSH, and the files of a gateway
// in front of them, all of them gone when it is closed.
type stage struct {
	dir      string
	database *pgembed.Server    // nil where PostgreSQL is not installed
	staff    *mariaembed.Server // nil where MariaDB is not installed
	machine  *sshembed.Server

	// For demo.yaml.
	DatabaseListen, DatabaseAddress string
	StaffListen, StaffAddress       string
	MachineListen, MachineAddress   string
	MachineUser, MachineKey         string
	SharedListen                    string
	ConsoleListen                   string
	Alice, Bob                      demoUser
	Operator                        string // the user who runs the demo
}

type demoUser struct{ Password, Verifier, PublicKey string }

// Where the demo listens when nobody else does.
const (
	demoDatabase = "127.0.0.1:15432"
	demoStaff    = "127.0.0.1:13306"
	demoMachine  = "127.0.0.1:15022"
	demoShared   = "127.0.0.1:15023"
	demoConsole  = "127.0.0.1:15443"
)

func demoCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "demo", GroupID: everydayGroup, Short: "Run a gateway in front of a private PostgreSQL and MariaDB, with printed users",
		Example: example("sallyport demo"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	listen := f.String("listen", "", "`address` for PostgreSQL's clients; empty is "+demoDatabase+", or any port when that is taken")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		// Also when its terminal is closed nothing stays.
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		begun := time.Now()
		fmt.Fprintln(c.err, "starting private databases …")
		s := &stage{}
		err := s.open()
		if err == nil {
			err = s.databases(ctx, c, *listen)
		}
		if err == nil {
			err = s.files()
		}
		if err == nil {
			err = s.run(ctx, c, begun)
		}
		if ctx.Err() != nil && err != nil { // stopped while starting; nothing is left
			err = nil
		}
		return errors.Join(err, s.close())
	})
	return cmd
}

// open starts what needs no installation.
func (s *stage) open() (err error) {
	if s.dir, err = os.MkdirTemp("", "sallyport-demo-"); err != nil {
		return err
	}
	if s.machine, err = sshembed.Start(sshembed.Config{Dir: s.dir}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.machine.Home, "welcome.txt"), []byte("You reach this machine through the gateway.\n"), 0o600); err != nil {
		return err
	}
	if s.MachineListen, err = address("", demoMachine); err != nil {
		return err
	}
	if s.SharedListen, err = address("", demoShared); err != nil {
		return err
	}
	if s.ConsoleListen, err = address("", demoConsole); err != nil {
		return err
	}
	s.MachineAddress, s.MachineUser, s.MachineKey = s.machine.Address, sshembed.User, strings.TrimSpace(s.machine.HostKey)
	return os.WriteFile(filepath.Join(s.dir, "machine.key"), []byte(s.machine.PrivateKey), 0o600)
}

// databases starts those that are installed here, and says which are not.
func (s *stage) databases(ctx context.Context, c *cli, listen string) error {
	staff := make(chan error, 1)
	go func() { staff <- s.openStaff(ctx) }()
	err, staffErr := s.openShop(ctx, listen), <-staff
	if errors.Is(err, pgembed.ErrNotInstalled) {
		fmt.Fprintf(c.err, "No PostgreSQL is installed here, so the demo runs without one.\nFor the full demo, install PostgreSQL without starting it:\n  %s\n", strings.ReplaceAll(pgembed.InstallHint, "; ", "\n  "))
		err = nil
	}
	switch {
	case errors.Is(staffErr, mariaembed.ErrNotInstalled):
		fmt.Fprintf(c.err, "No MariaDB is installed here, so the demo runs without one. %s\n", mariaembed.InstallHint)
		staffErr = nil
	case staffErr != nil && ctx.Err() == nil:
		fmt.Fprintf(c.err, "MariaDB did not start, so the demo runs without one: %v\n", staffErr)
		staffErr = s.closeStaff()
	}
	return errors.Join(err, staffErr)
}

// openShop starts a private PostgreSQL with a shop's data.
func (s *stage) openShop(ctx context.Context, listen string) (err error) {
	if s.database, err = pgembed.Start(ctx, pgembed.Config{Dir: os.TempDir()}); err != nil {
		return err
	}
	owner := rand.Text()
	if _, err := s.database.Exec(ctx, "postgres", "CREATE ROLE shop LOGIN PASSWORD '"+owner+"'; CREATE DATABASE shop OWNER shop;"); err != nil {
		return err
	}
	if _, err := s.database.Exec(ctx, "shop", "SET ROLE shop;\n"+shopSQL); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "shop.password"), []byte(owner), 0o600); err != nil {
		return err
	}
	s.DatabaseAddress = s.database.Address()
	s.DatabaseListen, err = address(listen, demoDatabase)
	return err
}

// Databases lists the resources of the databases that run, for the config file's rules.
func (s *stage) Databases() string {
	var names []string
	if s.database != nil {
		names = append(names, "shop")
	}
	if s.staff != nil {
		names = append(names, "staff")
	}
	return strings.Join(names, ", ")
}

// files writes the config file and what the users need.
func (s *stage) files() (err error) {
	if s.Alice, err = s.user("alice"); err != nil {
		return err
	}
	if s.Bob, err = s.user("bob"); err != nil {
		return err
	}
	s.Operator = control.Self()
	t, err := template.New("").Parse(demoConfig)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("sallyport.yaml"), b.Bytes(), 0o600); err != nil {
		return err
	}
	return errors.Join(s.services(), s.clientOptions(), s.sshConfig())
}

// services writes the file by which libpq's clients reach the database as each user.
func (s *stage) services() error {
	if s.database == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(s.DatabaseListen)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for name, u := range map[string]demoUser{"alice": s.Alice, "bob": s.Bob} {
		fmt.Fprintf(&b, "[%s]\nhost=%s\nport=%s\nuser=%s\npassword=%s\ndbname=shop\nsslmode=verify-full\nsslrootcert=%s\n",
			name, host, port, name, u.Password, s.file("data/ca/ca.pem"))
	}
	return os.WriteFile(s.file("services"), b.Bytes(), 0o600)
}

// sshConfig writes the config with which ssh reaches the machine as Bob.
func (s *stage) sshConfig() error {
	var b bytes.Buffer
	for _, section := range [][3]string{{"machine", s.MachineListen, "bob"}, {"gateway", s.SharedListen, "bob"}} {
		host, port, err := net.SplitHostPort(section[1])
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "Host %s\n  HostName %s\n  Port %s\n  User %s\n", section[0], host, port, section[2])
	}
	fmt.Fprintf(&b, "Host *\n  IdentityFile %q\n  IdentitiesOnly yes\n  UserKnownHostsFile %q\n", s.file("bob.key"), knownGateway(filepath.Join(s.dir, "data")))
	return os.WriteFile(s.file("ssh_config"), b.Bytes(), 0o600)
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

// user makes a user with a password and an SSH key.
func (s *stage) user(name string) (u demoUser, err error) {
	u.Password = strings.ToLower(rand.Text()[:16])
	if u.Verifier, err = identity.NewVerifier(u.Password); err != nil {
		return u, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return u, err
	}
	block, err := gossh.MarshalPrivateKey(private, name)
	if err != nil {
		return u, err
	}
	key, err := gossh.NewPublicKey(public)
	if err != nil {
		return u, err
	}
	u.PublicKey = strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))
	return u, os.WriteFile(s.file(name+".key"), pem.EncodeToMemory(block), 0o600)
}

// address is want, or preferred, or any port when that is taken.
func address(want, preferred string) (string, error) {
	if want != "" {
		return want, nil
	}
	l, err := net.Listen("tcp", preferred)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// run serves until ctx ends.
func (s *stage) run(ctx context.Context, c *cli, begun time.Time) error {
	cfg, err := gateway.Load(s.file("sallyport.yaml"), configOptions())
	if err != nil {
		return err
	}
	g, err := gateway.New(cfg, gateway.Options{Log: slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	if err := g.Listen(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	if err := s.tour(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(c.err, "the console has less to show:", err)
	}
	if ctx.Err() == nil {
		s.print(c, time.Since(begun))
	}
	if err := <-done; err != nil {
		return err
	}
	fmt.Fprintln(c.err, "stopped; everything is removed")
	return nil
}

// print shows what to try.
func (s *stage) print(c *cli, took time.Duration) {
	fmt.Fprintf(c.out, "\nThe gateway is ready (%.1f s). Its config, for the other commands:\n  %s\n", took.Seconds(), s.file("sallyport.yaml"))
	try := func(about string, commands ...[]string) {
		fmt.Fprintf(c.out, "\n%s:\n", about)
		for _, words := range commands {
			fmt.Fprintln(c.out, foldCommand(words))
		}
	}
	if s.database != nil {
		psql := func(user, sql string) []string {
			return []string{"PGSERVICEFILE=" + s.file("services"), "psql service=" + user, `-c "` + sql + `"`}
		}
		try("Alice of support reads, and sees no card", psql("alice", "SELECT name, email, card FROM customers LIMIT 3"))
		try("She may not delete", psql("alice", "DELETE FROM customers WHERE id = 1"))
		try("Nor may anybody delete everything", psql("bob", "DELETE FROM orders"))
		try("Bob, an engineer, may change a row", psql("bob", "UPDATE products SET stock = 7 WHERE id = 1 RETURNING name"))
	}
	if s.staff != nil {
		maria := func(user, sql string) []string {
			return []string{"mariadb", "--defaults-file=" + s.file(user+".cnf"), `-e "` + sql + `"`}
		}
		try("At a MariaDB she sees no number of an account, by the same rules", maria("alice", "SELECT name, email, iban FROM employees LIMIT 3"))
		try("Nobody deletes everything there either", maria("bob", "DELETE FROM absences"))
		try("Bob may change a row there, too", maria("bob", "UPDATE employees SET team = 'sales' WHERE id = 1"))
	}
	options := "-F " + s.file("ssh_config")
	try("Bob runs a command on a machine whose key he has never seen", []string{"ssh " + options, "machine", "'cat welcome.txt'"})
	try("One that would wipe it does not run", []string{"ssh " + options, "machine", `'sh -c "rm -rf /"'`})
	try("He copies a file, by scp as by sftp and rsync", []string{"scp " + options, "machine:welcome.txt", s.file("copy.txt")})
	try("He works in a shell, or chooses the machine from a menu", []string{"ssh " + options, "machine"}, []string{"ssh " + options, "gateway"})
	fmt.Fprintf(c.out, "\nThe console, where Bob decides what Alice has asked for. Your browser warns of\nthe demo's own certificate:\n  https://%s/\n  alice, password %s\n  bob, password %s\n", s.ConsoleListen, s.Alice.Password, s.Bob.Password)
	try("Who did what", []string{program(), "sessions ls", "--config " + s.file("sallyport.yaml")})
	fmt.Fprintln(c.out, "\nCtrl-C stops it and removes everything.")
}

// foldCommand writes a command of words indented, on as many lines as it needs, so that it
// can be copied as it is.
func foldCommand(words []string) string {
	const more = " \\"
	text := "  " + words[0]
	width := len(text)
	for _, w := range words[1:] {
		if width+len(" "+w+more) > columns {
			text += more + "\n   "
			width = 3
		}
		text += " " + w
		width += len(" " + w)
	}
	return text
}

// program is how this program can be run again.
func program() string {
	if p, err := os.Executable(); err == nil && !strings.Contains(p, "go-build") {
		return p
	}
	return "go run ./cmd/sallyport"
}

func (s *stage) close() error {
	var errs []error
	if s.database != nil {
		errs = append(errs, s.database.Stop())
	}
	errs = append(errs, s.closeStaff())
	if s.machine != nil {
		errs = append(errs, s.machine.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
