package policy

import "github.com/sallyport/sallyport/proxy"

// opaque judges a connection into which nobody looks, where rules allow connections: what they ask for in return has to be possible
// without looking. Rules of relations allow no connections at all.
func (d *decision) opaque() proxy.Verdict {
	const remedy = "The operator can write a rule for this resource that allows forward, and asks for no masking, recording or budget."
	for _, c := range d.rules {
		if what := c.Obligations.sees(); what != "" {
			return proxy.Deny(proxy.CausePolicy, c.Name, "nobody sees what is sent over connections to "+d.target.String()+", and the rule asks for "+what, remedy)
		}
	}
	return proxy.Pass()
}

// sees names what somebody has to see for, of what is done; empty where nobody has to.
func (o *Obligations) sees() string {
	switch {
	case len(o.Masking) > 0:
		return "masking"
	case o.Recording != RecordingDefault:
		return "a recording"
	case o.Statements > 0 || o.Rows > 0 || len(o.Budgets) > 0:
		return "a budget"
	}
	return ""
}
