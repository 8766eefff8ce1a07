package policy

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// effectPhrases say what a user may not do, by the bits of effects.
var effectPhrases = [...]string{
	"read data", "insert rows", "update rows", "delete rows", "truncate tables", "create objects", "alter objects", "drop objects",
	"change rights or roles", "call functions that may change something", "copy data in", "copy data out",
	"copy from or to files and programs of the server", "change settings", "change the role", "use transactions", "take locks",
	"prepare statements", "run prepared statements by name", "run DO blocks", "reach outside the database", "send or receive notifications",
	"administer the server", "show settings or plans", "advance or set sequences", "run a statement that is not understood",
}

// kindPhrases say what a user may not do, by kind of operation.
var kindPhrases = map[proxy.Kind]string{
	proxy.KindConnect: "connect", proxy.KindStatement: "run a statement", proxy.KindPrepare: "prepare a statement",
	proxy.KindFunction: "call a function by its number", proxy.KindReplication: "replicate", proxy.KindCommand: "send this command",
	proxy.KindExec: "run a command", proxy.KindShell: "open a shell", proxy.KindSubsystem: "use this subsystem",
	proxy.KindInput: "type into a shell", proxy.KindFile: "access files", proxy.KindForward: "forward connections",
	proxy.KindAgent: "forward a key agent", proxy.KindX11: "forward a display", proxy.KindEnv: "set environment variables",
	proxy.KindRequest: "send a request", proxy.KindUpgrade: "upgrade a connection", proxy.KindTool: "call a tool",
	proxy.KindRunbook: "run a runbook",
}

func kindWords(k proxy.Kind) string {
	if phrase := kindPhrases[k]; phrase != "" {
		return phrase
	}
	return "do this"
}

// effectWords says what a statement would do that is not allowed.
func effectWords(f *proxy.Facts, bad proxy.Effects) string {
	var list []string
	for rest := bad; rest != 0; rest &= rest - 1 {
		phrase := "do this"
		if i := bits.TrailingZeros32(uint32(rest)); i < len(effectPhrases) {
			phrase = effectPhrases[i]
		}
		list = append(list, phrase)
	}
	text := alternatives(list, "or")
	if bad == proxy.EffectUnknown && f.Unknown != "" {
		text += " (" + f.Unknown + ")"
	}
	return text
}

// filePhrases say what a user may not do with files, by action.
var filePhrases = map[proxy.FileAction]string{
	proxy.FileOpenRead: "open files for reading", proxy.FileOpenWrite: "open files for writing", proxy.FileStat: "look at files",
	proxy.FileList: "list folders", proxy.FileRename: "rename files", proxy.FileRemove: "remove files", proxy.FileMkdir: "make folders",
	proxy.FileRmdir: "remove folders", proxy.FileLink: "link files", proxy.FileReadlink: "read links", proxy.FileSetstat: "change files' attributes",
}

func fileWords(a proxy.FileAction) string {
	if phrase := filePhrases[a]; phrase != "" {
		return phrase
	}
	return "access files in this way"
}

// outside names the functions that reach out of the database when that is all
// that is not allowed; it is empty otherwise.
func outside(f *proxy.Facts, bad proxy.Effects) string {
	if bad != proxy.EffectOutside {
		return ""
	}
	var names []string
	for i := range f.Functions {
		if f.Functions[i].Class == proxy.FunctionOutside {
			names = append(names, f.Functions[i].Name)
		}
	}
	return alternatives(names, "or")
}

// requestWords say what a user may not do, of a request whose kind is allowed.
func requestWords(r *proxy.Request) string {
	if r.Access == proxy.AccessByMethod || r.Action == "" {
		return "send a " + r.Method + " request"
	}
	return "do " + r.Action
}

// accessWord is the right that a request needs, where its handler says so.
func accessWord(r *proxy.Request) string {
	return [...]string{proxy.AccessByMethod: "", proxy.AccessRead: "read", proxy.AccessWrite: "write", proxy.AccessAdmin: "admin", proxy.AccessExec: "exec", proxy.AccessUnknown: "all"}[r.Access]
}

// kindWord is the right that a kind of operation needs, when one word says it.
func kindWord(k proxy.Kind) string {
	if k == proxy.KindInput {
		return "shell"
	}
	if _, ok := actions[k.String()]; ok {
		return k.String()
	}
	return ""
}

// rights names rights in a sentence. The words are separated by ", ".
func rights(words string) string {
	list := strings.Split(words, ", ")
	for i := range list {
		list[i] = strconv.Quote(list[i])
	}
	if len(list) == 1 {
		return "the right " + list[0]
	}
	return "the rights " + alternatives(list, "and")
}

// alternatives writes "a, b or c".
func alternatives(list []string, last string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " " + last + " " + list[len(list)-1]
}
