package ssh

import (
	"strconv"
	"strings"
)

// keys reads what is typed as keys, so that the ones are found at which a shell may run
// its line. Line editors bind many: Enter is CR or LF or both; operate-and-get-next,
// edit-and-execute-command, accept-and-hold, the replay of a macro. So the keys are listed
// that are known to do no more than edit or move, and every other one may run the line.
type keys struct {
	state   keyState
	args    []byte // of a control sequence
	pasting bool
	alone   bool // ESC was pressed by itself on this line, which is how vi's commands begin
}

type keyState uint8

const (
	keyText keyState = iota
	keyEscape
	keyControl // CSI
	keyShift   // SS3
	keyPrefix  // Ctrl-X
)

// key is what a byte completes.
type key uint8

const (
	keyBegun   key = iota // nothing yet
	keyMarks              // where a paste begins or ends
	keyPlain              // a character
	keyErases             // the character before the cursor
	keyEdits              // the line, or moves in it, or nothing
	keyNewline            // of a text that is pasted
	keyEnters             // Enter
	keyRuns               // the line, perhaps
	keyEnds               // the input, and with it a line that is not empty
)

const (
	editsAfterEscape = "bBcCdDfFlLpPrRtTuUyYnN._-<>?*=/\\ ~!@$&^0123456789g\t\x7f\b\x07\x12\x19\x1d\x18"
	editsAfterPrefix = "\x07\x15\x18\x7f()!@$/~*gGrsu"
	maxKeyArgs       = 64
)

// next returns what c completes. bracketed says that the program has asked for pastes to
// be marked as such.
func (k *keys) next(c byte, bracketed bool) key {
	switch k.state {
	case keyEscape:
		return k.escape(c)
	case keyControl:
		return k.control(c, bracketed)
	case keyShift:
		k.state = keyText
		if c == 'M' || c < ' ' { // Enter of a keypad
			return keyRuns
		}
		return keyEdits
	case keyPrefix:
		k.state = keyText
		if strings.IndexByte(editsAfterPrefix, c) < 0 {
			return keyRuns
		}
		return keyEdits
	}
	return k.text(c, k.pasting && bracketed)
}

func (k *keys) text(c byte, pasting bool) key {
	enter := c == '\r' || c == '\n'
	switch {
	case c == 0x1b:
		k.state = keyEscape
		return keyBegun
	case pasting && enter:
		return keyNewline
	case pasting:
		return keyPlain
	case enter:
		return keyEnters
	case c == 0x0f: // Ctrl-O
		return keyRuns
	case c == 0x04: // Ctrl-D
		return keyEnds
	case c == 0x18: // Ctrl-X
		k.state = keyPrefix
		return keyBegun
	case c == 0x7f || c == '\b':
		return keyErases
	case c < ' ' && c != '\t':
		return keyEdits
	case k.alone && (c == 'v' || c == '#' || c == '@'):
		return keyRuns
	}
	return keyPlain
}

func (k *keys) escape(c byte) key {
	k.state = keyText
	switch {
	case c == '[':
		k.state, k.args = keyControl, k.args[:0]
		return keyBegun
	case c == 'O':
		k.state = keyShift
		return keyBegun
	case c == 0x1b:
		k.state = keyEscape
		return keyEdits
	case strings.IndexByte(editsAfterEscape, c) >= 0:
		return keyEdits
	}
	return keyRuns
}

// control reads a control sequence: a key that has no character of its own, a report of
// the terminal's, the mark of a paste, or a key in the form of terminals that report all.
func (k *keys) control(c byte, bracketed bool) key {
	switch {
	case c < ' ': // not one
		k.state = keyText
		return keyRuns
	case c < 0x40:
		if len(k.args) < maxKeyArgs {
			k.args = append(k.args, c)
		}
		return keyBegun
	}
	k.state = keyText
	args := strings.Split(string(k.args), ";")
	switch {
	case c == '~' && args[0] == "200":
		k.pasting = bracketed
		return keyMarks
	case c == '~' && args[0] == "201":
		k.pasting = false
		return keyMarks
	case c == '~' && args[0] == "27" && len(args) == 3:
		return reported(args[2], args[1])
	case c == 'u' && len(args) > 1:
		return reported(args[0], args[1])
	case c == 'u':
		return reported(args[0], "1")
	}
	return keyEdits
}

// reported is a key that a terminal tells by its code and its modifiers.
func reported(code, modifiers string) key {
	const control, keypadEnter = 4, 57414
	first := func(s string) int {
		s, _, _ = strings.Cut(s, ":")
		n, err := strconv.Atoi(s)
		if err != nil {
			return -1
		}
		return n
	}
	switch n := first(code); {
	case n == '\r' || n == '\n' || n == keypadEnter:
		return keyRuns
	case (first(modifiers)-1)&control == 0:
	case n == 'j' || n == 'm' || n == 'o':
		return keyRuns
	case n == 'd':
		return keyEnds
	}
	return keyEdits
}

// rest is told that nothing more has come for now: an ESC that has come alone is a key.
func (k *keys) rest() {
	if k.state == keyEscape {
		k.alone = true
	}
}

// newLine is told that a line begins.
func (k *keys) newLine() { k.alone = false }
