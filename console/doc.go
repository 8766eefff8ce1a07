// Package console is the web console: one [http.Handler] that serves a page, its scripts and its
// styles, and knows nothing of the gateway. The page talks to the API below /v1 as every other client
// does; what it shows and does is decided there.
//
// The files are built from console/src by tools/consoledev, and are part of the module:
//
//	go generate ./console
//
// With the build tag noconsole they are left out, and [Handler] answers that the console is not part of the program.
package console

//go:generate go run -C ../tools/consoledev . -root ../..
