package doctor

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sallyport/sallyport/gateway/backup"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// From where on something is a warning or a problem.
const (
	littleSpace   = 2 << 30  // bytes
	noSpace       = 64 << 20 // bytes
	fewFiles      = 50       // an nth of all is free
	leastOpen     = 1024     // descriptors
	perSession    = 4        // descriptors
	unboundedOpen = 16384    // descriptors, where max_sessions says nothing
	soon          = 21 * 24 * time.Hour
	skew          = 2 * time.Second // of clocks
	slowStore     = 50 * time.Millisecond
	dialTime      = 5 * time.Second
	maxPEM        = 4 << 20
)

// dataDir holds that the data directory is the gateway's alone and can be written.
func (r *run) dataDir() {
	dir := r.data()
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.say(Warning, dir, "it is not there", "it is made at the first start; if the gateway has run before, data_dir names another place")
		return
	case err != nil:
		r.say(Problem, dir, err.Error(), "run this as the gateway's user or as root")
		return
	case !info.IsDir():
		r.say(Problem, dir, "it is not a folder", "name another data_dir")
		return
	}
	if err := backup.Interrupted(dir); err != nil {
		r.say(Problem, dir, err.Error(), "")
		return
	}
	mode := info.Mode().Perm()
	if runtime.GOOS != "windows" && mode&^0o711 != 0 {
		r.say(Problem, dir, fmt.Sprintf("got mode %#o, want 0700, since it holds keys and records", mode), "chmod 700 "+dir)
		return
	}
	switch err := r.Machine.Writable(dir); {
	case errors.Is(err, errors.ErrUnsupported):
		r.say(OK, dir, fmt.Sprintf("mode %#o", mode), "")
		return
	case err != nil:
		r.say(Problem, dir, "it cannot be written: "+err.Error(), "make the gateway's user its owner, run this as that user or root, and look whether the file system is mounted read-only")
		return
	}
	r.say(OK, dir, fmt.Sprintf("mode %#o, and it can be written", mode), "")
}

// space holds that the data directory's file system has room.
func (r *run) space() {
	dir := r.data()
	size, free, files, freeFiles, err := r.Machine.Space(existing(dir))
	const do = "make room or give it a larger file system: sessions end when their records cannot be written"
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		r.say(Problem, dir, err.Error(), "")
	case free < noSpace:
		r.say(Problem, dir, fmt.Sprintf("%d MiB of %d MiB are free", free>>20, size>>20), do)
	case free < littleSpace:
		r.say(Warning, dir, fmt.Sprintf("%d MiB of %d MiB are free", free>>20, size>>20), do)
	case files > 0 && freeFiles < files/fewFiles:
		r.say(Warning, dir, fmt.Sprintf("%d of %d files (inodes) are free", freeFiles, files), do)
	default:
		r.say(OK, dir, fmt.Sprintf("%d MiB of %d MiB are free", free>>20, size>>20), "")
	}
}

// existing is a folder, or the nearest above it that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// descriptors holds that as many sessions can be open as the config file lets in.
func (r *run) descriptors() {
	n, err := r.Machine.Descriptors()
	want := uint64(unboundedOpen)
	if sessions := r.Config.Limits.MaxSessions; sessions > 0 {
		want = max(leastOpen, uint64(sessions)*perSession)
	}
	do := fmt.Sprintf("give the service LimitNOFILE=%d or more (ulimit -n), or set limits.max_sessions", want)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		r.say(Problem, "this process", err.Error(), "")
	case n < want:
		r.say(Warning, "this process", fmt.Sprintf("it may have %d files open, and needs %d for its sessions", n, want), do)
	default:
		r.say(OK, "this process", fmt.Sprintf("it may have %d files open", n), "")
	}
}

// clock holds that the machine knows the time: grants, certificates and codes go by it.
func (r *run) clock() {
	const do = "start a time service, such as chrony or systemd-timesyncd: logins, grants and certificates go by the clock"
	now := r.Machine.Now()
	head := filepath.Join(r.data(), "audit", "log", "checkpoint")
	if info, err := os.Stat(head); err == nil && info.ModTime().Sub(now) > skew {
		r.say(Problem, "the clock", fmt.Sprintf("it says %s, and the newest record is of %s", now.UTC().Format(time.DateTime), info.ModTime().UTC().Format(time.DateTime)), do)
		return
	}
	synchronised, known := r.Machine.Synchronised()
	switch {
	case !known:
		r.say(OK, "the clock", "the system does not say whether it is synchronised", "")
	case !synchronised:
		r.say(Warning, "the clock", "the system says that it is not synchronised", do)
	default:
		r.say(OK, "the clock", "it is synchronised", "")
	}
}

// certificates looks when those end that the config file names, and the gateway's own authority.
func (r *run) certificates() {
	files, _, err := r.Config.Files()
	if err != nil {
		r.say(Problem, r.Config.Name(), err.Error(), "")
	}
	for _, name := range append(files, filepath.Join(r.data(), "ca", "ca.pem")) {
		if name == r.Config.Name() {
			continue
		}
		text, err := readSome(name)
		if err != nil {
			continue // what cannot be read was told by config, or is not there yet
		}
		for _, c := range parse(text) {
			r.certificate(name, c)
		}
	}
}

func (r *run) certificate(name string, c *x509.Certificate) {
	about := fmt.Sprintf("%s: %s", name, cmp.Or(c.Subject.CommonName, c.Subject.String()))
	now, day := r.Machine.Now(), c.NotAfter.UTC().Format(time.DateOnly)
	const do = "replace the file: a running gateway takes up the new certificate of its clients by itself, others at SIGHUP"
	switch {
	case now.After(c.NotAfter):
		r.say(Problem, about, "it ended on "+day, do)
	case now.Before(c.NotBefore):
		r.say(Problem, about, "it is not valid before "+c.NotBefore.UTC().Format(time.DateTime), "look at the clock, or replace the file")
	case c.NotAfter.Sub(now) < soon:
		r.say(Warning, about, "it ends on "+day, do)
	default:
		r.say(OK, about, "it is valid until "+day, "")
	}
}

// readSome reads what can be a file of certificates.
func readSome(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPEM))
}

func parse(text []byte) (list []*x509.Certificate) {
	for len(text) > 0 && bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")) {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return list
		}
		if c, err := x509.ParseCertificate(block.Bytes); block.Type == "CERTIFICATE" && err == nil {
			list = append(list, c)
		}
	}
	return list
}

// store asks the store how it is.
func (r *run) store() {
	about, local := r.Config.StoreFile(), r.Config.Store.URL == ""
	var i *sqlstore.Inspection
	var err error
	switch {
	case local:
		if i, err = sqlstore.InspectSQLite(r.ctx, about, sqlstore.Options{}); errors.Is(err, fs.ErrNotExist) {
			r.say(OK, about, "it is not there: it is made at the first start", "")
			r.apart = "the gateway has not run yet, and its keys would be made"
			return
		}
	case r.Offline:
		return
	default:
		about = "PostgreSQL"
		o := sqlstore.Options{Schema: r.Config.Store.Schema}
		if r.Config.Store.Password != "" {
			o.Password = r.password
		}
		i, err = sqlstore.InspectPostgres(r.ctx, r.Config.Store.URL, o)
	}
	if err != nil {
		r.say(Problem, about, err.Error(), "")
		return
	}
	r.inspected(about, local, i)
}

// inspected says what is known of a store that answers.
func (r *run) inspected(about string, local bool, i *sqlstore.Inspection) {
	switch {
	case i.Schema < i.Own:
		r.apart = "the store's schema would be brought up to date"
		r.say(Warning, about, fmt.Sprintf("its schema has version %d, and this program knows %d", i.Schema, i.Own), "the next start of a gateway brings it up to date: make a backup before")
	case !local && i.Skew.Abs() > skew:
		r.say(Problem, about, fmt.Sprintf("its clock differs by %s", i.Skew.Abs().Round(time.Millisecond)), "have both machines synchronise their clocks")
	case i.Latency > slowStore:
		r.say(Warning, about, fmt.Sprintf("an answer takes %s", i.Latency.Round(time.Millisecond)), "look at its load and the network between: logins and requests wait for it")
	default:
		r.say(OK, about, fmt.Sprintf("schema version %d, answers within %s", i.Schema, i.Latency.Round(10*time.Microsecond)), "")
	}
}

// names looks up the names of hosts.
func (r *run) names() {
	r.dead = make(map[string]bool)
	if r.Offline {
		return
	}
	asked := make(map[string]bool)
	for _, s := range r.Config.Services() {
		host, _, _ := net.SplitHostPort(s.Address)
		if asked[host] || net.ParseIP(host) != nil {
			continue
		}
		asked[host] = true
		if _, err := r.Machine.Resolve(r.ctx, host); err != nil {
			r.dead[host] = true
			r.say(Problem, host, s.What+": it has no address: "+err.Error(), "look at the name in the config file, and at the machine's resolver (/etc/resolv.conf)")
			continue
		}
		r.say(OK, host, "it has an address", "")
	}
}

// services connects to what is not a resource.
func (r *run) services() {
	if r.Offline {
		return
	}
	resources := make(map[string]bool)
	for i := range r.Config.Resources {
		resources["resource "+r.Config.Resources[i].Name] = true
	}
	for _, s := range r.Config.Services() {
		host, _, _ := net.SplitHostPort(s.Address)
		if resources[s.What] || s.What == "store" || r.dead[host] {
			continue
		}
		about := s.What + ": " + s.Address
		conn, err := r.Machine.Dial(r.ctx, s.Address)
		if err != nil {
			r.say(Problem, about, "it cannot be reached: "+err.Error(), "look whether it runs, and at firewalls between; one that is reached by a proxy alone is not tried here")
			continue
		}
		r.say(OK, about, "it takes connections", "")
		if err := conn.Close(); err != nil {
			r.say(Warning, about, "the connection did not close: "+err.Error(), "try it again")
		}
	}
}

// resources logs in to each resource.
func (r *run) resources() {
	if r.Reach == nil || r.Offline {
		return
	}
	if r.apart != "" {
		r.say(Note, r.Config.Name(), "resources were not tried: "+r.apart, "start the gateway, or run \"sallyport check --connect\"")
		return
	}
	err := r.Reach(r.ctx, func(_, name string, tried bool, err error) {
		switch {
		case !tried:
			r.say(OK, name, fmt.Sprintf("not tried: %v", err), "")
		case err != nil:
			r.say(Problem, name, err.Error(), "mend what the message says, and try it again by \"sallyport check --connect\"")
		default:
			r.say(OK, name, "logged in", "")
		}
	})
	if err != nil {
		r.say(Problem, r.Config.Name(), err.Error(), "")
	}
}
