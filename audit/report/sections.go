package report

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Section is one table of a report. Its cells are as they were recorded; only writing makes
// them safe.
type Section struct {
	Name         string // for a file: lower case, with dashes
	Title, About string
	Columns      []string
	Rows         [][]string
}

// Sections are the report's tables: what it is about and how much there is, by kind, user and
// resource; users with their groups; by which rules they had access; and the entries by kind.
func (r *Report) Sections() []Section {
	list := []Section{r.summary(), r.byKind()}
	list = append(list,
		r.totals("users", "Totals by user", "User", func(x *Entry) string { return x.User }),
		r.totals("resources", "Totals by resource", "Resource", func(x *Entry) string { return x.Resource }),
		r.people(), r.grants())
	for _, k := range kinds {
		s := Section{Name: strings.ReplaceAll(string(k.kind), " ", "-"), Title: k.title, About: k.about}
		for _, c := range k.columns {
			s.Columns = append(s.Columns, c.title)
		}
		for i := range r.Entries {
			if x := &r.Entries[i]; x.Kind == k.kind {
				row := make([]string, len(k.columns))
				for i, c := range k.columns {
					row[i] = c.of(x)
				}
				s.Rows = append(s.Rows, row)
			}
		}
		list = append(list, s)
	}
	return list
}

// column is one thing of an entry.
type column struct {
	title string
	of    func(x *Entry) string
}

func (c column) titled(s string) column { return column{s, c.of} }

var (
	timeColumn     = column{"Time", func(x *Entry) string { return clock(x.Time) }}
	untilColumn    = column{"Until", func(x *Entry) string { return clock(x.Until) }}
	durationColumn = column{"Duration", (*Entry).duration}
	userColumn     = column{"User", func(x *Entry) string { return x.User }}
	groupsColumn   = column{"Groups", func(x *Entry) string { return strings.Join(x.Groups, " ") }}
	methodColumn   = column{"Method", func(x *Entry) string { return x.Method }}
	addressColumn  = column{"Address", func(x *Entry) string { return x.Address }}
	resourceColumn = column{"Resource", func(x *Entry) string { return x.Resource }}
	accountColumn  = column{"Account", func(x *Entry) string { return x.Account }}
	databaseColumn = column{"Database", func(x *Entry) string { return x.Database }}
	sessionColumn  = column{"Session", func(x *Entry) string { return x.Session }}
	rulesColumn    = column{"Rule", func(x *Entry) string { return strings.Join(x.Rules, " ") }}
	byColumn       = column{"By", func(x *Entry) string { return x.By }}
	whatColumn     = column{"What", func(x *Entry) string { return x.What }}
	endedColumn    = column{"Ended", func(x *Entry) string { return x.Ended }}
	countColumn    = column{"Count", func(x *Entry) string { return strconv.FormatUint(x.Count, 10) }}

	doneColumns = []column{timeColumn, userColumn, addressColumn, resourceColumn, accountColumn, databaseColumn, sessionColumn, rulesColumn, whatColumn, countColumn.titled("Rows"), endedColumn}
	runColumns  = []column{timeColumn, userColumn, addressColumn, resourceColumn, accountColumn, sessionColumn, rulesColumn, whatColumn, endedColumn}
	manyColumns = []column{timeColumn.titled("First"), untilColumn.titled("Last"), userColumn, addressColumn, methodColumn, groupsColumn, resourceColumn, whatColumn, countColumn}
)

var kinds = []struct {
	kind         Kind
	title, about string
	columns      []column
}{
	{Access, "Sessions", "Who had access to what, from when until when, by which rules or grants, and how it ended.", []column{timeColumn.titled("Begin"), untilColumn.titled("End"), durationColumn, userColumn, addressColumn, methodColumn, resourceColumn, accountColumn, sessionColumn, rulesColumn, countColumn.titled("Asked"), endedColumn, whatColumn}},
	{Login, "Logins", "Who proved who he is, from where; one line for all that are alike.", manyColumns},
	{LoginFailed, "Failed logins", "Who failed to, from where and why; one line for all that are alike. The name is what was claimed, of failures that the gateway summed up the last one.", manyColumns},
	{Failed, "Failed connections", "Connections that ended before a session, those of failed logins among them; one line for all that are alike.", []column{timeColumn.titled("First"), untilColumn.titled("Last"), addressColumn, whatColumn, countColumn}},
	{Approval, "Approvals", "What was asked for, and who decided.", []column{timeColumn, userColumn, resourceColumn, sessionColumn, byColumn.titled("Decided"), whatColumn}},
	{Denied, "Denied", "What was refused, who refused it and why.", []column{timeColumn, userColumn, addressColumn, resourceColumn, accountColumn, sessionColumn, byColumn, rulesColumn, whatColumn}},
	{Rights, "Rights changed", "Statements that give or take rights, roles or ownership.", doneColumns},
	{Definition, "Definitions changed", "Statements that create, alter or drop.", doneColumns},
	{Write, "Writes", "Statements that write, or may because it is not known what they call.", doneColumns},
	{CopiedOut, "Copied out", "Data that was copied out in bulk.", doneColumns},
	{File, "Files", "Files that were read, written, moved or removed.", runColumns},
	{Command, "Commands", "Commands, shells, forwards, requests and tool calls.", runColumns},
	{Masked, "Masked", "How many values of which type were masked in a session.", []column{timeColumn, userColumn, resourceColumn, accountColumn, sessionColumn, whatColumn.titled("Type"), countColumn.titled("Values")}},
	{Unmasked, "Seen unmasked", "Who saw what is masked for others.", runColumns[:8]},
	{Configuration, "Configuration", "By which configuration and rules sessions were judged, when it changed, and when the gateway ran. The first line can be from before the period.", []column{timeColumn, userColumn, groupsColumn, sessionColumn, whatColumn}},
	{Administration, "Administration", "What was done to the gateway and its records.", []column{timeColumn, byColumn, addressColumn, sessionColumn, whatColumn}},
	{Unreadable, "Not readable", "Records that are missing or cannot be read whole. Whether they fall into the period is not known.", []column{sessionColumn, whatColumn}},
	{Erased, "Erased", "Sessions whose content is gone. Whether they fall into the period is not known.", []column{sessionColumn, whatColumn}},
}

// clock is a time to the second, for people.
func clock(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.UTC().Format(time.DateTime)
}

// duration is how long the entry's session was open, empty when that is not known.
func (x *Entry) duration() string {
	begin, err1 := time.Parse(time.RFC3339Nano, x.Time)
	end, err2 := time.Parse(time.RFC3339Nano, x.Until)
	if x.Kind != Access || err1 != nil || err2 != nil {
		return ""
	}
	return end.Sub(begin).Round(time.Millisecond).String()
}

// summary says what the report is of, and what proves it.
func (r *Report) summary() Section {
	s := Section{Name: "summary", Title: "Summary", About: "What the report is of, and whether the records are as they were sealed.", Columns: []string{"What", "Value"}}
	say := func(what, value string) { s.Rows = append(s.Rows, []string{what, value}) }
	say("Period", r.Period.From.Format(time.DateOnly)+" to "+r.Period.To.AddDate(0, 0, -1).Format(time.DateOnly)+", days in UTC")
	if r.Program != "" {
		say("Made by", r.Program)
	}
	config := "not on record"
	for i := range r.Entries {
		if x := &r.Entries[i]; x.Kind == Configuration && strings.HasPrefix(x.What, judges) {
			config = x.What + ", since " + clock(x.Time)
		}
	}
	say("In force at the end", config)
	say("Records missing or not readable", strconv.Itoa(r.Incomplete()))
	if r.Proof == nil {
		say("Verified", "no")
		return s
	}
	p := r.Proof
	verdict := "proven: the sealed records are whole, in order and as they were sealed"
	if len(p.Problems) > 0 {
		verdict = "NOT AS SEALED"
	}
	say("Verified", verdict)
	for _, problem := range p.Problems {
		say("Problem", problem)
	}
	say("Sealed records", strconv.Itoa(p.Sessions)+" proven, with "+strconv.FormatInt(p.Events, 10)+" events, of the whole log")
	say("Records not proven yet", strconv.Itoa(len(p.Unproven))+" that are open or not sealed")
	if p.Unopened > 0 {
		say("Records not opened", strconv.Itoa(p.Unopened)+", because the key that opens them is kept elsewhere and was not given")
	}
	say("Erased on record", strconv.Itoa(p.Erased))
	say("Signed head: size", strconv.FormatInt(p.Size, 10))
	say("Signed head: root", p.Root)
	say("Signed head: checkpoint", p.Checkpoint)
	say("Public key", r.Key+" (from the log itself: compare it with a copy kept elsewhere)")
	return s
}

// times is how many an entry is of: of logins each counts.
func (x *Entry) times() uint64 {
	if x.Kind == Login || x.Kind == LoginFailed || x.Kind == Failed || x.Kind == Masked {
		return x.Count
	}
	return 1
}

func (r *Report) byKind() Section {
	s := Section{Name: "kinds", Title: "Totals by kind", About: "How much of what there is. Of masked values each counts.", Columns: []string{"Kind", "Count"}}
	n := make(map[Kind]uint64)
	for i := range r.Entries {
		n[r.Entries[i].Kind] += r.Entries[i].times()
	}
	for _, k := range kinds {
		s.Rows = append(s.Rows, []string{k.title, strconv.FormatUint(n[k.kind], 10)})
	}
	return s
}

// totalled are the kinds that are counted by user and by resource.
var totalled = []struct {
	title string
	kind  Kind
}{
	{"Sessions", Access},
	{"Logins", Login},
	{"Failures", LoginFailed},
	{"Denied", Denied},
	{"Approvals", Approval},
	{"Rights", Rights},
	{"Definitions", Definition},
	{"Writes", Write},
	{"Out", CopiedOut},
	{"Files", File},
	{"Commands", Command},
	{"Masked", Masked},
	{"Unmasked", Unmasked},
}

// totals counts entries by what of says. What is of nobody or nothing is not among them.
func (r *Report) totals(name, title, head string, of func(x *Entry) string) Section {
	s := Section{Name: name, Title: title, About: "How much of what there is. Of failed logins the user is who was claimed.", Columns: []string{head}}
	at := make(map[Kind]int)
	for i, t := range totalled {
		s.Columns = append(s.Columns, t.title)
		at[t.kind] = i
	}
	n := make(map[string][]uint64)
	for i := range r.Entries {
		x := &r.Entries[i]
		who := of(x)
		col, ok := at[x.Kind]
		if !ok || who == "" {
			continue
		}
		if n[who] == nil {
			n[who] = make([]uint64, len(totalled))
		}
		n[who][col] += x.times()
	}
	for _, who := range slices.Sorted(maps.Keys(n)) {
		row := []string{who}
		for _, c := range n[who] {
			row = append(row, strconv.FormatUint(c, 10))
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// people are the users with the groups that they had when they were seen.
func (r *Report) people() Section {
	s := Section{
		Name: "groups", Title: "Users and groups", About: "Who was there with which groups, as the records say. Users who did nothing in the period are not on record.",
		Columns: []string{"User", "Groups", "First", "Last", "Methods"},
	}
	s.Rows = r.gathered(func(x *Entry) (key, more []string) {
		if x.Kind != Access && x.Kind != Login && (x.Kind != Configuration || x.User == "") {
			return nil, nil
		}
		return []string{x.User, strings.Join(x.Groups, " ")}, []string{x.Method}
	}, func(key []string, g *seen) []string {
		return append(key, clock(g.first), clock(g.last), strings.Join(slices.Sorted(maps.Keys(g.more)), " "))
	})
	return s
}

// grants are by which rules and grants who had access to what.
func (r *Report) grants() Section {
	s := Section{
		Name: "grants", Title: "Access and why", About: "By which rules and grants who had access to what. Rights that nobody used are not on record; the configuration names them.",
		Columns: []string{"User", "Groups", "Resource", "Account", "Database", "Rule", "Sessions", "First", "Last"},
	}
	s.Rows = r.gathered(func(x *Entry) (key, more []string) {
		if x.Kind != Access {
			return nil, nil
		}
		return []string{x.User, strings.Join(x.Groups, " "), x.Resource, x.Account, x.Database, strings.Join(x.Rules, " ")}, []string{x.Session}
	}, func(key []string, g *seen) []string {
		return append(key, strconv.Itoa(len(g.more)), clock(g.first), clock(g.last))
	})
	return s
}

// seen is when something was seen, and with what.
type seen struct {
	key         []string
	first, last string
	more        map[string]bool
}

// gathered makes a row of all entries that have the same key, sorted by it. Entries without one are
// left out.
func (r *Report) gathered(of func(x *Entry) (key, more []string), row func(key []string, g *seen) []string) [][]string {
	all := make(map[string]*seen)
	for i := range r.Entries {
		x := &r.Entries[i]
		key, more := of(x)
		if key == nil {
			continue
		}
		name := strings.Join(key, "\x00")
		g := all[name]
		if g == nil {
			g = &seen{key, x.Time, x.Time, make(map[string]bool)}
			all[name] = g
		}
		g.first, g.last = min(g.first, x.Time), max(g.last, x.Time, cmp.Or(x.Until, x.Time))
		for _, m := range more {
			g.more[m] = true
		}
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, row(all[name].key, all[name]))
	}
	return rows
}
