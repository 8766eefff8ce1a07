package masking

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// column is what is done with one column of a result.
type column struct {
	kind    kind
	oid     uint32
	binary  bool
	topics  detect.Topics
	why     *reason
	whole   bool   // every value is masked, as one of type typ
	tainted bool   // it may derive from a masked column
	blind   bool   // what it derives from could not be looked at
	numbers bool   // numbers pass although it is tainted, as counts do
	null    bool   // no text can take the place of a value
	neutral []byte // takes it instead, in the column's format; nil is NULL
	typ     detect.Type
	with    treatment

	members map[string]detect.Type // of JSON: what its members are, by their keys in lower case
	element detect.Type            // what its elements are, and it by itself; empty is nothing

	plan       *plan // whose literals are hidden
	weigher    detect.Weigher
	seen, hits uint32 // values, and how many of them were one finding of type typ
	buf        []byte
	asked      []*external // about its texts
}

// noText reports whether values of the column are in a form that not every text
// is in.
func (c *column) noText() bool {
	return c.kind != kindText || elementsOf[c.oid] != nil
}

// wordless reports whether the only words in values of the column are those that the
// server writes for days, months and zones.
func (c *column) wordless() bool {
	k := c.kind
	if e := elementsOf[c.oid]; e != nil {
		k = e.kind
	}
	switch k {
	case kindNumber, kindTime, kindRange, kindRanges:
		return true
	}
	return false
}

// decide works out the columns of shape, the result of a statement that mentions
// m. kept is what earlier statements of the session left behind.
func (v *view) decide(op proxy.Op, shape *proxy.Shape, m *mentions, kept *memory) []column {
	st, _ := op.(*proxy.Statement)
	var facts *proxy.Facts
	var names []string
	if st != nil {
		facts = st.Facts
		if facts != nil && len(facts.Writes) == 0 && !m.keeps && !m.copies { // else what one of several fills, another may read
			facts = facts.Part(shape.Part)
		}
		if shape.Kind == proxy.ShapeCopy {
			names, _ = copyColumns(st.Text)
		}
	}
	columns := make([]column, len(shape.Columns))
	for i := range columns {
		sc := shape.Columns[i]
		listed := sc.Name == "" && len(names) == len(columns)
		if listed {
			sc.Name = names[i]
		}
		from := origins(facts, shape, &sc, i)
		plain := from.Plain()
		if sc.Type == 0 && plain != nil { // as in a COPY
			sc.Type = plain.Type
		}
		c := &columns[i]
		c.kind, c.oid, c.binary = kindOf(&sc), sc.Type, sc.Binary
		c.null = c.noText()
		name := sc.Name
		if sc.Column != "" {
			name = sc.Column
		}
		if sc.Column == "" && sc.Table != 0 {
			if source, known := m.labels.origin(name); known {
				name = source
			}
		}
		c.topics = v.masker.detector.Topics(name)
		for k := range v.masker.external {
			if e := &v.masker.external[k]; e.about(sc.Schema, sc.Relation, name) {
				c.asked = append(c.asked, e)
			}
		}
		if plain != nil && plain.NotNull {
			c.neutral = neutralOf(c.oid, c.binary)
		}
		if v.named(c, facts, &sc, name) || v.derived(c, facts, from, m) || v.held(c, from) {
			continue
		}
		q := question{view: v, facts: facts, column: c, shape: &sc, from: from, listed: listed, m: m, kept: kept}
		if st != nil {
			q.plan = v.planOf(facts, st.Text)
		}
		c.why = q.doubt()
		switch {
		case c.why.does == hide:
			c.tainted, c.typ, c.numbers = true, taintedValue, q.numbersPass()
			c.null = c.null || c.oid >= firstUser || c.oid == oidRecord || c.oid == oidRecords
		case c.why.does == unquote:
			c.plan = q.plan
		case from == nil && sc.Column == "" && facts != nil:
			v.derived(c, facts, facts.Rest, m)
		}
	}
	return columns
}

// named decides by the column's own name.
func (v *view) named(c *column, facts *proxy.Facts, sc *proxy.ShapeColumn, name string) bool {
	typ, hinted := v.masker.detector.TypeOfName(name)
	c.with = treatment{Transform: Visible}
	if c.kind == kindBool || (typ == detect.Address || typ == detect.Person) && (c.kind == kindNumber || c.kind == kindPlain) {
		hinted = false // a flag, or the number of an address in another table
	}
	if !hinted {
		typ = Column
	}
	for i := range v.columns {
		r := &v.columns[i]
		if (name != "" || r.column == "") && r.typed(c.oid) && r.matches(sc.Schema, sc.Relation, name) && (sc.Relation != "" || touches(facts, r)) {
			c.whole, c.why, c.typ, c.with = true, &ofRule, typ, stricter(c.with, r.with)
		}
	}
	if x, ok := v.spread.column(sc.Schema, sc.Relation, name); ok && !c.whole {
		if x.computed {
			c.tainted, c.why, c.typ = true, &ofMade, taintedValue
			c.numbers = v.mode == Display
			c.null = c.noText()
			return true
		}
		if how := v.treatment(x.typ); how.Transform != Visible {
			c.whole, c.why, c.typ, c.with = true, &ofCopy, x.typ, how
		}
	}
	if !c.whole && hinted {
		if how := v.treatment(typ); how.Transform != Visible {
			c.whole, c.why, c.typ, c.with = true, &ofName, typ, how
		}
	}
	return c.whole
}

// touches reports whether a statement may read a relation that r is about.
func touches(facts *proxy.Facts, r *columnRule) bool {
	if r.relation == "" || facts == nil || facts.Unknown != "" || len(facts.Relations) == 0 {
		return true
	}
	for _, rel := range facts.Relations {
		if glob(r.relation, rel.Name) && (rel.Schema == "" || glob(r.schema, rel.Schema)) {
			return true
		}
	}
	return false
}

// origins returns what is known of the base columns of column i: from the
// statement, else from the catalog. Nil is nothing.
func origins(facts *proxy.Facts, shape *proxy.Shape, sc *proxy.ShapeColumn, i int) *proxy.Column {
	n := len(shape.Columns)
	var said *proxy.Column
	switch {
	case facts == nil:
	case shape.Kind == proxy.ShapeCopy:
		if facts.Copy != nil && len(facts.Copy.Columns) == n && facts.Unknown == "" {
			said = &facts.Copy.Columns[i]
		}
	case facts.ColumnsKnown && len(facts.Columns) == n:
		said = &facts.Columns[i]
	}
	switch {
	case said == nil && sc.Source == nil && facts != nil && facts.Unsure:
		return unsureColumn
	case said == nil, said.Opaque && !said.Unsure:
		return sc.Source
	case said.Unsure && sc.Source != nil && !sc.Source.Unsure:
		// The server's numbers are sure of what is read, the text of what is put there.
		both := *sc.Source
		both.Origins = append(slices.Clip(both.Origins), said.Origins...)
		return &both
	}
	return said
}

// unsureColumn may hold anything.
var unsureColumn = &proxy.Column{Opaque: true, Unsure: true}

// holds notes what a member of a column of JSON is, by its key.
func (c *column) holds(key string, t detect.Type) {
	if key == "" {
		c.element = t
		return
	}
	if c.members == nil {
		c.members = map[string]detect.Type{}
	}
	c.members[strings.ToLower(key)] = t
}

// byKeys reports whether a column of JSON may be masked by its keys: it was made
// of a table's row, or of columns that the text names, and nothing has another
// name in it.
func (c *column) byKeys(o *proxy.Origin, m *mentions) bool {
	return c.kind == kindJSON && !c.blind && !m.opens && !m.computed && !m.renames && !m.made &&
		(o.Column == "*" || m.mentions(o.Column))
}

// derived decides by the base columns that a column derives from. Of what only
// hangs on how masked values compare or how many there are, short numbers and
// truth values pass in display.
func (v *view) derived(c *column, facts *proxy.Facts, known *proxy.Column, m *mentions) bool {
	if known == nil {
		return false
	}
	numbers := v.mode == Display
	for _, o := range known.Origins {
		var base column
		sc := proxy.ShapeColumn{Schema: o.Schema, Relation: o.Relation}
		switch {
		case o.Column == "*":
			if len(v.columns) == 0 && !v.found {
				continue
			}
			base.whole = true
		case v.named(&base, facts, &sc, o.Column):
		case o.How == proxy.DerivedPlain || !v.sampled(c, &o):
			continue
		}
		if c.kind == kindJSON && o.How == proxy.DerivedMember && o.Column != "*" {
			c.holds(o.Key, cmp.Or(base.typ, Column))
			continue
		}
		if c.byKeys(&o, m) {
			continue
		}
		switch {
		case base.tainted || o.How != proxy.DerivedPlain || o.Column == "*":
			c.tainted = true
			numbers = numbers && o.How == proxy.DerivedPredicate
		case c.whole: // several, of which each may be the value
			c.with = stricter(c.with, base.with)
		default:
			c.whole, c.why, c.typ, c.with = true, &ofOrigin, base.typ, base.with
		}
	}
	if c.tainted {
		c.whole, c.why, c.typ, c.numbers = false, &ofUse, taintedValue, numbers
	}
	return c.whole || c.tainted
}

// held decides by what was read beforehand of the base columns that a column is.
func (v *view) held(c *column, from *proxy.Column) bool {
	c.weigher = detect.NewWeigher(c.kind == kindNumber)
	if v.target == nil || !v.scans || from == nil {
		return false
	}
	plain := 0
	for k := range from.Origins {
		o := &from.Origins[k]
		if o.How == proxy.DerivedPredicate {
			continue // which decides between values, without being one
		}
		if plain++; o.How != proxy.DerivedPlain {
			return false
		}
		h := v.masker.samples.heldIn(v.target, o)
		if h == nil {
			c.weigher.Forget()
			return false
		}
		if typ, how := v.strictest(h.whole, c.scannable); how.Transform != Visible {
			c.whole, c.why, c.typ, c.with = true, &ofContents, typ, how
			return true
		}
		c.weigher.Know(h.weighed)
	}
	if plain > 1 { // of which one may hold what another does not
		c.weigher.Forget()
	}
	return false
}

// strictest returns which of the types that were found in a column, and that count, has
// the strictest treatment. A nil counts is all. What the detector does not know any more
// was found under other rules.
func (v *view) strictest(types []detect.Type, counts func(t detect.Type) bool) (typ detect.Type, how treatment) {
	how = treatment{Transform: Visible}
	for _, t := range types {
		if t != Column && !v.masker.detector.Knows(t) || counts != nil && !counts(t) {
			continue
		}
		if with := v.treatment(t); with.Transform != Visible && (typ == "" || stricter(how, with) != how) {
			typ, how = t, with
		}
	}
	return typ, how
}

// scannable reports whether a column may be masked whole as of type t because of
// its values.
func (c *column) scannable(t detect.Type) bool {
	return c.kind != kindBool && c.kind != kindPlain && !each(t)
}

// each reports whether values of type t are judged one by one, whatever the others
// of their column are.
func each(t detect.Type) bool { return t == detect.IP || t == detect.MAC || t.Wider() != "" }

// sampled reports whether a base column of c holds by its values what is masked, or
// may.
func (v *view) sampled(c *column, o *proxy.Origin) bool {
	if v.target == nil || !v.scans || o.Own {
		return false
	}
	types, known := v.masker.samples.typesOf(v.target, o)
	c.blind = c.blind || !known
	_, how := v.strictest(types, nil)
	return !known || how.Transform != Visible
}

// changes reports whether something else than base columns themselves is returned.
func changes(c *proxy.Column) bool {
	return c != nil && slices.ContainsFunc(c.Origins, func(o proxy.Origin) bool { return o.How != proxy.DerivedPlain })
}

// copyColumns returns the names in "COPY table (a, b) TO", nil when there are
// none, and whether a query stands in the place of the table.
func copyColumns(text []byte) (names []string, query bool) {
	l := mentionLexer{text: text}
	if k, ok := l.next(); !ok || k != tokenKey || !bytes.EqualFold(l.value, []byte("copy")) {
		return nil, false
	}
	open, table := false, false
	for {
		k, ok := l.next()
		switch {
		case !ok || k == tokenText:
			return nil, false
		case k == tokenSign && l.value[0] == '(' && !open:
			if !table {
				return nil, true
			}
			open = true
		case k == tokenSign && l.value[0] == ')' && open:
			return names, false
		case k == tokenSign && l.value[0] == ',' && open, k == tokenSign && l.value[0] == '.' && !open:
		case k == tokenSign, k == tokenKey && !open:
			return nil, false
		case open:
			names = append(names, strings.ToLower(string(l.value)))
		default:
			table = true
		}
	}
}
