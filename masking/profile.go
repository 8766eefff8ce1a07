package masking

import "slices"

// tighten adds the i-th rule to what the rules that do not add come to.
// Nothing is shown by it that is hidden without it.
func (v *view) tighten(rule *Rule, i int) {
	how, says := rule.treatment(), modeOfRule{rule.Mode, rule.title(i)}
	back := writeBackOfRule{rule.WriteBack, rule.title(i)}
	v.mode = max(v.mode, rule.Mode)
	if !rule.selects() {
		v.tightenFound(how, says, back)
	}
	for _, t := range rule.Types {
		if _, named := v.types[t]; !named {
			v.modes[t], v.writeBacks[t] = v.general, v.writeBackFound
		}
		v.types[t] = stricter(v.treatment(t), how)
		v.modes[t], v.writeBacks[t] = v.modes[t].or(says), v.writeBacks[t].or(back)
	}
	columns := slices.Clone(v.masker.columns[i])
	if len(columns) > 0 {
		how = v.leastOfColumns(how)
		v.column = stricter(v.column, how)
	}
	for _, c := range columns {
		c.with, c.mode, c.writeBack, c.requests = how, says, back, requestsOfRule{rule.Requests, rule.title(i)}
		v.columns = append(v.columns, c)
	}
	v.tightenRequests(rule, rule.title(i))
}

// tightenFound has everything that is found by itself treated as strictly as how at least,
// types that rules show included.
func (v *view) tightenFound(how treatment, says modeOfRule, back writeBackOfRule) {
	with := v.with
	if !v.found {
		with = v.column
	}
	v.found, v.with = true, stricter(with, how)
	v.general, v.writeBackFound = v.general.or(says), v.writeBackFound.or(back)
	for t := range v.types {
		if personal(t) {
			v.types[t] = stricter(v.types[t], how)
			v.modes[t], v.writeBacks[t] = v.modes[t].or(says), v.writeBacks[t].or(back)
		}
	}
}

// leastOfColumns is how columns of a profile are treated at least: what is in them could be of
// any type that is hidden elsewhere.
func (v *view) leastOfColumns(how treatment) treatment {
	if v.found {
		how = stricter(how, v.with)
	}
	for _, t := range v.types {
		how = stricter(how, t)
	}
	return how
}

// tightenRequests adds what a rule of a profile says about values in requests.
func (v *view) tightenRequests(rule *Rule, title string) {
	if rule.Requests == RequestsUnset {
		return
	}
	if v.requests != nil {
		for _, t := range rule.Types {
			v.requests.types[t] = v.requestsOf(t)
		}
	}
	v.request(rule, title)
	if rule.selects() {
		return
	}
	for t, was := range v.requests.types {
		if personal(t) {
			v.requests.types[t] = was.or(requestsOfRule{rule.Requests, title})
		}
	}
}
