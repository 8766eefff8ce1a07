// Package runbook runs reviewed procedures with typed parameters.
//
// A runbook is a YAML file: which resources it is for, which parameters it takes, who
// approves a run, and its steps. [Parse] reads one and reports every problem with its line
// and a remedy. [Runbook.Bind] checks the values of a run on the server; [Runbook.Schema]
// describes them for forms, which protect nothing.
//
// No value ever becomes a part of a text. An SQL step has one statement, whose values are
// bound by the protocol; the name of an identifier parameter is the only thing that is
// written into it, quoted, and only one that the file lists. A command is a list of words,
// and each value is a whole word, the value of a variable, or the command's input. A request
// names no host: a value is a whole segment of its path, a value of its query, of a header or of
// its body, encoded for that place.
//
// A [Plan] is a runbook with its values and targets: what would run, and where. A [Runner]
// runs plans by a [Gate], which is how an assembly lets the steps run as the requester
// herself, within the rules that her own clients meet. It keeps the state of each run in a
// [store.Store]: a step is written down before it begins, so that it begins once, and a run
// whose gateway ended in between is marked unknown and never goes on by itself.
package runbook
