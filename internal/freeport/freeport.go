// Package freeport finds ports for programs that have to be told at which to listen.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Find returns a port of 127.0.0.1 at which nobody listens. It is below those that systems give to connections and
// listeners that name none, so that these do not take it meanwhile.
func Find() (int, error) {
	for range 100 {
		port := 10000 + rand.IntN(22000)
		if l, err := net.Listen("tcp", Address(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("finding a free port: got none of 100 between 10000 and 32000 at 127.0.0.1")
}

// Address is a port of 127.0.0.1, as HOST:PORT.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
