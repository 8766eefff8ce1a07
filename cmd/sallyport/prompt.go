package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/proxy"
)

// maxTyped bounds a secret that is typed or read from a file, in bytes.
const maxTyped = 4096

// prompter asks for secrets: a person at a terminal, without showing what she types, and a
// program by lines of the input, in the order in which they are asked for.
type prompter struct {
	c     *cli
	lines *bufio.Reader
}

func (c *cli) prompter() *prompter { return &prompter{c, bufio.NewReader(c.in)} }

// terminal is what a person types at; nil: a program is asked.
func (p *prompter) terminal() *os.File {
	if f, ok := p.c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// secret asks for a secret. It is in file when that is not empty; "-" is a line of the input.
// At the end of the input it is empty.
func (p *prompter) secret(file, prompt string) (string, error) {
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return line(bufio.NewReader(f), file)
	}
	f := p.terminal()
	if f == nil || file == "-" {
		return line(p.lines, "the input")
	}
	fmt.Fprint(p.c.err, prompt)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(p.c.err)
	return string(b), err
}

// code asks for a code of a second factor, which people type in groups as an app shows it.
func (p *prompter) code(file, prompt string) (proxy.Secret, error) {
	text, err := p.secret(file, prompt)
	return proxy.NewSecret(strings.ReplaceAll(text, " ", "")), err
}

// line reads a line of bounded length.
func line(r *bufio.Reader, from string) (string, error) {
	var text strings.Builder
	for {
		b, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) || err == nil && b == '\n':
			return strings.TrimSuffix(text.String(), "\r"), nil
		case err != nil:
			return "", err
		case text.Len() == maxTyped:
			return "", fmt.Errorf("reading a secret: %s has a line of more than %d bytes", from, maxTyped)
		}
		text.WriteByte(b)
	}
}
