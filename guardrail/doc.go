// Package guardrail refuses, holds, rewrites or warns about operations by what they would do: by a
// statement's effects, relations and functions, by the programs that a command
// runs, by paths. Access rules judge who asks.
//
// Rules have no order: any that denies, denies. A rule that can never apply, or
// says nothing, is an error when it is loaded. Text that is not understood is
// refused by every denying rule whose conditions depend on understanding it.
package guardrail
