package detect

import "cmp"

// standard are the names that Presidio's analyzer has for types which are called
// otherwise here; its documentation lists them as supported entities. Its names for
// documents are a country's, where recognizers here know several countries' forms.
var standard = map[Type]Type{
	Passport:    "US_PASSPORT",
	License:     "US_DRIVER_LICENSE",
	BankAccount: "US_BANK_NUMBER",
}

// others are further names of Presidio's for what has one type here.
var others = map[Type]Type{
	"UK_PASSPORT": Passport, "IT_PASSPORT": Passport, "IN_PASSPORT": Passport, "KR_PASSPORT": Passport, "DE_PASSPORT": Passport, "ES_PASSPORT": Passport,
	"IT_DRIVER_LICENSE": License, "KR_DRIVER_LICENSE": License, "UK_DRIVING_LICENCE": License,
	"IT_IDENTITY_CARD": NationalID, "DE_ID_CARD": NationalID,
}

// Wider returns the type that includes t; "" when there is none.
func (t Type) Wider() Type {
	switch t {
	case LocalIP:
		return IP
	case LocalMAC:
		return MAC
	}
	return ""
}

// Standard returns the name that analyzers of personal data commonly use for t.
func (t Type) Standard() Type {
	if name, ok := standard[t]; ok {
		return name
	}
	return cmp.Or(t.Wider(), t)
}

// TypeNamed returns the type that goes by a name: its own, or another analyzer's.
func TypeNamed(name string) Type {
	t := Type(name)
	for own, other := range standard {
		if other == t {
			return own
		}
	}
	if own, ok := others[t]; ok {
		return own
	}
	return t
}
