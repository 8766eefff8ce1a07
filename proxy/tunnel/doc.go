// Package tunnel reaches resources of private networks by agents that dial out: programs that run
// there and open connections to the gateway, which opens none to them.
//
// An [Agent] keeps one control line to each gateway: TLS 1.3, with certificates on both sides. For
// each connection to a resource the [Server] of a gateway sends a dial over the control line. The
// agent connects to the resource, and hands its bytes over by a TLS connection of their own, which it
// takes from a pool of connections that are open already. No two sessions share a connection, so that
// one that is slow or lost is only its own.
//
// The agent passes bytes. Logins, TLS and host keys of resources are the gateway's: an agent sees no
// credential, and cannot pass for a resource whose certificate or host key is verified. Which addresses
// it connects to is its own decision, by an [Allow] list that is compared with addresses after names
// were resolved.
//
// A claim is how a connection becomes that of a dial. It is made with a key that is used once, and is
// bound to the TLS connection and to both certificates: a claim that was stolen opens nothing.
//
// The wire format is in docs/tunnel.md.
package tunnel
