// Package doctor looks at a deployment of a gateway and says what is wrong with it, what will be, and what to do. It
// changes nothing, and none of what it says holds a secret.
package doctor

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/secrets"
)

// Level says how grave a finding is.
type Level string

// Levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // works, and is good to know
	Warning Level = "warning" // works, and will not for long, or not under load
	Problem Level = "problem" // does not work
)

// Finding is what was found about one thing.
type Finding struct {
	Check string `json:"check"` // one of the checks that docs/doctor.md lists
	Level Level  `json:"level"`
	About string `json:"about"`        // a file, a resource, an address
	Text  string `json:"text"`         // what is so
	Do    string `json:"do,omitempty"` // what to do about it; empty where nothing is to be done
}

// Examination is what is looked at, and by what means.
type Examination struct {
	Config  *config.File
	Machine Machine
	// Reach tries each account of each resource and calls each. The error of one that is not tried says why. Nil: resources are not
	// tried.
	Reach func(ctx context.Context, each func(resource, name string, tried bool, err error)) error
	// Offline asks nothing by the network.
	Offline bool
}

// Machine is what of the machine is looked at.
type Machine interface {
	// Space returns how many bytes and files a file system has, and how many are free.
	Space(dir string) (bytes, freeBytes, files, freeFiles uint64, err error)
	// Writable returns why this process cannot make files in a folder, without making one.
	Writable(dir string) error
	// Descriptors returns how many files a process may have open.
	Descriptors() (uint64, error)
	// Synchronised reports whether the system says that its clock is; known is false where it does not tell.
	Synchronised() (synchronised, known bool)
	Now() time.Time
	Resolve(ctx context.Context, host string) ([]string, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Run makes all checks and returns what was found, in the order of the checks.
func (e *Examination) Run(ctx context.Context) []Finding {
	r := &run{Examination: e, ctx: ctx}
	for _, check := range []struct {
		name string
		do   func(r *run)
	}{
		{"config", (*run).config},
		{"data_dir", (*run).dataDir},
		{"space", (*run).space},
		{"descriptors", (*run).descriptors},
		{"clock", (*run).clock},
		{"certificates", (*run).certificates},
		{"store", (*run).store},
		{"dns", (*run).names},
		{"services", (*run).services},
		{"resources", (*run).resources},
	} {
		r.check = check.name
		check.do(r)
	}
	return r.found
}

// run is an examination that goes on.
type run struct {
	*Examination
	ctx   context.Context
	check string
	found []Finding
	dead  map[string]bool // hosts that have no address
	apart string          // why resources are not tried: some logins open the store, which changes it; empty: they are
}

func (r *run) say(level Level, about, text, do string) {
	r.found = append(r.found, Finding{r.check, level, about, text, do})
}

// config says what is wrong in the file, and what it refers to that cannot be had.
func (r *run) config() {
	before := len(r.found)
	if err := r.Config.Safe(); err != nil {
		r.say(Problem, r.Config.Name(), err.Error(), "make root or the gateway's user its owner, and let nobody else write it")
	}
	if r.Offline {
		r.say(Note, r.Config.Name(), "what it refers to was not looked at", "")
	} else {
		for _, p := range r.Config.Check(r.ctx) {
			r.say(Problem, place(p), p.Text, p.Hint)
		}
	}
	for _, p := range r.Config.Notices() {
		r.say(Note, place(p), p.Text, p.Hint)
	}
	if len(r.found) == before {
		r.say(OK, r.Config.Name(), "nothing is wrong in it", "")
	}
}

func place(p config.Problem) string {
	p.Text, p.Hint = "", ""
	s := p.String()
	return s[:len(s)-2]
}

// password follows the reference to the store's password.
func (r *run) password(ctx context.Context) (string, error) {
	from, err := r.Config.OpenSecrets(secrets.Options{Brief: true})
	if err != nil {
		return "", err
	}
	defer from.Close(ctx)
	return r.Config.Secret(ctx, from, r.Config.Store.Password)
}

func (r *run) data() string {
	if dir, err := filepath.Abs(r.Config.Data()); err == nil {
		return dir
	}
	return r.Config.Data()
}
