package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The parts of CycloneDX 1.6 that are written.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     bomMetadata  `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	bomMetadata struct {
		Timestamp  string     `json:"timestamp"`
		Component  component  `json:"component"`
		Properties []property `json:"properties"`
	}
	component struct {
		Type       string       `json:"type"`
		Ref        string       `json:"bom-ref"`
		Name       string       `json:"name"`
		Version    string       `json:"version"`
		Hashes     []bomHash    `json:"hashes,omitempty"`
		Licenses   []bomLicence `json:"licenses,omitempty"`
		PURL       string       `json:"purl"`
		Properties []property   `json:"properties,omitempty"`
	}
	bomHash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	bomLicence struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// bom lists what a program is made of, in CycloneDX's JSON. Modules and versions are those that the linker wrote into the
// program; which needs which is what their packages import.
func (p *parts) bom(b *build, src *checkout) ([]byte, error) {
	refs := map[string]string{b.info.Main.Path: goURL(b.info.Main.Path, b.info.Main.Version)}
	self := component{
		Type: "application", Ref: refs[b.info.Main.Path], Name: "sallyport", Version: b.info.Main.Version, PURL: refs[b.info.Main.Path],
		Hashes: []bomHash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(b.body))}}, Licenses: make([]bomLicence, 1),
	}
	self.Licenses[0].License.ID = "Apache-2.0"
	list := bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: bomMetadata{Timestamp: src.time.Format(time.RFC3339), Component: self}}
	for _, s := range b.info.Settings {
		list.Metadata.Properties = append(list.Metadata.Properties, property{"go:build:" + s.Key, s.Value})
	}

	standard := "pkg:golang/stdlib@" + strings.TrimPrefix(b.info.GoVersion, "go")
	list.Components = append(list.Components, component{Type: "library", Ref: standard, Name: "stdlib", Version: b.info.GoVersion, PURL: standard})
	for _, m := range b.info.Deps {
		if p.modules[m.Path] == nil {
			return nil, fmt.Errorf("the program has the module %s, which \"go list\" does not know: this is a fault of dist", m.Path)
		}
		at := m
		if m.Replace != nil {
			at = m.Replace
		}
		refs[m.Path] = goURL(at.Path, at.Version)
		list.Components = append(list.Components, component{
			Type: "library", Ref: refs[m.Path], Name: at.Path, Version: at.Version, PURL: refs[m.Path],
			Properties: []property{{"go:sum", at.Sum}},
		})
	}
	needs := p.needs()
	for _, n := range p.console {
		ref := "pkg:npm/" + strings.Replace(n.name, "@", "%40", 1) + "@" + n.version
		list.Components = append(list.Components, component{Type: "library", Ref: ref, Name: n.name, Version: n.version, PURL: ref})
		refs[ref] = ref
		needs[b.info.Main.Path] = append(needs[b.info.Main.Path], ref)
	}
	for _, path := range slices.Sorted(maps.Keys(refs)) {
		d := dependency{Ref: refs[path], DependsOn: []string{}}
		for _, other := range needs[path] {
			if refs[other] != "" {
				d.DependsOn = append(d.DependsOn, refs[other])
			}
		}
		if !strings.HasPrefix(d.Ref, "pkg:npm/") {
			d.DependsOn = append(d.DependsOn, standard)
		}
		slices.Sort(d.DependsOn)
		list.Dependencies = append(list.Dependencies, d)
	}
	text, err := json.MarshalIndent(&list, "", "  ")
	return append(text, '\n'), err
}

// needs lists for each module which others its packages import.
func (p *parts) needs() map[string][]string {
	of := make(map[string]string) // the module of each package
	for _, one := range p.packages {
		if one.Module != nil {
			of[one.ImportPath] = one.Module.Path
		}
	}
	sets := make(map[string]map[string]bool)
	for _, one := range p.packages {
		from := of[one.ImportPath]
		for _, imported := range one.Imports {
			if to := of[imported]; from != "" && to != "" && to != from {
				if sets[from] == nil {
					sets[from] = make(map[string]bool)
				}
				sets[from][to] = true
			}
		}
	}
	lists := make(map[string][]string, len(sets))
	for from, set := range sets {
		lists[from] = slices.Collect(maps.Keys(set))
	}
	return lists
}

// goURL is the package URL of a module.
func goURL(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
}
