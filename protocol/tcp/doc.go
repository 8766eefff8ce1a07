// Package tcp serves resources whose protocol the gateway does not speak, such as Redis, MongoDB or
// remote desktops: it passes bytes on, both ways, and looks at none of them.
//
// A session is one connection. Who opens it is proven, and whether it may be opened is decided, held and
// recorded, as with any resource: an operation of proxy.KindConnect, and one of proxy.KindForward whose
// Opaque says that nobody sees what flows. What flows is not masked, no guardrail judges it, and the record
// has how many bytes went each way and none of them. So access is by an explicit right, "forward", which no right to read
// or write includes. The end of a session, by its deadline, a revocation or an administrator, closes both connections at once.
//
// A [Handler] takes clients over TLS only. There are two ways in:
//
//   - A program with TLS of its own shows a client certificate, and names the resource by the TLS server name or by the
//     listener that it comes to. It is told nothing but by a closed connection.
//   - A program that uses [Client] speaks first with the gateway, by the protocol [ALPN]: it says which resource it asks
//     for, may prove itself by a password or an access token, and is told what the gateway answers, such as a refusal or that it
//     waits for an approval. The bytes of the resource follow.
//
// The gateway gives such a resource no credential: it would have to speak its protocol. It may show a certificate of
// its own where the resource has TLS.
package tcp
