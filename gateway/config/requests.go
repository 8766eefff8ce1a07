package config

import (
	"strings"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

var requestsAnswers = []string{masking.RequestsObserve.String(), masking.RequestsRefuse.String(), masking.RequestsTokenise.String()}

// validateRequests reports what a masking entry says about requests and cannot be done.
func (f *File) validateRequests(d *decoder, m Masking, r masking.Rule) {
	if r.Requests != masking.RequestsTokenise || len(r.Types) == 0 && len(r.Columns)+len(r.Tags)+len(r.ColumnTypes) > 0 || d.unsure() {
		return
	}
	var without []string
	for _, res := range f.Resources {
		p := f.protocol(&res)
		if p == nil || p.Asks(proxy.KindStatement) || r.Resources != nil && !r.Resources(&proxy.Resource{Name: res.Name, Type: res.Type, Labels: res.Labels}) {
			continue
		}
		without = append(without, res.Name)
	}
	if without != nil {
		d.problem(m.Line, "name the databases in resources, and say refuse or observe for the others in an entry of its own",
			"requests: tokenise replaces values in statements, and these resources have none: %s", strings.Join(without, ", "))
	}
}
