package compliance

import (
	"fmt"
	"slices"
	"strings"
)

// Framework is a list of controls.
type Framework struct {
	ID       string // as it is named on command lines: "pci4"
	Title    string
	Controls []Control
}

// Control is something that a framework asks for.
type Control struct {
	ID    string
	Asks  string // in words of our own
	Shows []Kind // the evidence for it
	Yours string // what the gateway cannot prove, and its operator has to show
}

// Kind is a kind of evidence.
type Kind string

// Kinds of evidence.
const (
	Decisions   Kind = "decisions"   // what was allowed, denied, held and masked, by which rule and policy
	Sessions    Kind = "sessions"    // who was where, from when until when
	Requests    Kind = "requests"    // what was asked for, who decided, what was granted and how it ended
	Entitlement Kind = "entitlement" // who may reach what
	Changes     Kind = "changes"     // of the configuration and the rules
	Credentials Kind = "credentials" // of the gateway's: asked for, renewed, revoked
	Integrity   Kind = "integrity"   // of the records
	Oversight   Kind = "oversight"   // who looked at what is recorded, or exported it
	Retention   Kind = "retention"   // what was erased, held and released
	Emergency   Kind = "emergency"   // access without an approval, and its review
	Logins      Kind = "logins"      // who proved herself, and who failed to
	Health      Kind = "health"      // of recording and the gateway
	Masking     Kind = "masking"     // values masked, and who saw what is masked for others
	Termination Kind = "termination" // sessions and people that were stopped
)

// Frameworks are those that packs are made for.
func Frameworks() []Framework {
	return []Framework{pci4(), soc2(), iso27001(), hipaa(), nist80053(), gdpr()}
}

// Find returns a framework by its identifier. The text of its error can be shown to the user.
func Find(id string) (*Framework, error) {
	all := Frameworks()
	if i := slices.IndexFunc(all, func(f Framework) bool { return f.ID == id }); i >= 0 {
		return &all[i], nil
	}
	var ids []string
	for _, f := range all {
		ids = append(ids, f.ID)
	}
	return nil, fmt.Errorf("framework %q is not known: want one of %s", id, strings.Join(ids, ", "))
}
