package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
)

// What has changed since a catalog was read is told by its rows' transactions. A reading
// notes the oldest transaction that had not ended: whatever was not there for it was made
// by that one or a later one, and such rows are read again. So what was there before,
// with what is read again in the place of its older self, holds all that is there now.
// It holds nothing else when the server counts as many; where it counts fewer, something
// was dropped, and the server says what is left.

// mark is what a reading leaves to the next.
type mark struct {
	instance string // of the server and the database: transactions are its own
	settings string // of the role
	horizon  uint32 // the oldest transaction that had not ended
	usable   string // the digest of the schemas that the role may use
	read     int    // bytes, by this reading and those before it back to one of everything
}

// changedSince is what the server says has changed.
type changedSince struct {
	relations []uint32
	functions []uint32
	usable    string
	totals    totals
	there     map[uint32]bool // relations and functions that are left
	counts    map[counted]int // of what relations have
}

// totals count what a catalog holds: relations, functions, and what relations have.
type totals struct {
	relations, functions int
	had                  [hads]int
}

// What a relation has, and is not in its own row or its columns'.
const (
	hadTriggers = iota
	hadChildren
	hadReferences
	hadRules
	hads
)

// counted is one of those of one relation.
type counted struct {
	oid uint32
	had int
}

// counts are how many r has of each.
func counts(r *sql.Relation) [hads]int {
	return [hads]int{len(r.Triggers), len(r.Children), len(r.References), len(r.Rules)}
}

// began takes what the reading begins with.
func (r *catalogRows) began(v [][]byte) error {
	horizon, err := strconv.ParseUint(string(v[2]), 10, 64)
	if err != nil {
		return errCatalogValue
	}
	r.mark = &mark{instance: string(v[0]), settings: string(v[1]), horizon: uint32(horizon)} // as rows have it
	return nil
}

func (r *catalogRows) usableIs(v [][]byte) error {
	r.since.usable = string(v[0])
	return nil
}

// lastOf returns the mark of the reading before, nil when everything is to be read.
func (r *catalogRows) lastOf(before *sql.Snapshot) *mark {
	if before == nil || before.Partial {
		return nil
	}
	if m, ok := before.Mark.(*mark); ok && m.read <= r.most/2 {
		return m
	}
	return nil
}

// merge reads again what has changed since before was read, when the mark was last. It is
// false when everything is to be read.
func (r *catalogRows) merge(before *sql.Snapshot, last *mark) (merged bool, err error) {
	if r.contents.Role, r.contents.Schemas = before.Role, before.Schemas; r.since.usable != last.usable {
		r.contents.Role, r.contents.Schemas = "", nil
		if err := r.queries(nil, usableQuery); err != nil {
			return false, err
		}
	}
	if len(r.since.relations) > manyChanged+len(before.Relations)/2 || len(r.since.functions) > manyChanged+len(before.Functions)/2 {
		return false, nil
	}
	if err := r.again(before); err != nil {
		return false, err
	}
	if now := r.totals(); now.relations != r.since.totals.relations || now.functions != r.since.totals.functions {
		if err := r.drop(); err != nil {
			return false, err
		}
	}
	if r.totals().had != r.since.totals.had {
		if err := r.recount(); err != nil {
			return false, err
		}
	}
	r.mark.usable, r.mark.read = r.since.usable, last.read+r.most-r.left
	return r.totals() == r.since.totals, nil
}

// manyChanged is how much is read again at most, in addition to half of what there is:
// of more, everything is.
const manyChanged = 256

// again reads what has changed, and takes the rest from before.
func (r *catalogRows) again(before *sql.Snapshot) error {
	if list := r.since.relations; len(list) > 0 {
		if err := r.queries(list, relationQueries...); err != nil {
			return err
		}
		if r.defined {
			if err := r.definitions(list); err != nil {
				return err
			}
		}
	}
	if list := r.since.functions; len(list) > 0 {
		if err := r.queries(list, r.functionsQuery()); err != nil {
			return err
		}
	}
	r.contents.Relations = replace(before.Relations, r.contents.Relations, r.since.relations, func(r *sql.Relation) uint32 { return r.OID })
	r.contents.Functions = replace(before.Functions, r.contents.Functions, r.since.functions, func(f *sql.Function) uint32 { return f.OID })
	return nil
}

// replace returns old, which is in order, with again in the place of those that were read
// again.
func replace[T any](old, again []T, read []uint32, oid func(T) uint32) []T {
	if len(read) == 0 {
		return old
	}
	gone := make(map[uint32]bool, len(read))
	for _, n := range read {
		gone[n] = true
	}
	out := make([]T, 0, len(old)+len(again))
	for _, x := range old {
		if !gone[oid(x)] {
			out = append(out, x)
		}
	}
	out = append(out, again...)
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(oid(a), oid(b)) })
	return out
}

// totals count what the reading holds so far.
func (r *catalogRows) totals() totals {
	t := totals{relations: len(r.contents.Relations), functions: len(r.contents.Functions)}
	for _, rel := range r.contents.Relations {
		for i, n := range counts(rel) {
			t.had[i] += n
		}
	}
	return t
}

// drop drops what the server has no more.
func (r *catalogRows) drop() error {
	r.since.there = make(map[uint32]bool)
	if err := r.queries(nil, thereQueries...); err != nil {
		return err
	}
	r.contents.Relations = slices.DeleteFunc(slices.Clone(r.contents.Relations), func(rel *sql.Relation) bool { return !r.since.there[rel.OID] })
	r.contents.Functions = slices.DeleteFunc(slices.Clone(r.contents.Functions), func(f *sql.Function) bool { return !r.since.there[f.OID] })
	return nil
}

// recount reads relations again of which the server counts something else than the
// reading.
func (r *catalogRows) recount() error {
	r.since.counts = make(map[counted]int)
	if err := r.queries(nil, countsQuery); err != nil {
		return err
	}
	held := r.contents
	r.since.relations, r.since.functions = nil, nil
	for _, rel := range held.Relations {
		for i, n := range counts(rel) {
			if r.since.counts[counted{rel.OID, i}] != n {
				r.since.relations = append(r.since.relations, rel.OID)
				break
			}
		}
	}
	r.contents.Relations, r.contents.Functions = nil, nil
	clear(r.relations)
	return r.again(&sql.Snapshot{Contents: held})
}

// changed takes one object that has changed.
func (r *catalogRows) changed(v [][]byte) error {
	oid, err := number(v[1])
	switch letter(v[0]) {
	case 'r':
		r.since.relations = append(r.since.relations, oid)
	case 'f':
		r.since.functions = append(r.since.functions, oid)
	default:
		return errCatalogValue
	}
	return err
}

// total takes the totals.
func (r *catalogRows) total(v [][]byte) error {
	t := &r.since.totals
	for i, n := range []*int{&t.relations, &t.functions, &t.had[hadTriggers], &t.had[hadChildren], &t.had[hadReferences], &t.had[hadRules]} {
		count, err := number(v[i])
		if err != nil {
			return err
		}
		*n = int(count)
	}
	return nil
}

// isThere takes one relation or function that is there.
func (r *catalogRows) isThere(v [][]byte) error {
	oid, err := number(v[0])
	r.since.there[oid] = true
	return err
}

// count takes how many a relation has of something.
func (r *catalogRows) count(v [][]byte) error {
	oid, err := number(v[0])
	if err != nil {
		return err
	}
	had, err := number(v[1])
	if err != nil {
		return err
	}
	n, err := number(v[2])
	r.since.counts[counted{oid, int(had)}] = int(n)
	return err
}

// changedQuery asks for what was made or changed by a transaction from horizon on: rows of
// the catalog, those in a schema that was renamed, and what the server prints by names of
// these.
func changedQuery(horizon uint32) catalogQuery {
	since := fmt.Sprintf("age(xmin) <= (SELECT age('%d'::xid))", horizon)
	return catalogQuery{text: strings.ReplaceAll(changedText, "{since}", since), columns: 2, row: (*catalogRows).changed}
}

const changedText = `WITH spaces AS (SELECT oid FROM pg_namespace WHERE {since}),
relations AS (
 SELECT oid FROM pg_class WHERE {since} OR relnamespace IN (SELECT oid FROM spaces)
 UNION SELECT attrelid FROM pg_attribute WHERE attnum > 0 AND {since}
 UNION SELECT tgrelid FROM pg_trigger WHERE {since}
 UNION SELECT inhparent FROM pg_inherits WHERE {since}
 UNION SELECT confrelid FROM pg_constraint WHERE contype = 'f' AND {since}
 UNION SELECT ev_class FROM pg_rewrite WHERE {since}
 UNION SELECT adrelid FROM pg_attrdef WHERE {since}),
functions AS (
 SELECT oid FROM pg_proc WHERE {since} OR pronamespace IN (SELECT oid FROM spaces) OR prolang IN (SELECT oid FROM pg_language WHERE {since})
 UNION SELECT aggfnoid FROM pg_aggregate WHERE {since}),
named AS (
 SELECT 'pg_class'::regclass AS class, oid FROM relations UNION ALL SELECT 'pg_proc'::regclass, oid FROM functions
 UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE {since} OR typnamespace IN (SELECT oid FROM spaces)
 UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE {since} OR oprnamespace IN (SELECT oid FROM spaces)
 UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE {since} OR collnamespace IN (SELECT oid FROM spaces)
 UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE {since} OR cfgnamespace IN (SELECT oid FROM spaces)
 UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE {since} OR dictnamespace IN (SELECT oid FROM spaces)),
printed AS (SELECT d.* FROM named, LATERAL (SELECT classid, objid, refclassid FROM pg_depend
 WHERE refclassid = named.class AND refobjid = named.oid OFFSET 0) d),
changed AS (
 SELECT oid FROM relations
 UNION SELECT w.ev_class FROM printed JOIN pg_rewrite w ON w.oid = objid WHERE classid = 'pg_rewrite'::regclass
 UNION SELECT d.adrelid FROM printed JOIN pg_attrdef d ON d.oid = objid WHERE classid = 'pg_attrdef'::regclass
 UNION SELECT objid FROM printed WHERE classid = 'pg_class'::regclass AND refclassid <> 'pg_class'::regclass)
SELECT 'r', c.oid FROM changed JOIN pg_class c ON c.oid = changed.oid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ` + relationsKept + `
UNION ALL (SELECT 'f', oid FROM functions UNION SELECT 'f', objid FROM printed WHERE classid = 'pg_proc'::regclass)`

const (
	keptRelations = `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ` + relationsKept
	keptFunctions = `SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ` + functionsKept
)

var (
	totalsQuery = catalogQuery{
		text: `WITH kept AS MATERIALIZED (` + keptRelations + `)
SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM (` + keptFunctions + `) f),
(SELECT count(*) FROM ` + triggersKept + ` AND tgrelid IN (SELECT oid FROM kept)), (SELECT count(*) FROM ` + childrenKept + ` AND inhparent IN (SELECT oid FROM kept)),
(SELECT count(*) FROM ` + referencesKept + ` AND confrelid IN (SELECT oid FROM kept)), (SELECT count(*) FROM ` + rulesKept + ` AND ev_class IN (SELECT oid FROM kept))`,
		columns: 6, row: (*catalogRows).total,
	}
	thereQueries = []catalogQuery{
		{text: keptRelations, columns: 1, row: (*catalogRows).isThere},
		{text: keptFunctions, columns: 1, row: (*catalogRows).isThere},
	}
	countsQuery = catalogQuery{
		text: `SELECT tgrelid, 0, count(*) FROM ` + triggersKept + ` GROUP BY 1 UNION ALL SELECT inhparent, 1, count(*) FROM ` + childrenKept + ` GROUP BY 1
UNION ALL SELECT confrelid, 2, count(*) FROM ` + referencesKept + ` GROUP BY 1 UNION ALL SELECT ev_class, 3, count(*) FROM ` + rulesKept + ` GROUP BY 1`,
		columns: 3, row: (*catalogRows).count,
	}
)
