package policy

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// grant is a set of what may be done: kinds of operations, and effects of
// statements.
type grant struct {
	kinds   uint32 // bit of each proxy.Kind
	effects proxy.Effects
	files   uint32 // bit of each proxy.FileAction
	methods uint8  // safe and unsafe HTTP methods, and what else requests need
}

const (
	safeMethods = 1 << iota
	unsafeMethods
	adminRequests
	execRequests
	unknownRequests
)

func kinds(list ...proxy.Kind) uint32 {
	var set uint32
	for _, k := range list {
		set |= 1 << k
	}
	return set
}

func files(list ...proxy.FileAction) uint32 {
	var set uint32
	for _, a := range list {
		set |= 1 << a
	}
	return set
}

func (g grant) or(h grant) grant {
	return grant{g.kinds | h.kinds, g.effects | h.effects, g.files | h.files, g.methods | h.methods}
}

func (g grant) and(h grant) grant {
	return grant{g.kinds & h.kinds, g.effects & h.effects, g.files & h.files, g.methods & h.methods}
}

// meets reports whether g has anything of h.
func (g grant) meets(h grant) bool {
	return g.kinds&h.kinds|g.files&h.files != 0 || g.effects&h.effects != 0 || g.methods&h.methods != 0
}

// fileReads are the accesses that change nothing.
var fileReads = files(proxy.FileOpenRead, proxy.FileStat, proxy.FileList, proxy.FileReadlink)

var statements = kinds(proxy.KindStatement, proxy.KindPrepare)

// actions are the words of rules. The names of single effects are words too.
var actions = map[string]grant{
	"connect": {kinds: kinds(proxy.KindConnect)},
	"read": {
		kinds: statements | kinds(proxy.KindRequest), methods: safeMethods,
		effects: proxy.EffectRead | proxy.EffectCopyOut | proxy.EffectShow | proxy.EffectTransaction | proxy.EffectSet | proxy.EffectPrepare,
	},
	"write": {
		kinds: statements | kinds(proxy.KindRequest), methods: unsafeMethods,
		effects: proxy.EffectsWrite | proxy.EffectLock | proxy.EffectNotify | proxy.EffectTransaction | proxy.EffectSet | proxy.EffectPrepare,
	},
	"ddl": {kinds: statements, effects: proxy.EffectsDDL | proxy.EffectMaintain | proxy.EffectTransaction},
	"admin": {
		kinds: statements | kinds(proxy.KindReplication, proxy.KindFunction, proxy.KindCommand, proxy.KindRequest), methods: adminRequests,
		effects: proxy.EffectGrant | proxy.EffectRole | proxy.EffectMaintain | proxy.EffectOutside | proxy.EffectCopyProgram,
	},
	"exec":        {kinds: kinds(proxy.KindExec, proxy.KindEnv, proxy.KindRequest), methods: execRequests},
	"shell":       {kinds: kinds(proxy.KindShell, proxy.KindInput, proxy.KindEnv)},
	"file-read":   {kinds: kinds(proxy.KindFile, proxy.KindSubsystem), files: fileReads},
	"file-write":  {kinds: kinds(proxy.KindFile, proxy.KindSubsystem), files: ^fileReads &^ 1},
	"forward":     {kinds: kinds(proxy.KindForward)},
	"agent":       {kinds: kinds(proxy.KindAgent)},
	"x11":         {kinds: kinds(proxy.KindX11)},
	"upgrade":     {kinds: kinds(proxy.KindUpgrade)},
	"tool":        {kinds: kinds(proxy.KindTool)},
	"runbook":     {kinds: kinds(proxy.KindRunbook)},
	"function":    {kinds: kinds(proxy.KindFunction)},
	"replication": {kinds: kinds(proxy.KindReplication)},
	"command":     {kinds: kinds(proxy.KindCommand)},
	"all":         {kinds: ^uint32(1), effects: ^proxy.Effects(0), files: ^uint32(1), methods: ^uint8(0)},
}

// parseAction returns what a word of a rule means.
func parseAction(word string) (grant, bool) {
	if g, ok := actions[word]; ok {
		return g, true
	}
	if e, ok := proxy.ParseEffect(word); ok {
		return grant{kinds: statements, effects: e}, true
	}
	return grant{}, false
}

// Actions returns every word that rules may use, sorted.
func Actions() []string {
	list := proxy.EffectNames()
	for word := range actions {
		if !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	slices.Sort(list)
	return list
}

// word names what is needed for an operation that a grant lacks: the action
// that users know, else the effect.
func word(missing proxy.Effects) string {
	for _, name := range []string{"read", "write", "ddl", "admin"} {
		only := actions[name].effects &^ (proxy.EffectTransaction | proxy.EffectSet | proxy.EffectPrepare)
		if missing&^only == 0 {
			return name
		}
	}
	return strings.ReplaceAll(missing.String(), ",", ", ")
}
