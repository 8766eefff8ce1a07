package offline

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Namespace is what signatures are made for: ssh-keygen -Y sign -n sallyport-break-glass. One that was made for something else does not
// count here, and one that was made here counts nowhere else.
const Namespace = "sallyport-break-glass"

// maxSignature bounds a signature, in bytes.
const maxSignature = 8 << 10

// sshsig is a signature by ssh-keygen, without its preamble; see PROTOCOL.sshsig of OpenSSH.
type sshsig struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	Hash      string
	Signature []byte
}

const preamble = "SSHSIG"

// ParseKey reads a public key as ssh-keygen writes it. Keys count whose signatures are not by SHA-1.
func ParseKey(line string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return nil, fmt.Errorf("got %.20q, want a public key such as ssh-ed25519 AAAA…", line)
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSA:
		return key, nil
	}
	return nil, fmt.Errorf("got a key of type %s, want one of Ed25519, ECDSA or RSA", key.Type())
}

// signer is the key that has signed a message, by a signature that ssh-keygen has written.
func signer(message, armored []byte) (ssh.PublicKey, error) {
	bad := func(why string) error { return fmt.Errorf("a signature %s", why) }
	if len(armored) > maxSignature {
		return nil, bad("is too long")
	}
	block, _ := pem.Decode(armored)
	if block == nil || block.Type != "SSH SIGNATURE" || len(block.Bytes) < len(preamble) || string(block.Bytes[:len(preamble)]) != preamble {
		return nil, bad("is not one of ssh-keygen -Y sign")
	}
	var s sshsig
	if err := ssh.Unmarshal(block.Bytes[len(preamble):], &s); err != nil || s.Version != 1 {
		return nil, bad("cannot be read")
	}
	if s.Namespace != Namespace {
		return nil, bad(fmt.Sprintf("was made for %.40q: sign with -n %s", s.Namespace, Namespace))
	}
	key, err := ssh.ParsePublicKey(s.PublicKey)
	if err != nil {
		return nil, bad("has a key that cannot be read")
	}
	var digest []byte
	switch s.Hash {
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	default:
		return nil, bad("hashes in a way that does not count")
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal(s.Signature, &sig); err != nil {
		return nil, bad("cannot be read")
	}
	if err := strong(key, &sig); err != nil {
		return nil, err
	}
	signed := append([]byte(preamble), ssh.Marshal(struct {
		Namespace string
		Reserved  []byte
		Hash      string
		Digest    []byte
	}{s.Namespace, s.Reserved, s.Hash, digest})...)
	if err := key.Verify(signed, &sig); err != nil {
		return nil, bad("is not one of this text")
	}
	return key, nil
}

// userPresent is the flag of a security key that somebody has touched it.
const userPresent = 1

// strong reports why a signature does not count, though it may be one.
func strong(key ssh.PublicKey, sig *ssh.Signature) error {
	switch key.Type() {
	case ssh.KeyAlgoRSA:
		if sig.Format != ssh.KeyAlgoRSASHA256 && sig.Format != ssh.KeyAlgoRSASHA512 {
			return errors.New("a signature by RSA and SHA-1 does not count")
		}
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		if len(sig.Rest) != 5 || sig.Rest[0]&userPresent == 0 {
			return errors.New("a signature of a security key counts when somebody has touched the key")
		}
	}
	return nil
}
