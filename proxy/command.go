package proxy

// Harm is what a command line would do to the machine that runs it.
type Harm uint8

// Harms.
const (
	HarmWipe Harm = iota + 1 // destroys a file system, a disk or a whole home folder
	HarmHalt                 // stops the machine
)

// CommandFacts say what a command line does, as far as its text tells.
type CommandFacts struct {
	// Programs are those that run, each with its arguments, also those in sudo,
	// sh -c, pipes and substitutions. What the text sets, such as a variable, is
	// followed.
	Programs [][]string
	// Written are the programs with what their words say by themselves: everything
	// that a shell computes counts as not known.
	Written [][]string
	Harms   []CommandHarm
	// Unknown says what cannot be told: a program whose name is computed, or
	// commands that are not in the text. Rules that deny or hold count it against the
	// command.
	Unknown []string
	// Fetched says which shells would run what comes over the network in the same line, as in
	// "curl … | sh". It is in Unknown, too, and certain also of a line that is one of several.
	Fetched []string
	// Unfollowed says which programs have code of their own language, or take
	// what they run from elsewhere, as a file of commands does. It counts only where a
	// list says what may run.
	Unfollowed []string
}

// CommandHarm is one harm that a command line would do.
type CommandHarm struct {
	Kind Harm
	Text string // what does it, and to what
	// Possible says that it depends on a value that is not in the text.
	Possible bool
}
