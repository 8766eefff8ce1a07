package replay

import "github.com/sallyport/sallyport/audit/internal/screen"

// Screen passes on of a terminal's output what draws on the screen, and leaves
// out what else it could do to the terminal that shows it (ECMA-48, and xterm's
// control sequences): answers to queries, the clipboard, titles, modes of
// mouse and keyboard, printing. The zero Screen is at the beginning of a stream.
type Screen = screen.Screen

// Plain leaves of a terminal's output the text. The zero Plain is at the
// beginning of a stream.
type Plain = screen.Plain

// Restore brings a terminal back to what it was, however a recording left it.
const Restore = "\x1b[?2026l\x1b[?1049l\x1b[?25h\x1b[?5l\x1b[?6l\x1b[?7h\x1b[?1l\x1b>\x1b[r\x1b[4l\x1b[0m\x0f\x1b(B"
