// Package opa decides about operations by policies in Rego, which are evaluated in the
// process.
//
// A [Policy] is one immutable revision: modules and data, compiled with a list of harmless
// built-in functions. It is an interceptor of its own. It only denies what others allow,
// unless [Config.Decides] is set. What it is asked is an [Input], whose form has a version and
// a schema ([Schema]); what it answers is a [Result]. An error, a timeout, a panic, no answer
// and an answer of another form deny, and the verdict says so. Obligations of the answer about
// connecting are carried out as those of access rules are.
//
// What is decided about a statement is remembered for those who are alike in all that the
// policy reads: see [Policy.Reads].
package opa
