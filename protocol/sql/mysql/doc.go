// Package mysql says what the SQL of MySQL and MariaDB does: which effects a
// statement has, which relations it touches and how, which functions it calls.
//
// It reads text alone. Triggers, views, stored functions and generated columns
// are not seen; calls of functions that are not the server's own count as calls.
// Names are told in lower case, whatever the server makes of their case.
// Double-quoted tokens, backslashes before quotes and executable comments can be
// read in two ways, depending on settings that the gateway may not know: such
// text is read in both, and what either does is what it does. What the parser does
// not know, as some of MariaDB's own syntax, is unknown.
package mysql
