// Package sftp relays between an SFTP client and an SFTP server and has every
// access to a file judged: [Relay]; [Client] moves whole files. It speaks version 3 of the protocol
// (draft-ietf-secsh-filexfer-02), as OpenSSH does, with those of OpenSSH's
// extensions whose effect is known.
//
// Each packet is read exactly: a length within bounds, every field within the
// packet and nothing after the last one. A request that is not understood is
// refused, never passed on; an answer that does not fit its request ends the
// relay.
package sftp
