package config

import (
	"cmp"
	"slices"
)

// What is taken out of a file, such as a user, is often still named by its rules. A gateway that did not
// use the file for that would keep in who was taken out. A rule that names what is not there chooses nothing, and
// a held operation of which nobody can decide is refused at its deadline, so that such a file is safe to use. In a
// file that is read for the first time such names are mistakes.

// refersTo checks something that a rule refers to, which what identifies. When it is not there that is a
// problem, unless the file from which this one is made anew referred to it.
func (f *File) refersTo(d *decoder, line int, what string, there bool, hint, format string, args ...any) {
	own := f.objects.of(line) == nil
	if !there && !(own && f.before.refers(what)) && !f.later(line) {
		d.problem(line, hint, format, args...)
		return
	}
	if own {
		f.references[what] = true
	}
	if !there {
		n := f.notes()
		advice := "take it out of the rule before the next start, which refuses the file"
		if f.later(line) {
			advice = "it may be made later; until then the rule is not about it"
		}
		n.note(line, advice, format, args...)
		f.gone = append(f.gone, n.problems...)
	}
}

// later reports whether what a rule at a line refers to may be made later. It may where objects of the store
// can be changed, except that a change itself refers to what is there.
func (f *File) later(line int) bool {
	if o := f.objects.of(line); o != nil {
		return !f.objects.strict[o.Key]
	}
	return f.takesObjects()
}

// refers reports whether a rule of the file itself referred to something; nil is a file without rules.
func (f *File) refers(what string) bool {
	return f != nil && f.references[what]
}

// Gone is what rules refer to and is not there any more since the file was read for the first
// time. Such rules choose nothing, and nobody decides where they want somebody to.
func (f *File) Gone() (list Problems) {
	list = slices.Clone(f.gone)
	slices.SortFunc(list, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line) })
	return list
}
