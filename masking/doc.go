// Package masking masks sensitive values in what flows to a client: in result rows,
// in bulk copies, in errors and notices, in byte streams.
//
// Package detect finds them. A [Masker] is the proxy.Interceptor that uses it: with
// the zero [Config] every resource's results are looked at, and columns whose names
// say what they hold are masked whole. docs/masking.md says what it does not see.
package masking
