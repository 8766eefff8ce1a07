package compliance

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/race"
)

// rezip writes files as a pack is written.
func rezip(t *testing.T, files map[string]string) []byte {
	t.Helper()
	s := &spool{dir: t.TempDir(), left: 1 << 30}
	defer s.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		require.NoError(t, s.put(name, []byte(files[name])))
	}
	var out bytes.Buffer
	require.NoError(t, (&Pack{spool: s}).Write(&out))
	return out.Bytes()
}

func problems(t *testing.T, packed []byte, public string) []string {
	t.Helper()
	v, err := Verify(bytes.NewReader(packed), int64(len(packed)), public)
	if err != nil {
		require.ErrorIs(t, err, ErrNoPack)
		return []string{err.Error()}
	}
	return v.Problems
}

// TestEveryTampering: a change of any file of a pack is found, and so is one that was added, taken away or renamed.
func TestEveryTampering(t *testing.T) {
	b := newLab(t)
	_, files := b.pack(t, "pci4", around(time.Now()))
	public := b.public(t)
	require.Empty(t, problems(t, rezip(t, files), public))
	changes := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		whole := !strings.Contains(name, "/") || name == "csv/decisions.csv"
		for what, change := range map[string]func(map[string]string){
			"altered":   func(m map[string]string) { m[name] = strings.Replace(text, text[len(text)/2:len(text)/2+1], "\x01", 1) },
			"longer":    func(m map[string]string) { m[name] = text + "\n" },
			"shorter":   func(m map[string]string) { m[name] = text[:len(text)-1] },
			"empty":     func(m map[string]string) { m[name] = "" },
			"gone":      func(m map[string]string) { delete(m, name) },
			"renamed":   func(m map[string]string) { m[name+"x"] = text; delete(m, name) },
			"exchanged": func(m map[string]string) { m[name] = files["csv/controls.csv"] + " " },
		} {
			if !whole && what != "altered" && what != "gone" {
				continue
			}
			if changes++; changes%race.Stride() != 0 {
				continue
			}
			m := maps.Clone(files)
			change(m)
			require.NotEmpty(t, problems(t, rezip(t, m), public), "%s %s", name, what)
		}
	}
	m := maps.Clone(files)
	m["csv/more.csv"] = "more"
	require.Equal(t, []string{`"csv/more.csv" was added`}, problems(t, rezip(t, m), public))
}

// TestEveryByteOfAPack: no byte of a pack can be changed without a word, unless the files in it stay the same, byte for byte.
func TestEveryByteOfAPack(t *testing.T) {
	b := newLab(t)
	packed, files := b.pack(t, "hipaa", around(time.Now()))
	public := b.public(t)
	for i := range packed {
		if i%(37*race.Stride()) != 0 && i < len(packed)-30 && i > 40 {
			continue // samples do: of each file's header, text and entry some
		}
		changed := bytes.Clone(packed)
		changed[i] ^= 1 << (i % 8)
		if len(problems(t, changed, public)) == 0 {
			require.Equal(t, files, unzip(t, changed), "byte %d", i)
		}
	}
	for _, extra := range [][]byte{append(bytes.Clone(packed), "after"...), append([]byte("before"), packed...)} {
		require.NotEmpty(t, problems(t, extra, public))
	}
}

// TestSigner: only the log's own key has signed, and what others have signed is not told to be of the log.
func TestSigner(t *testing.T) {
	b, other := newLab(t), newLab(t)
	packed, files := b.pack(t, "gdpr", around(time.Now()))
	require.NotEmpty(t, problems(t, packed, other.public(t)))
	_, err := Verify(bytes.NewReader(packed), int64(len(packed)), "no key")
	require.NoError(t, err)
	require.NotEmpty(t, problems(t, packed, "no key"))

	// Somebody with another log's key signs what she has changed.
	m := maps.Clone(files)
	signature, err := other.log.SignEvidence([]byte(m[manifestName]))
	require.NoError(t, err)
	m[signatureName] = signature
	require.NotEmpty(t, problems(t, rezip(t, m), b.public(t)))

	// A signed head is not a signed manifest, nor the other way round.
	m = maps.Clone(files)
	m[signatureName] = m[checkpointName]
	require.NotEmpty(t, problems(t, rezip(t, m), b.public(t)))
	_, err = audit.OpenAnchor(files[signatureName], b.public(t))
	require.Error(t, err)
}

// resigned is a pack that its log has signed with other files.
func (b *lab) resigned(t *testing.T, files map[string]string, change func(m *Manifest, files map[string]string)) []byte {
	t.Helper()
	files = maps.Clone(files)
	var m Manifest
	require.NoError(t, json.Unmarshal([]byte(files[manifestName]), &m))
	change(&m, files)
	s := &spool{dir: t.TempDir(), left: 1 << 30}
	defer s.Close()
	for i := range m.Files {
		f := &m.Files[i]
		require.NoError(t, s.put(f.Name, []byte(files[f.Name])))
		x := s.files[len(s.files)-1]
		f.SHA256, f.Bytes = x.digest(), x.size
	}
	text, err := json.Marshal(&m)
	require.NoError(t, err)
	files[manifestName] = string(text)
	files[signatureName], err = b.log.SignEvidence(text)
	require.NoError(t, err)
	return rezip(t, files)
}

// TestProofs: a proof that does not lead to the signed head is found, even in a pack that the log's key has signed.
func TestProofs(t *testing.T) {
	b := newLab(t)
	_, files := b.pack(t, "gdpr", around(time.Now()))
	require.Empty(t, problems(t, b.resigned(t, files, func(*Manifest, map[string]string) {}), b.public(t)))
	for what, change := range map[string]func(m *Manifest, files map[string]string){
		"another session": func(_ *Manifest, f map[string]string) {
			f[proofsName] = strings.Replace(f[proofsName], b.kept, b.open, 1)
		},
		"another place": func(_ *Manifest, f map[string]string) {
			f[proofsName] = strings.Replace(f[proofsName], `"index":0`, `"index":1`, 1)
		},
		"one missing":      func(_ *Manifest, f map[string]string) { f[proofsName] = "[]" },
		"no list":          func(_ *Manifest, f map[string]string) { f[proofsName] = "{" },
		"another size":     func(m *Manifest, _ map[string]string) { m.Head.Size++ },
		"another root":     func(m *Manifest, _ map[string]string) { m.Head.Root = "x" },
		"no signed head":   func(m *Manifest, _ map[string]string) { m.Head.Checkpoint = "" },
		"another format":   func(m *Manifest, _ map[string]string) { m.Format = "sallyport-evidence/2" },
		"more called so":   func(m *Manifest, _ map[string]string) { m.Records.Proven++ },
		"a file is absent": func(m *Manifest, _ map[string]string) { m.Files = append(m.Files, File{Name: "nothing"}) },
	} {
		require.NotEmpty(t, problems(t, b.resigned(t, files, change), b.public(t)), what)
	}
}

// TestNoPack: what is not a pack is refused, also one that would be large when it is read.
func TestNoPack(t *testing.T) {
	b := newLab(t)
	public := b.public(t)
	var many bytes.Buffer
	z := zip.NewWriter(&many)
	for range maxFiles + 1 {
		_, err := z.Create(manifestName)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	var bomb bytes.Buffer
	z = zip.NewWriter(&bomb)
	w, err := z.Create(manifestName)
	require.NoError(t, err)
	_, err = io.Copy(w, io.LimitReader(zeros{}, 100<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.Less(t, bomb.Len(), 1<<20)
	for what, text := range map[string][]byte{
		"empty": nil, "text": []byte("PK, or not"), "many": many.Bytes(), "bomb": bomb.Bytes(), "no manifest": rezip(t, map[string]string{"a": "b"}),
		"no signature": rezip(t, map[string]string{manifestName: "{}"}),
	} {
		_, err := Verify(bytes.NewReader(text), int64(len(text)), public)
		require.ErrorIs(t, err, ErrNoPack, what)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
