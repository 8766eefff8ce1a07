package masking

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// validate reports what would not do what the rule says, or would show more than
// it seems to. known says which types there are; lasting, that the key outlives
// the process.
func (r *Rule) validate(known func(detect.Type) bool, lasting bool) error {
	if r.Off && (r.selects() || r.Mode != Display || r.With != Partial || r.Requests != RequestsUnset || r.Options != Options{}) {
		return errors.New("a rule that switches masking off cannot have other settings")
	}
	if r.adds() && (r.Off || r.With == Visible || r.WriteBack != WriteBackUnset && r.WriteBack != WriteBackRefuse) {
		what := "this rule"
		if r.Profile != "" {
			what = fmt.Sprintf("a rule of profile %q", r.Profile)
		}
		return fmt.Errorf("%s can only add to what is masked: it cannot show values, switch masking off, or let masks be written", what)
	}
	if r.With >= transformEnd || int(r.Mode) >= len(modeNames) || int(r.Requests) >= len(requestsNames) {
		return errors.New("unknown transform, mode or answer to requests")
	}
	if r.Requests == RequestsTokenise && !lasting {
		return errors.New("tokenising what clients send needs a permanent key: what is stored could not be found or turned back otherwise")
	}
	if r.With == Visible && len(r.Types) == 0 {
		return errors.New("a rule that shows values needs their types; to show everything, switch masking off")
	}
	if r.With == Visible && r.about() {
		return errors.New("columns cannot be made visible")
	}
	for _, t := range r.Types {
		if !known(t) {
			return fmt.Errorf("unknown type %q", t)
		}
	}
	if err := r.validateOptions(); err != nil {
		return err
	}
	switch r.With {
	case Pseudonym, Tokenise, Encrypt:
		if !lasting {
			return fmt.Errorf("%s needs a permanent key: a key of this process is lost when it ends", r.With)
		}
	}
	return r.validateTypes()
}

// validateOptions refuses options that the transform does not have, and values
// that cannot be meant.
func (r *Rule) validateOptions() error {
	o := r.Options
	for _, x := range []struct {
		name string
		set  bool
		of   Transform
	}{
		{"the number of kept characters", o.KeepFirst != 0 || o.KeepLast != 0, Partial},
		{"text", o.Text != "", Fixed},
		{"days", o.Days != 0, Shift},
		{"unit", o.Unit != "", Truncate},
		{"size", o.Size != 0, Bucket},
		{"bits", o.Bits != 0, KeepNetwork},
	} {
		if x.set && r.With != x.of {
			return fmt.Errorf("%s belongs to %s, not to %s", x.name, x.of, r.With)
		}
	}
	switch {
	case o.KeepFirst < 0 || o.KeepLast < 0 || o.KeepFirst+o.KeepLast > 8:
		return errors.New("the numbers of characters kept at both ends must add up to 0 to 8")
	case r.With == Fixed && (o.Text == "" || len(o.Text) > 256):
		return errors.New("fixed needs a text of at most 256 bytes")
	case strings.ContainsFunc(o.Text, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError }):
		return errors.New("a fixed text cannot have quotes, backslashes or control characters: some formats would change them")
	case o.Days < 0 || o.Days > 3650:
		return errors.New("days must be 1 to 3650")
	case r.With == Truncate && o.Unit != "" && !slices.Contains(units, o.Unit):
		return fmt.Errorf("unknown unit %q: want day, month, year or decade", o.Unit)
	case o.Size < 0 || o.Size == 1:
		return errors.New("size must be at least 2: buckets of one number hide nothing")
	case o.Bits < 0 || o.Bits > 24:
		return errors.New("bits must be 1 to 24: more bits almost show the address")
	}
	return nil
}

// validateTypes refuses transforms for types that they are not for.
func (r *Rule) validateTypes() error {
	only := map[Transform]detect.Type{Shift: detect.BirthDate, Truncate: detect.BirthDate, KeepDomain: detect.Email, KeepNetwork: detect.IP}
	if t, ok := only[r.With]; ok {
		if !r.selects() || slices.ContainsFunc(r.Types, func(x detect.Type) bool { return x != t }) {
			return fmt.Errorf("%s is for columns and for the type %s only", r.With, t)
		}
	}
	if len(r.ColumnTypes) > 0 {
		if err := r.validateColumnTypes(); err != nil {
			return err
		}
	}
	switch r.With {
	case Bucket:
		if len(r.Types) > 0 || !r.about() {
			return errors.New("bucket is for columns of numbers")
		}
	case Encrypt:
		if !r.selects() {
			return errors.New("encrypt needs columns or types: some types have too few values")
		}
		for _, t := range r.Types {
			if notFormats[t] {
				return fmt.Errorf("values of type %s have no format to be kept, or fewer than a million of them are possible", t)
			}
		}
	case Partial:
		for _, t := range r.Types {
			kept := r.KeepFirst + r.KeepLast
			if kept > 0 && isSecret(t) {
				return fmt.Errorf("no characters of a value of type %s may be kept", t)
			}
			if least := shortest(t); kept*2 > least {
				return fmt.Errorf("keeping %d characters of a value of type %s is more than half of the shortest, which has %d", kept, t, least)
			}
		}
	}
	return nil
}

// validateColumnTypes refuses transforms that leave nothing but NULL of every
// type that the rule names.
func (r *Rule) validateColumnTypes() error {
	kinds := map[Transform][]string{
		Shift: {"date", "timestamp", "timestamptz"}, Truncate: {"date", "timestamp", "timestamptz"}, Bucket: {"int2", "int4", "int8", "numeric"},
		KeepNetwork: {"inet", "cidr", "text", "varchar"}, KeepDomain: {"text", "varchar", "bpchar"},
	}
	want, limited := kinds[r.With]
	if limited && !slices.ContainsFunc(r.ColumnTypes, func(t string) bool { return slices.Contains(want, strings.ToLower(t)) }) {
		return fmt.Errorf("%s is for columns of %s", r.With, strings.Join(want, ", "))
	}
	return nil
}

// notFormats are the types whose values format-preserving encryption would not
// keep in their format, or of which there are too few.
var notFormats = map[detect.Type]bool{
	detect.BirthDate: true, detect.CardCode: true, detect.Person: true, detect.Address: true, detect.Email: true, detect.IP: true, detect.MAC: true, detect.Password: true, detect.Secret: true, detect.CloudKey: true,
	detect.APIToken: true, detect.JWT: true, detect.PrivateKey: true, detect.Statistics: true,
}

// shortest is how many letters and digits the shortest usual value of a type has.
func shortest(t detect.Type) int {
	switch t {
	case detect.Card:
		return 13
	case detect.IBAN:
		return 15
	case detect.Email, detect.Person, detect.Address:
		return 6
	case detect.BirthDate, detect.Passport, detect.License, detect.BankAccount, detect.Phone, detect.IP:
		return 8
	case detect.USSSN, detect.USITIN, detect.CASIN, detect.AUTFN, detect.NLBSN, detect.UKNINO, detect.ESNIF, detect.ESNIE, detect.PTNIF:
		return 9
	}
	return 10
}
