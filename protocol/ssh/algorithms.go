package ssh

import (
	"errors"

	gossh "golang.org/x/crypto/ssh"
)

// DefaultCiphers returns the ciphers that are offered when a Handler names none,
// in order of preference.
func DefaultCiphers() []string {
	return []string{
		gossh.CipherAES128GCM, gossh.CipherAES256GCM, gossh.CipherChaCha20Poly1305,
		gossh.CipherAES128CTR, gossh.CipherAES192CTR, gossh.CipherAES256CTR,
	}
}

// keyExchanges and macs leave out what rests on SHA-1.
func keyExchanges() []string {
	return []string{
		gossh.KeyExchangeMLKEM768X25519, gossh.KeyExchangeCurve25519,
		gossh.KeyExchangeECDHP256, gossh.KeyExchangeECDHP384, gossh.KeyExchangeECDHP521,
		gossh.KeyExchangeDH16SHA512, gossh.KeyExchangeDH14SHA256,
	}
}

func macs() []string {
	return []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM, gossh.HMACSHA256, gossh.HMACSHA512}
}

// config returns what both legs have in common.
func (h *Handler) config(legacy bool) gossh.Config {
	c := gossh.Config{KeyExchanges: keyExchanges(), Ciphers: h.Ciphers, MACs: macs(), RekeyThreshold: h.RekeyBytes}
	if c.Ciphers == nil {
		c.Ciphers = DefaultCiphers()
	}
	if legacy {
		weak := gossh.InsecureAlgorithms()
		c.KeyExchanges = append(c.KeyExchanges, gossh.InsecureKeyExchangeDH14SHA1, gossh.InsecureKeyExchangeDH1SHA1)
		c.MACs = append(c.MACs, gossh.HMACSHA1)
		c.MACs = append(c.MACs, weak.MACs...)
		c.Ciphers = append(append([]string(nil), c.Ciphers...), gossh.InsecureCipherAES128CBC, gossh.InsecureCipherTripleDESCBC)
	}
	return c
}

// withoutSHA1 keeps a host key of RSA from being proven by a signature with SHA-1.
func withoutSHA1(key gossh.Signer) (gossh.Signer, error) {
	if key.PublicKey().Type() != gossh.KeyAlgoRSA {
		return key, nil
	}
	able, ok := key.(gossh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("a host key of type RSA cannot sign with SHA-2: use another signer or another type of key")
	}
	return gossh.NewSignerWithAlgorithms(able, []string{gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512})
}

// hostKeyAlgorithms returns the algorithms by which a resource may prove one of
// keys, so that it does not choose a key that is not known here. authorities adds
// the certificates' algorithms, and any adds all.
func hostKeyAlgorithms(keys []gossh.PublicKey, authorities, any, legacy bool) []string {
	var algos []string
	add := func(names ...string) {
		for _, n := range names {
			dup := false
			for _, a := range algos {
				dup = dup || a == n
			}
			if !dup {
				algos = append(algos, n)
			}
		}
	}
	if authorities {
		add(gossh.CertAlgoED25519v01, gossh.CertAlgoECDSA256v01, gossh.CertAlgoECDSA384v01, gossh.CertAlgoECDSA521v01,
			gossh.CertAlgoRSASHA256v01, gossh.CertAlgoRSASHA512v01)
	}
	for _, k := range keys {
		if k.Type() == gossh.KeyAlgoRSA {
			add(gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512)
			if legacy {
				add(gossh.KeyAlgoRSA)
			}
			continue
		}
		add(k.Type())
	}
	if any {
		add(gossh.KeyAlgoED25519, gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521,
			gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512)
		if legacy {
			add(gossh.KeyAlgoRSA)
		}
	}
	return algos
}
