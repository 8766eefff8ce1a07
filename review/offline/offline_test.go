package offline

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testserver"
)

// holder has a key of ssh-keygen's.
type holder struct{ file, public string }

func newHolder(t *testing.T, args ...string) holder {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		testserver.Missing(t, "ssh-keygen")
	}
	h := holder{file: filepath.Join(t.TempDir(), "key")}
	if args == nil {
		args = []string{"-t", "ed25519"}
	}
	out, err := exec.Command("ssh-keygen", append(args, "-q", "-N", "", "-C", "somebody", "-f", h.file)...).CombinedOutput()
	require.NoError(t, err, string(out))
	b, err := os.ReadFile(h.file + ".pub")
	require.NoError(t, err)
	h.public = string(b)
	return h
}

func (h holder) sign(t *testing.T, text []byte, args ...string) []byte {
	t.Helper()
	if args == nil {
		args = []string{"-n", Namespace}
	}
	cmd := exec.Command("ssh-keygen", append(append([]string{"-Y", "sign", "-q"}, args...), "-f", h.file)...)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	require.NoError(t, err)
	return out
}

func (h holder) key(t *testing.T) ssh.PublicKey {
	t.Helper()
	k, err := ParseKey(h.public)
	require.NoError(t, err)
	return k
}

func grantTo(h holder) *Grant {
	return &Grant{
		ID: "abc", Subject: "alice", Groups: []string{"dev"}, Key: strings.TrimSpace(h.public), Resource: "vm1", Rule: "prod", Actions: []string{"connect"}, Seconds: 3600,
		Made: time.Now().UTC().Truncate(time.Second), By: "ada", NotAfter: time.Now().Add(DefaultLife).UTC().Truncate(time.Second),
	}
}

// TestSigned: the person and enough keepers have signed, with keys of any kind that counts, or the grant is not used.
func TestSigned(t *testing.T) {
	alice, olga, otto, sven, eve := newHolder(t), newHolder(t), newHolder(t, "-t", "ecdsa"), newHolder(t, "-t", "rsa", "-b", "2048"), newHolder(t)
	g := grantTo(alice)
	keepers := []Keeper{{"olga", olga.key(t)}, {"otto", otto.key(t)}, {"sven", sven.key(t)}}
	s, err := Begin(g, []byte("sealed"), "gw", 1, "all is down", 0, time.Now())
	require.NoError(t, err)
	text, err := s.Encode()
	require.NoError(t, err)
	sign := func(list ...holder) (out [][]byte) {
		for _, h := range list {
			out = append(out, h.sign(t, text))
		}
		return out
	}
	by, err := Signed(text, sign(otto, alice, olga), g, keepers, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"olga", "otto"}, by)
	by, err = Signed(text, sign(sven, otto, alice, olga), g, keepers, 3)
	require.NoError(t, err)
	require.Len(t, by, 3)
	for name, c := range map[string]struct {
		signatures [][]byte
		says       string
	}{
		"too few":           {sign(alice, olga), "1 of the keepers have signed it, and 2 have to"},
		"one, twice":        {sign(alice, olga, olga), "1 of the keepers"},
		"without herself":   {sign(olga, otto), "alice has not signed it"},
		"by somebody":       {sign(alice, olga, otto, eve), "and belongs to none of the keepers"},
		"nobody":            {nil, "alice has not signed it"},
		"of another text":   {[][]byte{alice.sign(t, text[1:])}, "is not one of this text"},
		"for another use":   {[][]byte{alice.sign(t, text, "-n", "git")}, `was made for "git": sign with -n sallyport-break-glass`},
		"not a signature":   {[][]byte{text}, "is not one of ssh-keygen -Y sign"},
		"a key":             {[][]byte{[]byte(alice.public)}, "is not one of ssh-keygen -Y sign"},
		"too long":          {[][]byte{bytes.Repeat([]byte("x"), maxSignature+1)}, "is too long"},
		"many":              {make([][]byte, MaxKeepers+2), "want at most"},
		"cut":               {[][]byte{alice.sign(t, text)[:150]}, "is not one of ssh-keygen"},
		"without its block": {[][]byte{[]byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n")}, "cannot be read"},
	} {
		_, err := Signed(text, c.signatures, g, keepers, 2)
		require.ErrorContains(t, err, c.says, name)
	}
	// She does not keep her own grant, by any key, and two keepers with one key are one.
	own := append(keepers, Keeper{"alice", eve.key(t)})
	_, err = Signed(text, sign(alice, olga, eve), g, own, 2)
	require.ErrorContains(t, err, "1 of the keepers")
	_, err = Signed(text, sign(alice), g, append(own, Keeper{"nora", alice.key(t)}), 1)
	require.ErrorContains(t, err, "0 of the keepers")
	_, err = Signed(text, sign(alice, olga), g, keepers, 0)
	require.NoError(t, err, "somebody has to, in any case")
	_, err = Signed(text, sign(alice), g, keepers, 0)
	require.Error(t, err)
}

// TestStrong: a signature of a security key counts when somebody has touched the key.
func TestStrong(t *testing.T) {
	sk := &fake{ssh.KeyAlgoSKED25519}
	require.NoError(t, strong(sk, &ssh.Signature{Rest: []byte{1, 0, 0, 0, 7}}))
	require.Error(t, strong(sk, &ssh.Signature{Rest: []byte{4, 0, 0, 0, 7}}))
	require.Error(t, strong(sk, &ssh.Signature{}))
	require.Error(t, strong(&fake{ssh.KeyAlgoRSA}, &ssh.Signature{Format: ssh.KeyAlgoRSA}))
	require.NoError(t, strong(&fake{ssh.KeyAlgoRSA}, &ssh.Signature{Format: ssh.KeyAlgoRSASHA256}))
}

// fake is a key of a type.
type fake struct{ typ string }

func (f *fake) Type() string                      { return f.typ }
func (*fake) Marshal() []byte                     { return nil }
func (*fake) Verify([]byte, *ssh.Signature) error { return nil }

func TestKeys(t *testing.T) {
	ok := newHolder(t).public
	_, err := ParseKey(ok)
	require.NoError(t, err)
	for _, bad := range []string{"", "ssh-ed25519", "command=\"x\" " + ok, ok + ok, "ssh-dss AAAAB3NzaC1kc3MAAAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"} {
		_, err := ParseKey(bad)
		require.Error(t, err, bad)
	}
}

// TestStatement: a statement counts at its gateway, for its grant, as its use, in its time, as it was made.
func TestStatement(t *testing.T) {
	g, sealed, now := grantTo(newHolder(t)), []byte("sealed"), time.Now()
	made, err := Begin(g, sealed, "gw", 7, "  all is \"down\" <b> ", 30*time.Minute, now)
	require.NoError(t, err)
	text, err := made.Encode()
	require.NoError(t, err)
	got, err := DecodeStatement(text, g, sealed, "gw", 7, now.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, made, got)
	require.Equal(t, 30*time.Minute, got.For())
	other := *g
	other.Subject = "eve"
	for name, c := range map[string]struct {
		change  func(text string) string
		grant   *Grant
		sealed  string
		gateway string
		number  uint64
		at      time.Duration
		says    string
	}{
		"of another gateway":    {gateway: "other", says: "is for another gateway"},
		"that was used":         {number: 8, says: "is that of use 7, and the next one is 8"},
		"of a counter set back": {number: 6, says: "is that of use 7, and the next one is 6"},
		"of another grant":      {sealed: "another", says: "is of another grant"},
		"of somebody else":      {grant: &other, says: "was changed"},
		"that has expired":      {at: StatementLife, says: "has expired"},
		"of the future":         {at: -time.Hour, says: "a clock was set back"},
		"with another reason":   {change: func(s string) string { return strings.Replace(s, "all is", "nothing is", 1) }},
		"for longer":            {change: func(s string) string { return strings.Replace(s, "1800", "3600", 1) }},
		"for much longer":       {change: func(s string) string { return strings.Replace(s, "1800", "360000", 1) }, says: "want a minute to 1h"},
		"that lasts": {change: func(s string) string {
			return strings.Replace(s, made.Expires.Format(time.RFC3339), made.Expires.Add(time.Hour).Format(time.RFC3339), 1)
		}, says: "was changed"},
		"for elsewhere":        {change: func(s string) string { return strings.Replace(s, `"vm1"`, `"vm2"`, 1) }, says: "was changed"},
		"for more":             {change: func(s string) string { return strings.Replace(s, `"connect"`, `"all"`, 1) }, says: "was changed"},
		"with more":            {change: func(s string) string { return strings.Replace(s, "{", `{"more": 1,`, 1) }, says: "cannot be read"},
		"said twice":           {change: func(s string) string { return strings.Replace(s, "{", `{"REASON": "x",`, 1) }, says: "was changed"},
		"with something after": {change: func(s string) string { return s + s }, says: "something follows it"},
		"with a space":         {change: func(s string) string { return s + " " }, says: "was changed"},
		"that is nothing":      {change: func(string) string { return "" }, says: "cannot be read"},
		"that is long":         {change: func(string) string { return strings.Repeat(" ", MaxText+1) }, says: "want at most"},
	} {
		text, g, sealed, gateway, number := string(text), g, string(sealed), "gw", uint64(7)
		if c.change != nil {
			text = c.change(text)
		}
		if c.grant != nil {
			g = c.grant
		}
		if c.sealed != "" {
			sealed = c.sealed
		}
		if c.gateway != "" {
			gateway = c.gateway
		}
		if c.number != 0 {
			number = c.number
		}
		s, err := DecodeStatement([]byte(text), g, []byte(sealed), gateway, number, now.Add(c.at))
		if name == "with another reason" || name == "for longer" {
			require.NoError(t, err, "no signature of the one before is one of it")
			require.NotEqual(t, made, s)
			continue
		}
		require.ErrorContains(t, err, c.says, name)
	}
	for _, bad := range []struct {
		reason string
		length time.Duration
	}{{"", 0}, {" ", 0}, {"a\nb", 0}, {"a\u202eb", 0}, {"a\u200bb", 0}, {"a\x1b[2J", 0}, {"a\xff", 0}, {strings.Repeat("x", MaxReason+1), 0}, {"x", time.Second}, {"x", 2 * time.Hour}, {"x", -time.Hour}} {
		_, err := Begin(g, sealed, "gw", 1, bad.reason, bad.length, now)
		require.Error(t, err)
	}
}

func TestGrant(t *testing.T) {
	g := grantTo(newHolder(t))
	text, err := g.Encode()
	require.NoError(t, err)
	got, err := DecodeGrant(text)
	require.NoError(t, err)
	require.Equal(t, g, got)
	for name, change := range map[string]func(g *Grant){
		"nobody":    func(g *Grant) { g.Subject = "" },
		"nowhere":   func(g *Grant) { g.Resource = "" },
		"no rule":   func(g *Grant) { g.Rule = "" },
		"nothing":   func(g *Grant) { g.Actions = nil },
		"no key":    func(g *Grant) { g.Key = "" },
		"no time":   func(g *Grant) { g.Seconds = 0 },
		"days":      func(g *Grant) { g.Seconds = 90000 },
		"ever":      func(g *Grant) { g.NotAfter = g.Made.Add(MaxLife + time.Second) },
		"never":     func(g *Grant) { g.NotAfter = g.Made },
		"much text": func(g *Grant) { g.Name = strings.Repeat("x", MaxText) },
	} {
		bad := *g
		change(&bad)
		_, err := bad.Encode()
		require.Error(t, err, name)
	}
	_, err = DecodeGrant(strings.Replace(text, `"version": 1`, `"version": 2`, 1))
	require.ErrorContains(t, err, "of version 2")
	_, err = DecodeGrant(text + "x")
	require.Error(t, err)
}
