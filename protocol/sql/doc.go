// Package sql holds what the analysers of SQL dialects share: normalising a
// statement by an exact lexer that bounds its size before a parser sees it, and
// a cache of what statements do.
//
// The analysers themselves are in folders of their own, so that an importer of
// one builds one parser.
package sql
