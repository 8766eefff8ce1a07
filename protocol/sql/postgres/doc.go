// Package postgres says what PostgreSQL's SQL does: which effects a statement
// has, which relations it touches and how, which functions it calls.
//
// It reads text alone. What the text does not tell is not seen: functions of
// operators, casts, triggers, rules and views, and functions written as
// columns of a row. Calls of functions that are not the server's own count as
// calls, which no rule takes for a read.
package postgres
