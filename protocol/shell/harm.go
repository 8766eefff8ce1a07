package shell

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// call is one program with what is known around it.
type call struct {
	name string
	args []arg
	in   feed
	s    *state
}

// harmful are programs that can wipe file systems and disks or stop the machine,
// each with what tells when it does.
var harmful = map[string]func(*reading, call){
	"rm": (*reading).rm, "srm": (*reading).rm, "wipe": (*reading).rm, "rimraf": func(r *reading, c call) { r.tree("rimraf", c.args, c.s) },
	"mv": (*reading).mv, "rsync": (*reading).rsync, "chmod": (*reading).rights, "chown": (*reading).rights, "chgrp": (*reading).rights, "tar": (*reading).tar,

	"dd": (*reading).dd, "dcfldd": (*reading).dd, "dc3dd": (*reading).dd,
	"mkfs": disk(""), "mkfs.*": disk("-V"), "newfs*": disk("-N"), "mke2fs": disk("-n -V"), "mkswap": disk(""), "mkdosfs": disk(""), "mkntfs": disk("-n --no-action -V"),
	"mkfatfs": disk(""), "mkudffs": disk(""), "mkexfatfs": disk(""), "mkreiserfs": disk(""), "mkhomefs": disk(""),
	"fdisk": disk("-l --list -s --getsz -x --list-details -v"), "cfdisk": disk(""), "gdisk": disk("-l"), "cgdisk": disk(""),
	"sfdisk": disk("-l -d -J -V -F -s -n --list --dump --json --verify --list-free --show-size --show-geometry --no-act -g"),
	"sgdisk": (*reading).sgdisk, "parted": (*reading).parted, "wipefs": (*reading).wipefs, "blkdiscard": disk(""), "blkzone": (*reading).second, "pvcreate": disk("-t --test"),
	"pvremove": volume, "vgremove": volume, "lvremove": volume, "cryptsetup": (*reading).cryptsetup, "zpool": (*reading).zfs, "zfs": (*reading).zfs,
	"mdadm": (*reading).mdadm, "nvme": (*reading).nvme, "hdparm": (*reading).hdparm, "dmsetup": (*reading).dmsetup, "badblocks": (*reading).badblocks, "diskutil": (*reading).diskutil,
	"sg_format": disk(""), "sg_sanitize": disk(""), "sg_write_same": disk(""), "sg_unmap": disk(""), "flash_erase": disk(""), "flash_eraseall": disk(""), "bcachefs": (*reading).second,
	"ceph-volume": (*reading).ceph, "ntfsclone": disk("-i --info -s --save-image"), "nwipe": disk(""), "scrub": disk(""), "fallocate": disk(""), "flashcp": disk(""), "nandwrite": disk(""),
	"make-bcache": disk(""),

	"shutdown": (*reading).shutdown, "reboot": (*reading).shutdown, "halt": (*reading).shutdown, "poweroff": (*reading).shutdown, "fasthalt": (*reading).shutdown,
	"fastboot": (*reading).shutdown, "openrc-shutdown": (*reading).shutdown, "pm-suspend": (*reading).shutdown, "pm-hibernate": (*reading).shutdown,
	"init": (*reading).runlevel, "telinit": (*reading).runlevel, "runit-init": (*reading).runlevel, "systemctl": (*reading).systemctl, "loginctl": (*reading).systemctl,
	"busctl": (*reading).bus, "dbus-send": (*reading).bus, "gdbus": (*reading).bus, "qdbus": (*reading).bus, "kill": (*reading).kill, "pkill": (*reading).kill, "killall": (*reading).kill,
	"killall5": (*reading).kill, "kexec": (*reading).kexec, "rtcwake": (*reading).rtcwake, "ipmitool": (*reading).ipmi, "uadmin": (*reading).shutdown, "launchctl": (*reading).systemctl,
	"rc": (*reading).runlevel, "openrc": (*reading).runlevel,
}

// harm notes what a program would do.
func (r *reading) harm(kind proxy.Harm, possible bool, text string) {
	for i, h := range r.Harms {
		if h.Kind == kind { // the first that is certain says enough
			if h.Possible && !possible {
				r.Harms[i] = proxy.CommandHarm{Kind: kind, Text: text}
			}
			return
		}
	}
	r.Harms = append(r.Harms, proxy.CommandHarm{Kind: kind, Text: text, Possible: possible})
}

func (r *reading) halts(c call) {
	r.harm(proxy.HarmHalt, false, shown(c.name, c.args)+" stops the machine")
}

// shown is a program with the first of its arguments.
func shown(name string, args []arg) string {
	for _, a := range args[:min(len(args), 3)] {
		name += " " + strings.ReplaceAll(a.String(), Dynamic, "…")
	}
	return name
}

// judge notes what harm a program does by itself.
func (r *reading) judge(name string, args []arg, in feed, s *state) {
	if name == "" || only(args, "--version", "--help") {
		return
	}
	if name == "lvm" && len(args) > 0 { // has its programs as words
		name, args = args[0].String(), args[1:]
	}
	c := call{name, args, in, s}
	if f := harmful[name]; f != nil {
		f(r, c)
	} else if strings.HasPrefix(name, "mkfs.") {
		harmful["mkfs.*"](r, c)
	} else if strings.HasPrefix(name, "newfs") {
		harmful["newfs*"](r, c)
	}
	for _, target := range outputs(name, args) {
		r.writes(name, target, r.content(c), s)
	}
}

// content is what a program writes to the files that it is given.
func (r *reading) content(c call) feed {
	if c.name == "tee" || c.name == "sponge" || c.name == "dd" && !slices.ContainsFunc(c.args, func(a arg) bool { return strings.HasPrefix(a.String(), "if=") }) {
		return c.in
	}
	return feed{kind: fromElsewhere}
}

// tree notes that whole folders are removed, if they are ones that must stay.
func (r *reading) tree(name string, args []arg, s *state) {
	for _, a := range args {
		for _, w := range a {
			switch {
			case w.resolve(s.cwd).vital() && !w.has(maybe):
				r.harm(proxy.HarmWipe, false, name+" removes everything in "+strings.ReplaceAll(w.String(), Dynamic, "…"))
			case !w.has(maybe):
			case w.without(maybe).empty():
				r.harm(proxy.HarmWipe, true, "what "+name+" removes is "+w.unknown()+", which may be any folder: write the path, or ${NAME:?} where it must be set")
			case w.without(maybe).resolve(s.cwd).vital():
				r.harm(proxy.HarmWipe, true, name+" removes "+w.without(maybe).String()+" where "+w.unknown()+" is empty: write the path, or ${NAME:?} where it must be set")
			}
		}
	}
}

// writes notes that something is written over a disk, or to where the kernel is
// told to stop.
func (r *reading) writes(name string, a arg, content feed, s *state) {
	for _, w := range a {
		p := w.without(maybe).resolve(s.cwd)
		if w.has(maybe) && p.base == atRoot && len(p.segs) == 1 && p.segs[0].is("dev") && !w.without(maybe).empty() {
			r.harm(proxy.HarmWipe, true, name+" writes to a device whose name is not in the text")
			continue
		}
		switch {
		case p.device():
			r.harm(proxy.HarmWipe, w.has(maybe), name+" writes over the device "+strings.ReplaceAll(w.String(), Dynamic, "…"))
		case p.base != atRoot || len(p.segs) < 2:
		case p.segs[0].matches("proc") && p.segs[1].matches("sysrq-trigger") && !(content.kind == fromText && strings.Trim(content.text, "hkqrsftmpvw0123456789lux \n") == ""),
			p.segs[0].matches("sys") && p.segs[1].matches("power") && len(p.segs) > 2 && p.segs[2].matches("state"),
			p.segs[0].matches("proc") && p.segs[1].matches("acpi") && len(p.segs) > 2 && p.segs[2].matches("sleep"):
			r.harm(proxy.HarmHalt, false, "writing to "+w.String()+" stops the machine")
		}
	}
}

// raw notes that a disk's tool writes to a device. An image in a file is
// not one.
func (r *reading) raw(name string, a arg, s *state) {
	for _, w := range a {
		if w.without(maybe).empty() && w.has(maybe) {
			r.harm(proxy.HarmWipe, true, "the device that "+name+" writes to is "+w.unknown()+": write its name")
		}
	}
	r.writes(name, a, feed{kind: fromElsewhere}, s)
}

// disk is a tool that writes over the devices among its arguments, but with options
// that only print.
func disk(prints string) func(*reading, call) {
	return func(r *reading, c call) {
		if only(c.args, strings.Fields(prints)...) {
			return
		}
		for _, a := range c.args {
			r.raw(c.name, a, c.s)
		}
	}
}

// all are the disks among the arguments after n words, which a tool writes over.
func (r *reading) all(c call, n int) {
	for _, a := range c.args[min(n, len(c.args)):] {
		r.raw(c.name, a, c.s)
	}
}

func (r *reading) destroys(c call) {
	r.harm(proxy.HarmWipe, false, shown(c.name, c.args)+" destroys what is on a disk")
}

func volume(r *reading, c call) {
	words, opts := operands(c.args, "-S --select")
	if letter(opts, "th") || slices.ContainsFunc(opts, func(o string) bool { return long(o, "test") }) || len(words) == 0 && !slices.ContainsFunc(opts, func(o string) bool { return o == "-S" || long(o, "select") }) {
		return
	}
	r.destroys(c)
}

func (r *reading) rm(c call) {
	words, opts := operands(c.args, "")
	recursive := c.name == "srm" && letter(opts, "r") || letter(opts, "rR") || slices.ContainsFunc(opts, func(o string) bool { return long(o, "recursive") })
	if recursive {
		r.tree(c.name+" -r", words, c.s)
	}
	if c.name == "wipe" {
		for _, w := range words {
			r.writes(c.name, w, feed{kind: fromElsewhere}, c.s)
		}
	}
}

// mv takes a folder of the system away, or a whole home folder to nowhere.
func (r *reading) mv(c call) {
	words, _ := operands(c.args, "-t --target-directory -S --suffix")
	if len(words) < 2 {
		return
	}
	last := words[len(words)-1].String()
	for _, a := range words[:len(words)-1] {
		for _, w := range a {
			p := w.resolve(c.s.cwd)
			if !w.has(maybe) && p.vital() && (p.base == atRoot || last == "/dev/null") {
				r.harm(proxy.HarmWipe, false, "mv takes "+w.String()+" away")
			}
		}
	}
}

// dd writes where it is told, a disk or not.
func (r *reading) dd(c call) {
	for _, a := range c.args {
		for _, w := range a {
			if key, value, ok := strings.Cut(w.carry(), "="); ok && slices.Contains([]string{"of", "hof", "wipe"}, key) {
				r.raw(c.name, fixed(value), c.s)
			}
		}
	}
}

func (r *reading) rsync(c call) {
	words, opts := operands(c.args, "-e --rsh --exclude --include --filter -f --bwlimit --timeout --port")
	if len(words) < 2 || !slices.ContainsFunc(opts, func(o string) bool { return strings.HasPrefix(o, "--del") || o == "--remove-source-files" }) || letter(opts, "n") || slices.Contains(opts, "--dry-run") {
		return
	}
	r.tree("rsync --delete", words[len(words)-1:], c.s)
}

// rights are taken from all files of the machine.
func (r *reading) rights(c call) {
	words, opts := operands(c.args, "--reference --from")
	if !letter(opts, "R") && !slices.ContainsFunc(opts, func(o string) bool { return long(o, "recursive") }) {
		return
	}
	for _, a := range words {
		for _, w := range a {
			if p := w.resolve(c.s.cwd); p.base == atRoot && !w.has(maybe) && (len(p.segs) == 0 || len(p.segs) == 1 && p.segs[0].whole()) {
				r.harm(proxy.HarmWipe, false, shown(c.name, c.args)+" changes every file of the machine")
			}
		}
	}
}

func (r *reading) tar(c call) {
	words, opts := operands(c.args, "-f --file -C --directory")
	if slices.ContainsFunc(opts, func(o string) bool { return long(o, "remove-files") && len(o) > 5 }) {
		r.tree("tar --remove-files", words, c.s)
	}
}

// second notes tools whose first word is what they do, and which write over the
// devices after it.
func (r *reading) second(c call) {
	if len(c.args) > 0 && slices.Contains([]string{"reset", "format"}, c.args[0].String()) {
		r.all(c, 1)
	}
}

func (r *reading) sgdisk(c call) {
	_, opts := operands(c.args, "")
	for _, o := range opts {
		if o == "-b" || strings.HasPrefix(o, "-b") || strings.HasPrefix(o, "--backup") {
			continue
		}
		if strings.HasPrefix(o, "--") {
			name, _, _ := strings.Cut(o, "=")
			if !slices.Contains(strings.Fields("--print --info --verify --version --display-alignment --end-of-largest --first-aligned-in-largest --first-in-largest --list-types --pretend --print-mbr"), name) {
				r.all(c, 0)
				return
			}
			continue
		}
		if strings.Trim(o[1:], "pvVDEFfLO0123456789i") != "" {
			r.all(c, 0)
			return
		}
	}
}

func (r *reading) parted(c call) {
	words, opts := operands(c.args, "-a --align")
	if letter(opts, "lvh") || slices.Contains(opts, "--list") || len(words) == 0 {
		return
	}
	harmless := strings.Fields("print unit help version free all devices list align-check optimal minimal min opt B s kB KiB MB MiB GB GiB TB TiB % compact cyl chs 0 1 2 3 4 5 6 7 8 9 p")
	if len(words) > 1 && !slices.ContainsFunc(words[1:], func(a arg) bool { return !slices.Contains(harmless, a.String()) }) {
		return
	}
	r.raw(c.name, words[0], c.s)
}

func (r *reading) wipefs(c call) {
	_, opts := operands(c.args, "-t -o -O --types --offset --output")
	erases := letter(opts, "ao") || slices.ContainsFunc(opts, func(o string) bool {
		return long(o, "all") && len(o) > 3 || o == "--offset" || strings.HasPrefix(o, "--offset=")
	})
	if erases && !letter(opts, "n") && !slices.Contains(opts, "--no-act") {
		r.all(c, 0)
	}
}

func (r *reading) cryptsetup(c call) {
	words, _ := operands(c.args, "-c -h -s -i -d --cipher --hash --key-size --key-file --type -M")
	if len(words) > 0 && slices.Contains([]string{"luksFormat", "erase", "luksErase", "format", "luksKillSlot"}, words[0].String()) {
		for _, a := range words[1:] {
			r.raw(c.name, a, c.s)
		}
	}
}

func (r *reading) zfs(c call) {
	words, opts := operands(c.args, "")
	if len(words) == 0 || letter(opts, "n") {
		return
	}
	switch verb := words[0].String(); {
	case c.name == "zfs" && verb == "destroy":
		if !slices.ContainsFunc(words, func(a arg) bool { return strings.ContainsAny(a.String(), "@#") }) { // snapshots and bookmarks
			r.destroys(c)
		}
	case c.name == "zpool" && verb == "destroy":
		r.destroys(c)
	case c.name == "zpool" && (verb == "labelclear" || verb == "create" || verb == "add" || verb == "attach"):
		r.all(c, 1)
		if verb == "labelclear" {
			r.destroys(c)
		}
	}
}

func (r *reading) mdadm(c call) {
	if slices.ContainsFunc(c.args, func(a arg) bool {
		s := a.String()
		return long(s, "zero-superblock") && len(s) > 4 || long(s, "create") && len(s) > 4 || s == "-C" || strings.HasPrefix(s, "-C")
	}) {
		r.all(c, 0)
	}
}

func (r *reading) nvme(c call) {
	if len(c.args) > 0 && slices.Contains(strings.Fields("format sanitize write-zeroes delete-ns write write-uncor dsm write-uncorrectable"), c.args[0].String()) {
		r.destroys(c)
	}
}

func (r *reading) hdparm(c call) {
	if slices.ContainsFunc(c.args, func(a arg) bool {
		s := a.String()
		return slices.ContainsFunc([]string{"--security-erase", "--trim-sector-ranges", "--make-bad-sector", "--write-sector", "--repair-sector", "--sanitize-", "--dco-restore"}, func(p string) bool { return strings.HasPrefix(s, p) })
	}) {
		r.destroys(c)
	}
}

func (r *reading) dmsetup(c call) {
	if words, _ := operands(c.args, ""); len(words) > 0 && slices.Contains([]string{"remove_all", "wipe_table"}, words[0].String()) {
		r.destroys(c)
	}
}

func (r *reading) badblocks(c call) {
	if _, opts := operands(c.args, "-b -c -e -d -i -o -p -t"); letter(opts, "w") {
		r.all(c, 0)
	}
}

func (r *reading) diskutil(c call) {
	if words, _ := operands(c.args, ""); len(words) > 0 && slices.ContainsFunc([]string{"erase", "partition", "zeroDisk", "randomDisk", "secureErase", "reformat", "apfs"}, func(p string) bool {
		return strings.HasPrefix(words[0].String(), p) && (p != "apfs" || len(words) > 1 && strings.HasPrefix(words[1].String(), "delete"))
	}) {
		r.destroys(c)
	}
}

func (r *reading) ceph(c call) {
	if slices.ContainsFunc(c.args, func(a arg) bool { return a.String() == "zap" }) {
		r.destroys(c)
	}
}

// writesLast are programs whose last word is a file that they write.
var writesLast = strings.Fields("cp mv install scp rsync ddrescue dd_rescue pv-copy flashcp sponge xxd")

// outputs are the files that a program writes because its arguments say so.
func outputs(name string, args []arg) (out []arg) {
	words, _ := operands(args, "-t --target-directory -o -O --output -m -g --mode --owner --group -S --suffix")
	switch {
	case name == "tee" || name == "truncate" || name == "shred":
		return words
	case slices.Contains(writesLast, name) && len(words) > 1, name == "sponge" && len(words) > 0:
		out = append(out, words[len(words)-1])
	case name == "qemu-img" && len(words) > 2 && slices.Contains([]string{"convert", "dd", "create"}, words[0].String()):
		out = append(out, words[len(words)-1])
	case name == "tar" && creates(args):
		for i, a := range args[:max(0, len(args)-1)] {
			if s := a.String(); s == "--file" || strings.HasSuffix(s, "f") && (i == 0 || s[0] == '-') && !strings.HasPrefix(s, "--") {
				out = append(out, args[i+1])
			}
		}
	case name == "sed" || name == "perl":
		if slices.ContainsFunc(args, func(a arg) bool {
			s := a.String()
			return strings.HasPrefix(s, "-i") || strings.HasPrefix(s, "-pi") || strings.HasPrefix(s, "-ni") || strings.HasPrefix(s, "--in-place")
		}) {
			out = append(out, words...)
		}
	}
	for i, a := range args {
		s := a.carry()
		key, value, attached := strings.Cut(s, "=")
		switch {
		case attached && slices.Contains([]string{"of", "hof", "wipe", "--output", "--output-document", "--out", "--filename", "--target-directory", "--file", "-out"}, key) && (key != "--file" || name == "tar" && creates(args)):
			out = append(out, fixed(value))
		case i+1 < len(args) && slices.Contains([]string{"-o", "-O", "--output", "--output-document", "-out", "--out", "-t", "--target-directory"}, s) && outputOptions[name]:
			out = append(out, args[i+1])
		case i+1 < len(args) && (name == "curl" || name == "wget") && len(s) > 2 && s[0] == '-' && s[1] != '-' && (strings.HasSuffix(s, "o") || strings.HasSuffix(s, "O")):
			out = append(out, args[i+1])
		case len(s) > 2 && (strings.HasPrefix(s, "-o/") || strings.HasPrefix(s, "-O/") || strings.HasPrefix(s, "-t/")) && outputOptions[name]:
			out = append(out, fixed(s[2:]))
		}
	}
	return out
}

// outputOptions are programs whose options -o, -O and -t name a file or folder
// that they write.
var outputOptions = func() map[string]bool {
	m := make(map[string]bool)
	for _, n := range strings.Fields("curl wget sort openssl cp mv install partclone.ext4 partclone.xfs partclone.btrfs partclone.vfat partclone.ntfs partclone.restore ntfsclone pv gcc cc ld objcopy genisoimage mkisofs xorriso") {
		m[n] = true
	}
	return m
}()

// creates reports whether tar writes an archive.
func creates(args []arg) bool {
	for i, a := range args {
		s := a.String()
		if s == "--create" || s == "--append" || s == "--update" {
			return true
		}
		if (i == 0 || strings.HasPrefix(s, "-")) && !strings.HasPrefix(s, "--") && strings.ContainsAny(s, "cru") {
			return true
		}
	}
	return false
}

func (r *reading) shutdown(c call) {
	words, opts := operands(c.args, "-t -g -i")
	switch {
	case c.name == "shutdown" && (letter(opts, "ck") || slices.Contains(opts, "--show")),
		c.name != "shutdown" && (letter(opts, "w") || slices.Contains(opts, "--wtmp-only")),
		c.name == "shutdown" && len(words) == 1 && words[0].String() == "cancel":
		return
	}
	r.halts(c)
}

func (r *reading) runlevel(c call) {
	words, _ := operands(c.args, "-t")
	if len(words) > 0 && slices.Contains(strings.Fields("0 6 1 s S single emergency rescue shutdown reboot off"), words[0].String()) {
		r.halts(c)
	}
}

// haltingVerbs are what systemctl and its like do to the machine.
var haltingVerbs = strings.Fields(`poweroff reboot halt kexec soft-reboot suspend hibernate hybrid-sleep suspend-then-hibernate sleep exit switch-root rescue
	emergency shutdown`)

// haltingUnits are targets and services by which the machine stops.
var haltingUnits = strings.Fields(`poweroff reboot halt kexec soft-reboot shutdown runlevel0 runlevel1 runlevel6 rescue emergency suspend hibernate hybrid-sleep
	suspend-then-hibernate sleep exit ctrl-alt-del final umount factory-reset systemd-poweroff systemd-reboot systemd-halt systemd-kexec systemd-suspend systemd-hibernate
	systemd-soft-reboot systemd-exit initrd-switch-root`)

func haltingUnit(w word) bool {
	for _, u := range haltingUnits {
		if w.matches(u+".target") || w.matches(u+".service") || w.is(u) && !strings.HasPrefix(u, "s") {
			return true
		}
	}
	return false
}

func (r *reading) systemctl(c call) {
	words, opts := operands(c.args, "-t --type -p --property -P -H --host -M --machine -n --lines -o --output -s --signal --root --when -T")
	if letter(opts, "h") || slices.Contains(opts, "--dry-run") || slices.Contains(opts, "--when=cancel") || slices.Contains(opts, "--when=show") || len(words) == 0 {
		return
	}
	switch verb := words[0].String(); {
	case slices.Contains(haltingVerbs, verb):
		r.halts(c)
	case c.name == "systemctl" && slices.Contains(strings.Fields("start restart try-restart reload-or-restart try-reload-or-restart isolate set-default default enable reenable"), verb):
		if verb == "enable" && !slices.Contains(opts, "--now") {
			return
		}
		for _, a := range words[1:] {
			if slices.ContainsFunc(a, haltingUnit) {
				r.halts(c)
			}
		}
	case c.name == "systemctl" && verb == "kill" && slices.ContainsFunc(words[1:], func(a arg) bool { return a.String() == "init.scope" || a.String() == "-.slice" }):
		r.halts(c)
	}
}

// bus notes messages to those that stop the machine.
func (r *reading) bus(c call) {
	for _, a := range c.args {
		s := a.String()
		method := s[strings.LastIndexByte(s, '.')+1:]
		if slices.Contains(strings.Fields("PowerOff Reboot Halt KExec SoftReboot Suspend Hibernate HybridSleep SuspendThenHibernate Sleep Exit PowerOffWithFlags RebootWithFlags HaltWithFlags SuspendWithFlags HibernateWithFlags HybridSleepWithFlags ScheduleShutdown Stop Restart"), method) &&
			(method != "Stop" && method != "Restart" || slices.ContainsFunc(c.args, func(a arg) bool { return strings.Contains(a.String(), "ConsoleKit") })) {
			r.halts(c)
			return
		}
		if haltingUnit(literalWord(strings.TrimPrefix(strings.Trim(s, `"'`), "string:"))) && strings.Contains(s, ".") {
			r.halts(c)
			return
		}
	}
}

// kill notes signals that end the first process, or all.
func (r *reading) kill(c call) {
	words, opts := operands(c.args, "-s --signal -n -q --queue -u -U -g -P -t")
	signal := "TERM"
	for i, a := range c.args {
		s := strings.ToUpper(strings.TrimPrefix(a.String(), "SIG"))
		switch {
		case (s == "-S" || s == "--SIGNAL" || s == "-N") && i+1 < len(c.args):
			signal = strings.TrimPrefix(strings.ToUpper(c.args[i+1].String()), "SIG")
		case strings.HasPrefix(s, "--SIGNAL="):
			signal = strings.TrimPrefix(s[9:], "SIG")
		case i == 0 && len(s) > 1 && s[0] == '-' && s != "--":
			signal = strings.TrimPrefix(s[1:], "SIG")
		}
	}
	ends := slices.Contains(strings.Fields("9 KILL 15 TERM 2 INT 3 QUIT 6 ABRT 11 SEGV 19 STOP 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 5 TRAP 7 BUS 8 FPE 4 ILL"), signal) || strings.HasPrefix(signal, "RTMIN") || strings.HasPrefix(signal, "RTMAX")
	if !ends && strings.HasPrefix(signal, "L") || signal == "0" {
		return
	}
	switch c.name {
	case "killall5":
		if !slices.ContainsFunc(opts, func(o string) bool { return o == "-0" || o == "-18" || o == "-CONT" }) {
			r.halts(c)
		}
	case "kill":
		for _, a := range c.args[min(1, len(c.args)):] {
			if a.String() == "-1" && ends {
				r.halts(c)
			}
		}
		for _, a := range words {
			if a.String() == "1" && ends || a.String() == "-1" && ends {
				r.halts(c)
			}
		}
		if len(c.args) == 1 && c.args[0].String() == "-1" {
			return
		}
	default:
		for _, a := range words {
			if slices.Contains([]string{"init", "systemd", "^systemd$", "^init$", ".", ".*", "^", ""}, a.String()) && ends {
				r.halts(c)
			}
		}
		if len(words) == 0 && c.name == "pkill" && slices.ContainsFunc(c.args, func(a arg) bool { return a.String() == "root" || a.String() == "0" }) && ends {
			r.halts(c)
		}
	}
}

func (r *reading) kexec(c call) {
	if only(c.args, "-e", "--exec", "-f", "--force") {
		r.halts(c)
	}
}

func (r *reading) rtcwake(c call) {
	for i, a := range c.args {
		mode := strings.TrimPrefix(a.String(), "--mode=")
		if (a.String() == "-m" || a.String() == "--mode") && i+1 < len(c.args) {
			mode = c.args[i+1].String()
		}
		if slices.Contains(strings.Fields("standby freeze mem disk off"), mode) {
			r.halts(c)
			return
		}
	}
}

func (r *reading) ipmi(c call) {
	list := texts(c.args)
	if i := slices.Index(list, "power"); i >= 0 && i+1 < len(list) && slices.Contains(strings.Fields("off cycle reset soft diag"), list[i+1]) {
		r.halts(c)
	}
}
