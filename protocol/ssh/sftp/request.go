package sftp

import (
	"github.com/sallyport/sallyport/proxy"
)

// request is a parsed request of the client's. Which fields are set depends on
// its type.
type request struct {
	kind   byte
	id     uint32
	path   string
	target string // second path
	handle string
	flags  uint32 // of open
	offset uint64
	length uint32
	data   []byte // of write: a view of the packet
	name   string // of an extension
	known  bool   // the type, or extension, has a meaning here
}

// Flags of open.
const (
	openRead     = 1
	openWrite    = 2
	openAppend   = 4
	openCreate   = 8
	openTruncate = 16
	openFlags    = 63 // all of version 3
)

// parseRequest reads a request. For one without meaning here only kind, id and
// name are set; they need not be well formed beyond that.
func parseRequest(b []byte) (request, error) {
	r := request{kind: b[4], known: true}
	f := fields{b: b[5:]}
	r.id = f.uint32()
	switch r.kind {
	case typeOpen:
		r.path, r.flags = f.path(), f.uint32()
		f.attrs()
		if r.flags&^uint32(openFlags) != 0 {
			f.bad = true
		}
	case typeClose, typeFstat, typeReaddir:
		r.handle = f.text(maxHandle)
	case typeRead:
		r.handle, r.offset, r.length = f.text(maxHandle), f.uint64(), f.uint32()
	case typeWrite:
		r.handle, r.offset = f.text(maxHandle), f.uint64()
		r.data = f.bytes(maxPacket)
	case typeLstat, typeStat, typeOpendir, typeRemove, typeRmdir, typeRealpath, typeReadlink:
		r.path = f.path()
	case typeSetstat, typeMkdir:
		r.path = f.path()
		f.attrs()
	case typeFsetstat:
		r.handle = f.text(maxHandle)
		f.attrs()
	case typeRename:
		r.path, r.target = f.path(), f.path()
	case typeSymlink:
		// OpenSSH sends and expects what the link says first, and the draft has it
		// the other way round; rules must look at both.
		r.target, r.path = f.path(), f.path()
	case typeExtended:
		r.extended(&f)
	default:
		r.known = false
	}
	if !r.known && !f.bad {
		return r, nil
	}
	return r, f.done()
}

// extensions are those of OpenSSH's PROTOCOL file, section 4, that are passed
// on.
var extensions = map[string]func(r *request, f *fields){
	"posix-rename@openssh.com": func(r *request, f *fields) { r.path, r.target = f.path(), f.path() },
	"hardlink@openssh.com":     func(r *request, f *fields) { r.target, r.path = f.path(), f.path() },
	"statvfs@openssh.com":      func(r *request, f *fields) { r.path = f.path() },
	"expand-path@openssh.com":  func(r *request, f *fields) { r.path = f.path() },
	"lsetstat@openssh.com":     func(r *request, f *fields) { r.path = f.path(); f.attrs() },
	"fstatvfs@openssh.com":     func(r *request, f *fields) { r.handle = f.text(maxHandle) },
	"fsync@openssh.com":        func(r *request, f *fields) { r.handle = f.text(maxHandle) },
	"limits@openssh.com":       func(*request, *fields) {},
	"users-groups-by-id@openssh.com": func(_ *request, f *fields) {
		f.bytes(maxPacket)
		f.bytes(maxPacket)
	},
}

// aboutServer reports whether a request asks about the server and no file: its limits,
// and the names of numbers that its other answers hold.
func (r *request) aboutServer() bool {
	return r.name == "limits@openssh.com" || r.name == "users-groups-by-id@openssh.com"
}

func (r *request) extended(f *fields) {
	r.name = f.text(maxName)
	parse, ok := extensions[r.name]
	if !ok {
		r.known = false
		return
	}
	parse(r, f)
}

// action returns what a request that names a path does to it. Requests about
// open files have none: their open was judged.
func (r *request) action() proxy.FileAction {
	switch r.kind {
	case typeOpen:
		if r.flags&(openWrite|openAppend|openCreate|openTruncate) != 0 {
			return proxy.FileOpenWrite
		}
		return proxy.FileOpenRead
	case typeLstat, typeStat, typeRealpath:
		return proxy.FileStat
	case typeSetstat, typeFsetstat:
		return proxy.FileSetstat
	case typeOpendir:
		return proxy.FileList
	case typeRemove:
		return proxy.FileRemove
	case typeMkdir:
		return proxy.FileMkdir
	case typeRmdir:
		return proxy.FileRmdir
	case typeRename:
		return proxy.FileRename
	case typeReadlink:
		return proxy.FileReadlink
	case typeSymlink:
		return proxy.FileLink
	}
	switch r.name {
	case "posix-rename@openssh.com":
		return proxy.FileRename
	case "hardlink@openssh.com":
		return proxy.FileLink
	case "statvfs@openssh.com", "expand-path@openssh.com":
		return proxy.FileStat
	case "lsetstat@openssh.com":
		return proxy.FileSetstat
	}
	return proxy.FileUnknown
}

// fits reports whether an answer of that type may answer the request.
func (r *request) fits(answer byte) bool {
	if answer == typeStatus {
		return true
	}
	switch r.kind {
	case typeOpen, typeOpendir:
		return answer == typeHandle
	case typeRead:
		return answer == typeData
	case typeReaddir, typeRealpath, typeReadlink:
		return answer == typeName
	case typeLstat, typeStat, typeFstat:
		return answer == typeAttrs
	case typeExtended:
		if r.name == "expand-path@openssh.com" {
			return answer == typeName
		}
		return answer == typeExtendedReply
	}
	return false
}
