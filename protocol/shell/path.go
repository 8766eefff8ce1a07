package shell

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Where a path begins.
const (
	atRoot    = '/'
	atHome    = '~'
	elsewhere = '?'
)

// place is where a path leads: folders below a begin, without "." and "..".
type place struct {
	base byte
	segs []word
}

func (p place) equal(q place) bool {
	return p.base == q.base && slices.EqualFunc(p.segs, q.segs, func(a, b word) bool { return slices.Equal(a, b) })
}

// word returns the path.
func (p place) word() word {
	var w word
	switch p.base {
	case atHome:
		w = word{{kind: home, text: ""}}
	case atRoot:
		if len(p.segs) == 0 {
			return word{{kind: text, text: "/"}}
		}
	default:
		w = word{{kind: some, text: "PWD"}}
	}
	for _, s := range p.segs {
		w = append(append(w, piece{kind: text, text: "/"}), s...)
	}
	return w
}

// resolve returns where a path leads from a folder.
func (w word) resolve(cwd place) place {
	p := place{base: cwd.base, segs: slices.Clip(cwd.segs)}
	rest := w
	switch {
	case w.empty():
		return place{base: elsewhere}
	case w[0].kind == home:
		p = place{base: atHome}
		rest = w[1:]
		if len(rest) > 0 && !strings.HasPrefix(rest[0].text, "/") {
			return place{base: elsewhere, segs: []word{w}}
		}
	case w[0].kind == text && strings.HasPrefix(w[0].text, "/"):
		p = place{base: atRoot}
	case w[0].kind == some || w[0].kind == maybe:
		p = place{base: elsewhere}
	}
	var cur word
	end := func() {
		p.step(cur)
		cur = nil
	}
	for _, x := range rest {
		if x.kind != text {
			cur = append(cur, x)
			continue
		}
		for i, part := range strings.Split(x.text, "/") {
			if i > 0 {
				end()
			}
			if part != "" {
				cur = append(cur, piece{kind: text, text: part})
			}
		}
	}
	end()
	// A process's root is the root.
	if p.base == atRoot && len(p.segs) >= 3 && p.segs[0].is("proc") && p.segs[2].is("root") {
		p.segs = p.segs[3:]
	}
	return p
}

// step follows one folder of a path.
func (p *place) step(s word) {
	switch {
	case len(s) == 0 || s.is("."):
	case s.is(".."):
		switch {
		case len(p.segs) > 0:
			p.segs = p.segs[:len(p.segs)-1]
		case p.base == atHome:
			*p = place{base: atRoot, segs: []word{{{kind: text, text: "home"}}}}
		}
	default:
		p.segs = append(p.segs[:len(p.segs):len(p.segs)], s)
	}
}

func (w word) is(s string) bool { return len(w) == 1 && w[0].kind == text && w[0].text == s }

// whole reports whether a pattern matches everything in a folder, or everything
// whose name begins with a dot.
func (w word) whole() bool {
	star := false
	for i, p := range w {
		switch {
		case p.kind == glob && (p.text == "*" || p.text == ""):
			star = true
		case p.kind == glob:
		case p.kind == text && i == 0 && (p.text == "." || p.text == ".."):
		default:
			return false
		}
	}
	return star
}

// matches reports whether a folder's name may be name.
func (w word) matches(name string) bool {
	var b strings.Builder
	for _, p := range w {
		switch p.kind {
		case text:
			for _, c := range []byte(p.text) {
				if strings.IndexByte(`\*?[`, c) >= 0 {
					b.WriteByte('\\')
				}
				b.WriteByte(c)
			}
		case glob:
			b.WriteString(strings.Replace(cmp.Or(p.text, "*"), "[!", "[^", 1))
		default:
			return false
		}
	}
	ok, err := path.Match(b.String(), name)
	return ok && err == nil
}

// systemFolders are those without which a machine does not run, or which hold what
// its users or services have.
var systemFolders = func() (list [][]string) {
	for _, p := range strings.Fields(`bin boot dev etc home lib lib32 lib64 libx32 opt proc root run sbin srv sys usr var mnt media
		usr/bin usr/sbin usr/lib usr/lib64 usr/libexec usr/share var/lib boot/efi System Users Library Applications private private/etc private/var`) {
		list = append(list, strings.Split(p, "/"))
	}
	return list
}()

// vital reports whether removing what a path leads to removes a file system, a
// folder of the system, or a whole home folder.
func (p place) vital() bool {
	segs := p.segs
	for len(segs) > 0 && segs[len(segs)-1].whole() {
		segs = segs[:len(segs)-1]
	}
	switch p.base {
	case atHome:
		return len(segs) == 0
	case atRoot:
		return len(segs) == 0 || slices.ContainsFunc(systemFolders, func(f []string) bool {
			return slices.EqualFunc(segs, f, word.matches)
		})
	}
	return false
}

// characterDevices are the devices in /dev that are written every day, and the
// folders of such.
var characterDevices = strings.Fields(`null zero full random urandom tty* pts ptmx console stdin stdout stderr fd shm mqueue log kmsg ptp* rtc* net
	tcp udp kvm fuse input snd dri usb video* vhost-* hugepages initctl st[0-9]* nst[0-9]* cu.* ttys* i2c-* spidev* gpiochip* watchdog* bus char serial xconsole`)

// device reports whether a path leads to a device that holds data: everything in
// /dev that is not known for another.
func (p place) device() bool {
	if p.base != atRoot || len(p.segs) < 2 || !p.segs[0].matches("dev") {
		return false
	}
	name := p.segs[1].String()
	if known, _, computed := strings.Cut(name, Dynamic); computed {
		if known == "" {
			return true
		}
		name = known
	}
	return !slices.ContainsFunc(characterDevices, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}
