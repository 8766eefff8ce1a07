// Command consoledev builds console/dist from console/src: scripts and styles with names
// that change with what they hold, a list of them, and a copy of each in gzip's form. The
// same sources and the same third-party packages give the same bytes, on any machine.
//
// Third-party packages are those of package-lock.json. They are had by npm when a machine
// does not have them, into the user's cache; none of their scripts is run.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	root := flag.String("root", ".", "`folder` of the repository")
	out := flag.String("out", "", "`folder` to write to; empty is console/dist in the repository")
	only := flag.Bool("modules", false, "have the third-party packages, print where they are, and build nothing")
	flag.Parse()
	if err := run(*root, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "consoledev:", err)
		os.Exit(1)
	}
}

func run(root, out string, only bool) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	modules, err := packages(filepath.Join(root, "tools", "consoledev"))
	if err != nil {
		return err
	}
	if only {
		fmt.Println(modules)
		return nil
	}
	files, err := build(filepath.Join(root, "console", "src"), modules)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(root, "console", "dist")
	}
	return write(out, files)
}

// packages returns the folder node_modules of the lock file in dir.
func packages(dir string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		sum.Write(b)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "sallyport")
	home := filepath.Join(cache, fmt.Sprintf("console-%x", sum.Sum(nil)[:8]))
	modules := filepath.Join(home, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	// Several may do so at a time: a whole folder takes the place, or is not needed any more.
	fresh, err := os.MkdirTemp(cache, "console-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(fresh, name), b, 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, text)
	}
	if err := os.Rename(fresh, home); err != nil {
		if _, there := os.Stat(modules); there != nil {
			return "", err
		}
	}
	return modules, nil
}

// manifest says which files a page begins with.
type manifest struct {
	Script string   `json:"script"`
	Style  string   `json:"style"`
	Fonts  []string `json:"fonts"` // that the first page shows
}

// build returns the files by their names.
func build(src, modules string) (map[string][]byte, error) {
	// Names are made of the paths of sources too: everywhere these are the same.
	dir, err := os.MkdirTemp("", "consoledev-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for name, to := range map[string]string{"src": src, "node_modules": modules} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	r := api.Build(api.BuildOptions{
		AbsWorkingDir: dir, PreserveSymlinks: true, EntryPoints: []string{"src/app.tsx"}, Outdir: "out",
		Bundle: true, Splitting: true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8,
		MinifyIdentifiers: true, MinifySyntax: true, MinifyWhitespace: true, LegalComments: api.LegalCommentsNone,
		EntryNames: "[name]-[hash]", ChunkNames: "[name]-[hash]", AssetNames: "[name]-[hash]",
		JSX: api.JSXAutomatic, JSXImportSource: "preact", Loader: map[string]api.Loader{".woff2": api.LoaderFile},
		TsconfigRaw: "{}", Plugins: []api.Plugin{icons(modules)}, LogLevel: api.LogLevelWarning, Metafile: true,
	})
	if len(r.Errors) > 0 {
		return nil, errors.New("the sources do not build")
	}
	files := make(map[string][]byte)
	var m manifest
	for _, f := range r.OutputFiles {
		name := filepath.Base(f.Path)
		files[name] = f.Contents
		switch {
		case strings.HasPrefix(name, "app-") && strings.HasSuffix(name, ".js"):
			m.Script = name
		case strings.HasPrefix(name, "app-") && strings.HasSuffix(name, ".css"):
			m.Style = name
		case strings.HasSuffix(name, ".woff2") && strings.Contains(name, "sans"):
			m.Fonts = append(m.Fonts, name)
		}
	}
	slices.Sort(m.Fonts)
	if m.Script == "" || m.Style == "" {
		return nil, errors.New("want a script and a style of src/app.tsx")
	}
	if files["manifest.json"], err = json.MarshalIndent(m, "", "  "); err != nil {
		return nil, err
	}
	if files["LICENSES.txt"], err = licenses(r.Metafile, modules); err != nil {
		return nil, err
	}
	return files, nil
}

// licenses are those of all packages of which something is in the files.
func licenses(metafile, modules string) ([]byte, error) {
	var meta struct {
		Inputs map[string]struct{} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, err
	}
	used := make(map[string]bool)
	for input := range meta.Inputs {
		if strings.HasPrefix(input, "icon:") {
			used["lucide-static"] = true
		}
		if rest, ok := strings.CutPrefix(input, "node_modules/"); ok {
			words := strings.Split(rest, "/")
			name := words[0]
			if strings.HasPrefix(name, "@") {
				name = path.Join(name, words[1])
			}
			used[name] = true
		}
	}
	var names []string
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString("The console's files hold parts of these packages.\n")
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(modules, name, "LICENSE"))
		if err != nil {
			return nil, err
		}
		var p struct {
			Version string `json:"version"`
		}
		about, err := os.ReadFile(filepath.Join(modules, name, "package.json"))
		if err == nil {
			err = json.Unmarshal(about, &p)
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\n\n%s %s\n\n%s\n", name, p.Version, bytes.TrimSpace(text))
	}
	return b.Bytes(), nil
}

// icons has "icon:NAME" be the shapes of one of Lucide's icons: [["path", {"d": …}], …].
func icons(modules string) api.Plugin {
	return api.Plugin{Name: "icons", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `^icon:`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: strings.TrimPrefix(a.Path, "icon:"), Namespace: "icon"}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: "icon"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			shapes, err := shapes(filepath.Join(modules, "lucide-static", "icons", a.Path+".svg"))
			if err != nil {
				return api.OnLoadResult{}, err
			}
			body, err := json.Marshal(shapes)
			text := string(body)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJSON}, err
		})
	}}
}

// shapes are the elements of an icon.
func shapes(file string) ([][2]any, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list [][2]any
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if e, ok := t.(xml.StartElement); ok && e.Name.Local != "svg" {
			attributes := make(map[string]string)
			for _, a := range e.Attr {
				attributes[a.Name.Local] = a.Value
			}
			list = append(list, [2]any{e.Name.Local, attributes})
		}
	}
}

// write puts files in the place of all that a folder holds.
func write(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range there {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
		if strings.HasSuffix(name, ".woff2") || name == "manifest.json" {
			continue // they are compressed, or not sent
		}
		var z bytes.Buffer
		w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if err == nil {
			_, err = w.Write(b)
		}
		if err == nil {
			err = w.Close()
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".gz"), z.Bytes(), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
