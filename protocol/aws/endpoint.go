package aws

import (
	"net"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// regionName is how regions are called, such as "us-gov-west-1".
var regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

func isRegion(s string) bool { return regionName.MatchString(s) }

// partitions are the domains below which each service and region has a host: AWS and GovCloud, China, the European Sovereign Cloud, and those of
// the secret regions.
var partitions = []string{"amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "c2s.ic.gov", "sc2s.sgov.gov", "cloud.adc-e.uk", "csp.hci.ic.gov"}

// endpoint is where a service of a region is, as the resource that is connected to, and the name that it is asked for. Nothing that a
// client says but the names of a service and a region, which are labels, is in it.
func endpoint(r *proxy.Resource, known *service, name, region string) (*proxy.Resource, string) {
	domain, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return r, "localhost" // a socket
	}
	for _, p := range partitions {
		if domain != p {
			continue
		}
		host := name + "." + region + "." + p
		if known != nil && known.global && p == partitions[0] { // other partitions have it in a region, by which clients sign
			host = name + "." + p
			if strings.HasPrefix(region, "us-gov-") {
				host = name + ".us-gov." + p
			}
		}
		to := *r
		to.Address = net.JoinHostPort(host, port)
		return &to, host
	}
	host := r.Address
	if port == "443" && r.TLS.Mode != proxy.TLSDisable || port == "80" && r.TLS.Mode == proxy.TLSDisable {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return r, host
}
