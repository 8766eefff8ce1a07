package detect

// Recognizer declares one kind of value. The zero value recognizes nothing.
// A declaration is compiled by [New] and not used afterwards.
type Recognizer struct {
	Type Type
	// Shapes are numbers by the lengths of their groups of digits, such as
	// "3-2-4". Between two groups comes the separator itself: a space, a dash, a
	// dot, a slash; ')' closes a parenthesis that opened before the first group;
	// '~' is a space, a dash or a dot, the same between all groups.
	Shapes []string
	// Weak are shapes that count only with Context: near the value, or as the name
	// of its column or field.
	Weak []string
	// Digits says whether the digits of a shape, as values 0–9, are valid. Nil is
	// always. It keeps no reference to its argument.
	Digits func(d []byte) bool
	// Words are values of letters and digits: 'A' is an upper-case letter, '9' a
	// digit, 'X' either; other bytes are literal. A lower-case letter in
	// the text counts as its upper case.
	Words []string
	// WeakWords count only with Context.
	WeakWords []string
	// Word says whether a text that has the form of one of the words is valid; d
	// are its digits as values. Nil is always. It keeps no reference to either.
	Word func(w, d []byte) bool
	// Prefixes are texts with which a value begins, in exact case.
	Prefixes []Prefix
	// Context are the topics that speak for it.
	Context Topics
	// Score is the certainty without context, 1–100.
	Score uint8
}

// Prefix is a literal that begins a value, or is in it, and what must follow.
type Prefix struct {
	Literal string
	Before  string // the class of the bytes that come before it and belong to the value
	Least   int    // how many of them there must be at least
	Body    string // the class of the bytes that follow, as in "A-Za-z0-9_-"
	Min     int    // how many of them there must be at least
	Max     int    // how many belong to the value at most; 0 is Min exactly, else the value does not end
	Check   func(v []byte) bool
}
